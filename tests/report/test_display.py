"""What comes from data does nothing to a page, a spreadsheet, a paper or a terminal but stand there."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from bench.records import Records
from bench.report import redraw
from bench.report.data.display import displayed, uncalculated
from bench.report.data.groups import groups
from bench.report.tables.markdown import table
from bench.report.tables.tidy import tidy, write_table
from tests.support.report_records import FULL, PROBE, record

EVIL = "=1+1 <script>a()</script> [a](javascript:a()) ![b](x) | \x1b[31mred \u202egnp.exe $x_1$ \\input{a} & % # _"


def evil(seed: int, case: Any = PROBE) -> dict[str, Any]:
    named = {"spec": f"Images({EVIL!r})", "name": EVIL, "family": "images", "metric": "top1"}
    return record(case, seed, task=named, model={"spec": EVIL, "name": EVIL})


def test_a_page_and_tables_of_names_that_are_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.report.figures.catalogue.draw_all", lambda *_: [])
    for seed in (0, 1):
        for case in (PROBE, FULL):
            Records(tmp_path).write(evil(seed, case))
    Records(tmp_path).write(record(PROBE, 7, status="diverged", reason=f"{EVIL}\nmore", metrics={}, curve=[]))
    redraw(tmp_path)
    page, report, tex = ((tmp_path / name).read_text() for name in ("README.md", "report.html", "tables/results.tex"))
    for text in (page, report, tex):
        assert "\x1b" not in text and "\u202e" not in text
        assert "<script>a()" not in text and "](javascript" not in text and "![b](" not in text
    assert "‹script" in page and "red" in page, "it stands there"
    assert r"\input\{a\}" not in tex and r"\textbackslash input\{a\}" in tex and r"\$x\_1\$" in tex
    assert r"\& \% \# \_" in tex
    with open(tmp_path / "table.csv", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell[:1] in ("=", "+", "@", "\t") or "\x1b" in cell]
    assert any(cell.startswith("'=1+1 <script>") for cell in cells), "but for that, a table holds what was"


@pytest.mark.parametrize("text", ["=1+1", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert uncalculated(text)[0] == "'"


@pytest.mark.parametrize("text", ["-6", "+1e-3", "LoRA(rank=8, at=['q'])", "", "3 < 4", "naïve 日本 ☕ می‌خواهم"])
def test_what_is_no_formula_stays_as_it_is(text: str, tmp_path: Path) -> None:
    assert uncalculated(text) == text
    made = record(PROBE, 0, reason=text)
    assert displayed(made) is made
    write_table(tmp_path, tidy([made]))
    assert text in (tmp_path / "table.csv").read_text().replace('"', "")


def test_a_record_without_anything_of_that_is_itself_and_keys_are_mended_too() -> None:
    whole = record(PROBE, 0)
    assert displayed(whole) is whole and groups([whole])[0].records[0] is whole
    made = displayed({"a\x1b": {"b<i>": ["x\u2028y", 3]}, "reason": "one\ntwo", "name": "one\ntwo", "n": None})
    assert made == {"a\\x1b": {"b‹i>": ["x\\u2028y", 3]}, "reason": "one\ntwo", "name": "one two", "n": None}


def test_no_cell_of_a_page_ends_its_row() -> None:
    assert table(("a", "b"), [("x|y", "z\nw"), ("x\\|y", 3)]).splitlines()[2:] == [r"| x\|y | z w |", r"| x\|y | 3 |"]
