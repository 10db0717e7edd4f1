"""What workers are forked from begins early, where there will be workers, and only there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.execution import starting

STUDY = Path("studies/rank_sweep.py")


@pytest.mark.parametrize(
    ("asked", "cores", "begins"),
    [
        ({}, 2, True),
        ({"jobs": 1}, 2, False),
        ({"jobs": 2}, 1, True),
        ({}, 1, False),
        ({"scale": "smoke"}, 2, True),
        ({"scale": "smoke", "family": "text"}, 2, False),
        ({"scale": "smoke", "family": "text", "jobs": 2}, 2, True),
    ],
    ids=str,
)
def test_it_begins_where_there_will_be_workers(asked, cores, begins, tmp_path, monkeypatch):
    begun = []
    monkeypatch.setattr(starting, "warm", lambda threads: begun.append(threads))
    monkeypatch.setattr(starting, "cores", lambda: cores)
    how = {"scale": "laptop", "family": None, "jobs": None} | asked
    starting.warm_early(STUDY, how.pop("scale"), results=tmp_path, **how)
    assert begun == [1] * begins


def test_not_where_something_is_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(starting, "warm", lambda threads: pytest.fail("begun"))
    runs = tmp_path / "rank-sweep" / "laptop" / "runs"
    runs.mkdir(parents=True)
    (runs / "a.json").write_text("{}")
    starting.warm_early(STUDY, "laptop", results=tmp_path, family=None, jobs=None)


def test_no_torch_is_needed_for_it():
    code = "import sys, bench.execution.starting, bench.cli.running; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
