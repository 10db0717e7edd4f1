"""`make gpu-check` where there is no GPU: which cells it has, how it goes on after one, and what its page says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks.gpu import summary
from tests.benchmarks.gpu.__main__ import Check, _marked
from tests.benchmarks.gpu.cells import cells
from tests.benchmarks.gpu.memory import _todo, training_peak

MIB = 2**20


@pytest.mark.parametrize("rehearsal", [True, False])
def test_every_cell_has_a_name_of_its_own(rehearsal: bool) -> None:
    names = [cell.name for cell in cells(rehearsal=rehearsal)]
    assert len(names) == len(set(names)) > 50


def test_a_cell_that_took_its_process_down_is_said_and_not_tried_again(tmp_path: Path) -> None:
    first, second, *_ = wanted = cells(rehearsal=True)
    file = tmp_path / "measured.jsonl"
    began = [
        {"cell": first.name, "began": True},
        {**first.described, "measured": {}},
        {"cell": second.name, "began": 1},
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in began))
    assert list(_todo(file, wanted)) == wanted[2:]
    assert json.loads(file.read_text().splitlines()[-1])["failed"] == "its process ended in the middle"


def test_the_page_sets_measured_beside_estimated(tmp_path: Path) -> None:
    one, other, third = cells(rehearsal=True)[:3]
    told = {"phases": {"prefix": 900 * MIB, "forward": 90 * MIB, "backward": 99 * MIB, "evaluation": 500 * MIB}}
    assert training_peak(told) == 99 * MIB, "neither the frozen prefix nor evaluation is a step of training"
    estimated = [{**cell.described, "estimated": told} for cell in (one, other, third)]
    measured = [
        {**one.described, "measured": {"train": {"allocated": 100 * MIB, "reserved": 120 * MIB}}},
        {**other.described, "measured": {"train": {"allocated": 110 * MIB}}},
        {**third.described, "failed": "OutOfMemoryError: no"},
    ]
    for name, lines in (("estimated", estimated), ("measured", measured)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    table = summary.table(tmp_path)
    assert table["error"].round(1).tolist()[:2] == [-1.0, -10.0]
    page = summary.page(tmp_path, [{"name": "memory", "ended": "well", "seconds": 3.0}], {"device_name": "H100"})
    assert "2 cells: median error -5.5 %, of its size 5.5 %, from -10.0 to -1.0 %; 1 failed." in page
    assert "OutOfMemoryError: no" in page and "| memory | well | 3 |" in page


def test_a_part_that_fails_or_hangs_is_logged_and_the_next_begins(tmp_path: Path) -> None:
    check = Check(tmp_path, "cpu", 60)
    assert 29 < check.share("memory") <= 30 and 59 < check.share("tests") <= 60, "the last may take all that is left"
    check.part("one", ["-c", "print('what it said'); raise SystemExit(3)"], seconds=20)
    check.part("two", ["-c", "import time; time.sleep(60)"], seconds=0.3)
    check.part("three", ["-c", ""], seconds=20)
    assert [part["ended"] for part in check.parts] == ["with code 3", "stopped after 0 s", "well"]
    assert "what it said" in (tmp_path / "one.log").read_text()


def test_files_with_gpu_tests_are_found() -> None:
    assert {path.name for path in _marked()} >= {"test_memory_forecast.py", "test_detectors.py"}
