"""Every result that README.md and the studies' docstrings state is what the records say."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bench.cli import app
from bench.report.statements import Statement, prose, rewrite, unheld, wrong
from bench.study.study import loaded

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "results"
STATEMENTS: tuple[Statement, ...] = loaded("studies.statements", ROOT / "studies/statements.py").STATEMENTS
ELSEWHERE = {"studies/claims.py", "studies/statements.py"}
"""Others' figures with their sources; templates."""
DOCUMENTS = sorted(
    file
    for file in (ROOT / "README.md", ROOT / "studies/README.md", *(ROOT / "studies").glob("*.py"))
    if str(file.relative_to(ROOT)) not in ELSEWHERE
)


def test_what_the_documents_say_of_the_records_is_so() -> None:
    found = list(wrong(STATEMENTS, root=ROOT, results=RESULTS))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: file.name)
def test_no_result_stands_in_a_document_that_no_query_holds(document: Path) -> None:
    found = unheld(document, STATEMENTS, root=ROOT, results=RESULTS)
    assert not found, "add these to studies/statements.py, or leave them out: " + "; ".join(found)


def test_a_sentence_falls_with_the_record_that_it_rests_on(tmp_path: Path) -> None:
    """On a copy in which every test score of full fine-tuning on solar cells is lower by a tenth."""
    runs = tmp_path / "rank-sweep/laptop/runs"
    shutil.copytree(RESULTS / "rank-sweep/laptop/runs", runs)
    for path in runs.glob("*.json"):
        text = path.read_text()
        if '"FullFineTuning()"' in text and "\"Images('elpv'" in text and '"phase": "final"' in text:
            record = json.loads(text)
            record["metrics"]["test"]["top1"] -= 0.1
            path.write_text(json.dumps(record))
    first = [one for one in STATEMENTS if one.where == "README.md" and "highest mean" in one.text]
    found = list(wrong(first, root=ROOT, results=tmp_path))
    assert any("no longer hold" in line for line in found) and any("should say" in line for line in found)


def test_a_document_is_given_the_numbers_of_the_records_and_else_stays_as_it_is(tmp_path: Path) -> None:
    """Whatever numbers stand there: those of the records come back, to the byte."""
    for one in sorted({one.where for one in STATEMENTS}):
        copy = tmp_path / one
        copy.parent.mkdir(exist_ok=True)
        text = (ROOT / one).read_text(encoding="utf-8")
        held = text
        for number in (
            ".809",
            ".822 and .797",
            ".732",
            "67, 63, 60 and 60 %",
            "112 min",
            "100, 10 and 102 times",
            ".373",
        ):
            held = held.replace(number, number.replace("0", "9").replace("1", "14"))
        copy.write_text(held, encoding="utf-8")
    spoilt = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert ".899 to" in spoilt
    assert rewrite(STATEMENTS, root=tmp_path, results=RESULTS) == []
    for one in {one.where for one in STATEMENTS}:
        assert (tmp_path / one).read_text(encoding="utf-8") == (ROOT / one).read_text(encoding="utf-8"), one


def test_the_command_says_what_does_not_hold(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    app(["statements"], standalone_mode=False)
    assert f"all {len(STATEMENTS)} statements hold" in capsys.readouterr().out
    (tmp_path / "rank-sweep/laptop/runs").mkdir(parents=True)
    with pytest.raises(SystemExit):
        app(["statements", "--results", str(tmp_path)])
    assert "unknown" in capsys.readouterr().out


def test_a_number_that_nobody_computed_is_found(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    said = "LoRA reaches .812 (95 % intervals)."
    page.write_text(f"{said}\n\n```\n.999\n```\n- It saves 40 % of memory, two times as much.\n")
    assert prose(page).startswith(f"{said} It saves")
    assert len(unheld(page, (), root=tmp_path, results=RESULTS)) == 3
    held = replace(STATEMENTS[0], text=said.replace(".812", "{x}"), numbers=lambda facts: {"x": ".812"})
    assert len(unheld(page, (held,), root=tmp_path, results=RESULTS)) == 2
