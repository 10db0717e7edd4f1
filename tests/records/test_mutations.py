"""Records in which one field is of another kind: set aside, or shown as far as it goes; never a traceback."""

from __future__ import annotations

import copy
import json
import logging
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.records import Records
from bench.records.outcomes import collected, encode
from bench.report import redraw
from bench.report.claims import Evidence, judged, load
from bench.report.compare import compared
from bench.report.data.groups import groups, scored
from bench.report.page.content import content
from bench.report.page.html import write_html
from bench.report.page.study_page import write_page
from bench.report.tables.dataframes import comparisons, latex, measured_costs, results, write_exports
from bench.report.tables.tidy import tidy, write_table
from bench.tracking import sync
from tests.support import report_records
from tests.support.tiny_study import execute, made_up, tuned

ROOT = Path(__file__).parents[2]
ODD: tuple[Any, ...] = (
    None, True, 0, -1, 10**400, 1e300, -0.5, float("nan"), float("inf"), "", "text", "<b>|=1+1\x1b[31m", "\ud800",
    [], [None], [[]], {}, {"a": 1}, {"": {}}, [1e9], "x" * 3_000,
)  # fmt: skip
GONE = object()
NINE = np.arange(9)
OUTCOMES = {"test": encode(collected("classes", NINE, {"label": NINE % 2, "predicted": NINE % 3, "nll": NINE / 9}))}


def sample(folder: Path, number: int) -> list[dict[str, Any]]:
    """A few whole records of a study: of every phase, of one task, and of two methods or more."""
    every = [json.loads(path.read_text()) for path in sorted((folder / "runs").glob("*.json"))]
    first = next(r for r in every if r["phase"] in ("final", "costs"))
    alike = [r for r in every if r["task"] == first["task"] and r["model"]["name"] in (first["model"]["name"], "none")]
    by_phase: dict[str, list[dict[str, Any]]] = {}
    for record in alike:
        record["examples"] = record.get("examples", [])[:1]
        record.setdefault("outcomes", OUTCOMES)
        for one in record["examples"]:
            one["found"] = one["found"][:2]
        by_phase.setdefault(record["phase"], []).append(record)
    return [record for records in by_phase.values() for record in records[:number]]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every field, with the lists' first items."""
    inner = value.items() if isinstance(value, dict) else list(enumerate(value))[:1] if isinstance(value, list) else ()
    for key, one in inner:
        yield (*path, key)
        yield from places(one, (*path, key))


def changed(record: dict[str, Any], path: tuple[Any, ...], odd: Any) -> dict[str, Any]:
    """A copy with another value in one place, or with none."""
    made = inner = copy.deepcopy(record)
    for key in path[:-1]:
        inner = inner[key]
    if odd is GONE:
        del inner[path[-1]]
    else:
        inner[path[-1]] = odd
    return made


def mutated(records: list[dict[str, Any]], dice: random.Random) -> list[tuple[str, dict[str, Any]]]:
    """Each record with one field changed, under its own file name."""
    found = []
    for record in records:
        path = dice.choice(list(places(record)))
        found.append((record["run_id"], changed(record, path, dice.choice((GONE, *ODD)))))
    return found


def keep(folder: Path, records: list[tuple[str, dict[str, Any]]]) -> Path:
    (folder / "runs").mkdir(parents=True)
    for name, record in records:
        (folder / "runs" / f"{name}.json").write_text(json.dumps(record))
    return folder


def read(folder: Path) -> None:
    """All that is made of records, but for figures: table, exports, pages, comparisons."""
    records = Records(folder).all()
    parts, frame = groups(records), tidy(records)
    write_table(folder, frame)
    write_exports(folder, frame, parts)
    found = content(records, parts, [], title="t", question="q")
    write_page(folder, found)
    write_html(folder, found)
    shown = scored(parts)
    for made in (results(shown), comparisons(shown)):
        if len(made):
            latex(made, "results" if "score" in made else "differences")
    measured_costs([group for group in parts if group.costs])
    for group in shown:
        for other in group.configurations[1:]:
            list(compared(group, group.configurations[0], other))


STUDIES = sorted(folder.parent.parent.name for folder in (ROOT / "results").glob("*/laptop/runs"))


@pytest.mark.parametrize("study", STUDIES)
def test_one_odd_field_is_no_traceback(study: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """More than 100 mutations of each study's records."""
    dice, whole, done = random.Random(study), sample(ROOT / "results" / study / "laptop", 6), 0
    caplog.set_level(logging.ERROR)
    while done < 100:
        kept = [(record["run_id"], record) for record in whole if dice.random() < 0.3]
        rest = [record for record in whole if all(record["run_id"] != name for name, _ in kept)]
        folder = keep(tmp_path / str(done) / study / "laptop", [*kept, *mutated(rest, dice)])
        read(folder)
        judged(load(ROOT / "studies" / "claims.py"), Evidence(folder.parents[1], "laptop"))
        done += len(rest)


def test_figures_and_mlflow_of_odd_records(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dice = random.Random(7)
    caplog.set_level(logging.ERROR)
    for study in ("costs", "rank-sweep"):
        whole = sample(ROOT / "results" / study / "laptop", 4)
        folder = keep(tmp_path / "results" / study / "laptop", mutated(whole, dice))
        redraw(folder)
    sync(tmp_path / "results", f"sqlite:///{tmp_path}/mlflow.db")


@pytest.mark.usefixtures("own_cache", "one_thread")
def test_a_study_goes_on_over_odd_records(
    records: Records, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made_up(monkeypatch, lambda run, epoch: 0.5 + 0.01 * epoch)
    caplog.set_level(logging.ERROR)
    dice, study = random.Random(3), tuned(pruner="median", epochs=2)
    for _ in range(6):
        finals, _ = execute(records, study)
        assert {record["status"] for record in finals} == {"ok"}
        for name, record in mutated(records.all(), dice):
            (records.runs / f"{name}.json").write_text(json.dumps(record))


def test_other_tools_files_are_left_alone_and_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "runs").mkdir()
    there = {name: tmp_path / "runs" / name for name in ("package.json", "0123.json", "UPPER0123456789A.json")}
    for path in there.values():
        path.write_text('{"name": "none of ours"}')
    assert Records(tmp_path).all() == Records(tmp_path).all() == []
    assert {path.name for path in (tmp_path / "runs").iterdir()} == set(there)
    assert [message.rpartition("/")[2] for message in caplog.messages] == [
        f"{name} is no record, by its name: left alone" for name in sorted(there)
    ]


@pytest.mark.parametrize(
    ("path", "odd", "said"),
    [
        (("metrics", "test", "top1"), float("nan"), "holds the number nan"),
        (("metrics", "test", "top1"), 10**400, "holds"),
        (("metrics", "test", "top1"), "0.5", "'metrics.test.top1' is no number"),
        (("time", "train"), -1.0, "'time.train' is -1.0, not from 0"),
        (("parameters", "backbone"), 1.5, "'parameters.backbone' is not whole"),
        (("status",), "fine", "unknown status fine"),
        (("tuning", "space", "lr"), None, "'tuning.space.lr' is no table"),
        (("method", "config", "at"), [[[[]]] * 2] * 3, None),
        (("provenance",), GONE, None),
        (("time",), None, None),
        (("curve",), GONE, None),
    ],
)
def test_what_breaks_the_schema_is_said_and_what_is_only_shown_may_lack(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, path: tuple[str, ...], odd: Any, said: str | None
) -> None:
    whole = report_records.record(report_records.LORAS[0], 0)
    keep(tmp_path / "s", [(whole["run_id"], changed(whole, path, odd))])
    assert len(Records(tmp_path / "s").all()) == (said is None)
    assert [said in message for message in caplog.messages] == [True] * (said is not None)
    if said is None:
        read(tmp_path / "s")
