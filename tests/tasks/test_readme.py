"""The page on tasks names every declared set, with its licence, and every task of one's own data."""

from __future__ import annotations

import re
from pathlib import Path

from bench.assets import ASSETS
from bench.tasks import SETS, TASKS

PAGE = (Path(__file__).parents[2] / "bench/tasks/README.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| `")]


def test_every_declared_set_is_in_the_table():
    named = [name for row in ROWS if len(row) == 4 for name in re.findall(r"`([^`]+)`", row[0])]
    assert sorted(named) == sorted(SETS)


def test_licences_are_those_of_the_assets():
    """The first word of a licence, "CC", "MIT" or "unclear", is the catalogue's; that adds what it covers."""
    for row in ROWS:
        name = re.findall(r"`([^`]+)`", row[0])[0]
        if len(row) == 4 and name in ASSETS:
            assert ASSETS[name].licence.startswith(re.split(r"[ ;,]", row[3])[0]), name


def test_every_task_of_ones_own_data_is_in_the_table():
    """All that take a path are one's own."""
    own = {name for name, cls in TASKS.items() if "path" in cls.__dataclass_fields__}
    assert {row[0].strip("`").partition("(")[0] for row in ROWS if len(row) == 2} == own
