"""Records of two protocols: shown apart, never averaged, paired or counted as one; half a study is no comparison."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.execution import console
from bench.records import PROTOCOL, Records
from bench.report.claims import Contrast, Evidence, Pick
from bench.report.data import differences, flags
from bench.report.data.groups import current, groups, scored
from bench.report.data.names import headings, titles
from bench.report.page.answer import answer
from bench.report.page.content import content
from bench.report.page.study_page import write_page
from bench.report.tables.across import across
from bench.report.tables.tidy import tidy
from tests.support.report_records import FULL, LORAS, PROBE, RIVALS, Case, other_task, record

CASES = [PROBE, FULL, LORAS[3], RIVALS[0]]
SEEDS = (0, 1, 2)


def runs(cases: list[Case], protocol: int, *, up: float = 0.0, **changes: Any) -> list[dict[str, Any]]:
    """Final runs; those of another protocol score `up` more."""
    made = [record(case, seed, protocol=protocol, **changes) for case in cases for seed in SEEDS]
    for one in made:
        one["metrics"] = {"test": {"top1": one["metrics"]["test"]["top1"] + up}}
    return made


def halfway() -> list[dict[str, Any]]:
    """Two tasks by protocol 1, of which one is measured again, so far with two methods of four."""
    old = [*runs(CASES, 1, **other_task("a")), *runs(CASES, 1, **other_task("b"))]
    return [*old, *runs(CASES[:2], PROTOCOL, up=0.05, **other_task("a"))]


def test_what_is_measured_again_stands_first_and_the_older_is_in_no_answer() -> None:
    parts = groups(halfway())
    found = [(g.task, g.protocol, g.older, len(g.configurations)) for g in parts]
    assert sorted(found[:2]) == [("a", 2, False, 2), ("b", 1, False, 4)] and found[2:] == [("a", 1, True, 4)]
    shown = scored(parts)
    assert shown == current(parts) == parts[:2]
    assert set(titles(shown)) == {"a, vit", "b, vit, protocol 1"} and set(headings(shown)) == {"a", "b, protocol 1"}
    said = answer(shown)
    assert [sentence.split(":")[0] for sentence in said] == ["a", "b, protocol 1"]
    assert "0.90" in said[0], "of the new runs alone"


def test_nothing_is_averaged_or_paired_over_protocols(tmp_path: Path) -> None:
    every = halfway()
    shown = scored(groups(every))
    assert [group.task for group in differences.comparable(shown)] == ["a"], "over tasks: of the latest protocol"
    assert "b, vit (EPYC, 2 threads, bf16, protocol 1)" in differences.left_out(shown)
    folder = tmp_path / "rank-sweep" / "laptop"
    for one in every:
        Records(folder).write(one)
    contrast = Contrast("rank-sweep", Pick("LoRA", {"rank": 8}), Pick("FullFineTuning"))
    assert contrast.found(Evidence(tmp_path, "laptop")).interval is None, "the new runs have no LoRA yet"
    both = Contrast("rank-sweep", Pick("FullFineTuning"), Pick("LinearProbe")).found(Evidence(tmp_path, "laptop"))
    assert len(both.each) == 1
    assert sorted(set(tidy(every)["protocol"])) == [1, PROTOCOL]
    heads = across(shown).splitlines()[0]
    assert heads == "| method | a: top-1 accuracy | b, protocol 1: top-1 accuracy |"


def test_the_page_says_it_plainly(tmp_path: Path) -> None:
    every = halfway()
    page = write_page(tmp_path, content(every, groups(every), [], title="A study", question="")).read_text()
    assert "several protocols (1, 2)" in page and "What has changed since protocol 1:" in page
    assert "a is measured again by protocol 2" in page.replace("a, protocol 1 is", "a is")
    assert "all there is of 2 of its 4 configurations" in page
    heads = [line for line in page.splitlines() if line.startswith("## ") and "vit" in line]
    assert heads[-1] == "## a, vit, protocol 1" and sorted(heads[:-1]) == ["## a, vit", "## b, vit, protocol 1"]
    last = page.partition(heads[-1])[2]
    assert "Older records, of protocol 1, in no figure or table above" in last
    assert "| LoRA r=8 |" in last and "| LoRA r=8 |" not in page.partition("## a, vit\n")[2].partition("\n## ")[0]


def test_where_all_are_old_that_is_said_once(tmp_path: Path) -> None:
    every = runs(CASES, 1)
    (part,) = groups(every)
    said = list(flags.of_study(every, [part]))
    assert said[-2].startswith(f"All records are of protocol 1; runs are now made by protocol {PROTOCOL}")
    page = write_page(tmp_path, content(every, [part], [], title="A study", question="")).read_text()
    assert "## elpv, vit\n" in page and "protocol 1." in page
    now = runs(CASES, PROTOCOL)
    assert not any("protocol" in flag for flag in flags.of_study(now, groups(now)))


def test_two_methods_are_compared_under_one_protocol(tmp_path: Path) -> None:
    """Of what is measured again the new runs are compared; where they have not both methods yet, the old ones, said."""
    for one in halfway():
        Records(tmp_path / "rank-sweep" / "laptop").write(one)
    asked = ["compare", "--results", str(tmp_path), "--study", "rank-sweep"]
    new = CliRunner().invoke(app, [*asked, "LinearProbe", "FullFineTuning"]).output
    assert new.count("a, vit (EPYC, 2 threads, bf16)") == 1 and "b, vit (EPYC, 2 threads, bf16, protocol 1)" in new
    assert "a, vit (EPYC, 2 threads, bf16, protocol 1)" not in new
    old = CliRunner().invoke(app, [*asked, "BitFit", "FullFineTuning"]).output
    assert "a, vit (EPYC, 2 threads, bf16, protocol 1)" in old and "a, vit (EPYC, 2 threads, bf16)" not in old


def test_a_run_that_only_tunes_replaces_nothing() -> None:
    tuning = record(PROBE, 1000, phase="tune", metrics={"val": {"top1": 0.8}}, tuning=None)
    parts = groups([*runs(CASES, 1), tuning])
    assert [g.older for g in parts] == [False, False] and [g.protocol for g in scored(parts)] == [1]


def test_a_plan_says_that_old_records_spare_nothing() -> None:
    shown = io.StringIO()
    with redirect_stdout(shown):
        console.older(json.loads(json.dumps(runs(CASES, PROTOCOL))))
        assert shown.getvalue() == ""
        console.older(halfway())
    assert "24 of 30 records here are of protocol 1" in shown.getvalue()


@pytest.mark.parametrize("protocol", [0, 3])
def test_an_unknown_protocol_is_only_another_one(protocol: int) -> None:
    parts = groups([*runs(CASES, 1), *runs(CASES, protocol)])
    assert [g.protocol for g in parts] == sorted((1, protocol), reverse=True) and [g.older for g in parts] == [0, 1]
