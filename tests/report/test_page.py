"""What the pages say: once for both, in short sentences, with headings that differ and no accuracy alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.report.data.groups import groups
from bench.report.data.names import headings, titles
from bench.report.page.answer import answer, in_brief, of_costs
from bench.report.page.content import NOTHING, content
from bench.report.page.html import write_html
from bench.report.page.study_page import write_page
from bench.report.page.summary import summary
from bench.report.tables import aggregates
from bench.report.tables.across import across
from bench.report.tables.classes import beside, unequal
from bench.report.tables.markdown import formatted, number, ranged
from tests.support.report_records import FULL, LORAS, PROBE, RIVALS, failed, other_task, record, reference

CASES = (PROBE, FULL, LORAS[3], RIVALS[0])


def runs(**changes: Any) -> list[dict[str, Any]]:
    return [record(case, seed, **changes) for case in CASES for seed in (0, 1, 2)]


def majority(share: float, classes: int, **changes: Any) -> Any:
    """The record of a task's majority class."""
    scores = {"top1": share, "macro_f1": 2 * share / (1 + share) / classes}
    about = {"classes": classes, "majority": share}
    method = {"spec": "MajorityClass()", "name": "MajorityClass", "config": {}, "label": "majority class"}
    return reference(0, share, metrics={"test": scores}, provenance=about, method=method, tuning={}, **changes)


def again(made: dict[str, Any]) -> dict[str, Any]:
    """The same of another seed, but for rounding."""
    top1 = made["metrics"]["test"]["top1"] + 1e-16
    return made | {"seed": 1, "run_id": "another", "metrics": {"test": made["metrics"]["test"] | {"top1": top1}}}


def test_both_pages_say_the_same(tmp_path: Path) -> None:
    every = runs()
    found = content(every, groups(every), [], title="A study", question="Is it <so>?")
    page, html = write_page(tmp_path, found).read_text(), write_html(tmp_path, found).read_text()
    for said in (*found.answer, *found.flags, found.about_answer, *found.names.values()):
        assert said in page and said in html
    (sentences,) = found.answer
    assert sentences.startswith("elpv: LoRA r=8 has the highest mean, 0.852; ")
    assert "No significant difference from full fine-tuning: BitFit and LoRA r=8. Undecided: 3 seeds" in sentences
    assert in_brief(found.shown) == [sentences.partition(". ")[0] + "."]


@pytest.mark.parametrize(
    "changes",
    [
        {"environment": {"device_name": "H100", "threads": 2}},
        {"environment": {"device_name": "EPYC", "threads": 4}},
        {"training": {"lr": 1e-3, "epochs": 3, "precision": "fp32"}},
        {"protocol": 1},
        {"task": {"spec": "Images('elpv', train=800)", "name": "elpv", "family": "images", "metric": "top1"}},
        {"model": {"spec": "Timm('vit', image_size=98)", "name": "vit"}},
    ],
    ids=["device", "threads", "precision", "protocol", "task", "model"],
)
def test_a_heading_tells_two_groups_apart(tmp_path: Path, changes: dict[str, Any]) -> None:
    every = [*runs(), *runs(**changes)]
    parts = groups(every)
    assert len(set(titles(parts))) == len(set(headings(parts))) == 2
    found = content(every, parts, [], title="A study", question="")
    page = write_page(tmp_path, found).read_text()
    assert all(f"\n## {found.names[part]}\n" in page for part in parts)
    if "protocol" in changes:
        assert list(found.names.values()) == ["elpv, vit", "elpv, vit, protocol 1"]


def test_accuracy_has_macro_f1_beside_it_where_classes_are_unequal(tmp_path: Path) -> None:
    scores = {"metrics": {"val": {"top1": 0.8}, "test": {"top1": 0.8, "macro_f1": 0.7}}}
    for share, wanted in ((0.687, True), (0.55, False)):
        every = [*runs(**scores), majority(share, 2)]
        (part,) = groups(every)
        assert unequal(part) is wanted and beside(part) == ["macro_f1"] * wanted
        page = write_page(tmp_path, content(every, [part], [], title="A study", question="")).read_text()
        assert "- **Baseline**: chance: 0.500, for 2 classes." in page
        assert f"- **Baseline**: majority class: {share:.3f} (one seed), nothing tuned." in page
        assert ("| macro F1 |" in summary(part)) is wanted
        assert ("elpv: macro F1" in across([part])) is wanted
        page = write_page(
            tmp_path, content([], groups([*every, again(every[-1])]), [], title="", question="")
        ).read_text()
        assert f"majority class: {share:.3f} (the same over 2 seeds), nothing tuned." in page
    (without,) = groups(runs(**scores))
    assert not unequal(without), "not known"


def test_one_set_of_tasks_for_the_mean_rank_on_a_page() -> None:
    """A task of noise is left out of what needs a scale, not of ranks: these are those of the figure."""
    noise = [
        record(case, seed, **other_task("noise"), metrics={"test": {"top1": 0.5 + 0.01 * ((seed + at) % 3)}})
        for at, case in enumerate(CASES) for seed in (0, 1, 2)
    ]  # fmt: skip
    parts = groups([*runs(**other_task("a")), *runs(**other_task("b")), *noise])
    frame = aggregates.over_tasks(parts).set_index("method")
    clean = aggregates.over_tasks(parts[:2]).set_index("method")
    assert frame["IQM"].to_dict() == clean["IQM"].to_dict(), "the scale leaves out the noise"
    assert frame["mean rank"].to_dict() != clean["mean rank"].to_dict()
    assert frame["mean rank"].sum() == pytest.approx(4 * 2.5, abs=0.03), "ranks 1 to 4"
    said = aggregates.about(parts)
    assert "Mean rank: over all 3 tasks, as in the figure of ranks." in said
    assert "All other columns leave out noise" in said


def test_a_study_without_scores_concludes_nothing(tmp_path: Path) -> None:
    every = [failed(PROBE)]
    found = content(every, groups(every), [], title="A study", question="")
    assert found.answer == (NOTHING,) and found.about_answer == ""
    assert write_html(tmp_path, found).read_text().count(NOTHING) == 1
    assert of_costs([]) == "" and answer([]) == []


def test_cells_have_separators_and_no_none() -> None:
    import pandas as pd

    frame = pd.DataFrame({
        "n": [1_179_648, 0, None], "rate": [1e-5, 0.03, None], "score": [0.5, 0.8125, float("nan")],
        "low": [0.4, None, None], "high": [0.6, None, None], "word": ["a", None, "b"],
    })  # fmt: skip
    shown = formatted(ranged(frame), missing="")
    assert shown["n"].tolist() == ["1,179,648", "0", ""]
    assert shown["rate"].tolist() == [number(1e-5), "0.03", ""]
    assert shown["score"].tolist() == ["0.5000", "0.8125", ""]
    assert shown["95% interval"].tolist() == ["0.400 to 0.600", "", ""]
    assert shown["word"].tolist() == ["a", "", "b"]
