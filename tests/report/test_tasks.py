"""The report of a study with several tasks: references beside the methods, short names, the overview of all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.records import Records
from bench.report import redraw
from bench.report.data.groups import Group, groups
from bench.report.data.names import headings, slugs, titles
from bench.report.figures.axis import beyond, reach
from bench.report.figures.catalogue import KINDS
from bench.report.figures.overview import overview
from bench.report.style import drawing
from bench.report.tables.across import across
from tests.support.report_records import LORAS, PROBE, STUDY, boxes, keep, other_task, overlaps, record, reference, text

H100 = {"device_name": "H100", "threads": 2}
REVIEWS = other_task("reviews", model="bert", started="2026")
NEWS = other_task("news", metric="matthews", model="bert", started="2024")


def news(case: Any, seed: int) -> dict[str, Any]:
    """A record of a task whose metric is another one."""
    top1 = record(case, seed)["metrics"]["test"]["top1"]
    return record(case, seed, **NEWS, metrics={"val": {"matthews": top1}, "test": {"matthews": top1 - 0.5}})


def test_a_reference_stands_beside_every_group_of_its_task_and_is_never_averaged() -> None:
    here, there = record(LORAS[0], 0), record(LORAS[0], 0, environment=H100)
    other = record(LORAS[0], 0, **REVIEWS)
    changed = record(LORAS[0], 0, protocol=1)
    baselines = [reference(0, 0.7), reference(1, 0.8), reference(0, 0.1, status="failed", metrics={}, label="failed")]
    parts = groups([*baselines, here, there, other, changed])
    assert [len(part.configurations) for part in parts] == [1, 1, 1, 1]
    assert not any(run["phase"] == "reference" for part in parts for run in part.records)
    beside = [part for part in parts if part.baselines]
    assert {part.device.split(",")[0] for part in beside} == {"EPYC", "H100"} and len(beside) == 2
    for part in beside:
        (found,) = part.baselines
        assert (found.label, found.score.values) == ("word counts, all 9,700 texts", (0.7, 0.8))
        assert part.configurations[0].score.values == pytest.approx((here["metrics"]["test"]["top1"],))


def test_references_are_told_apart_by_what_they_are_and_the_later_of_two_counts() -> None:
    method = {"spec": "WordCounts(texts='same')", "name": "WordCounts", "config": {"texts": "same"}}
    again = reference(0, 0.75, label="of another seed", provenance={"ended": "2025-02-01T00:00:00+00:00"})
    (part,) = groups([record(PROBE, 0), again, reference(0, 0.7), reference(1, 0.72), reference(0, 0.6, method=method)])
    found = {one.label: one.score.values for one in part.baselines}
    assert found == {"WordCounts(texts='same')": (0.6,), "of another seed": (0.75, 0.72)}
    assert [one.number for one in part.baselines] == [0, 1]


def test_references_alone_are_no_group(tmp_path: Path) -> None:
    assert groups([reference(0, 0.7)]) == []
    Records(tmp_path).write(reference(0, 0.7))
    assert [path.name for path in redraw(tmp_path)] == ["table.csv", "table.parquet", "README.md", "report.html"]
    assert "0 final (none), 0 for tuning (none), 1 of baselines without a network (1 ok)" in text(tmp_path)
    assert ",reference," in (tmp_path / "table.csv").read_text()


def part(task: str, model: str = "vit", spec: str = "", **changes: Any) -> Group:
    """A group of one run."""
    named = {"task": {"spec": spec or task, "name": task}, "model": {"spec": model, "name": model}}
    (made,) = groups([record(PROBE, 0, **named, **changes)])
    return made


def test_a_name_is_as_short_as_tells_groups_apart() -> None:
    assert slugs([part("elpv"), part("Rotten tomatoes")]) == ["elpv", "rotten-tomatoes"]
    assert slugs([part("elpv"), part("elpv", "cnn"), part("news")]) == ["elpv-vit", "elpv-cnn", "news"]
    assert headings([part("elpv"), part("elpv", "cnn"), part("news")]) == ["elpv, vit", "elpv, cnn", "news"]
    assert titles([part("elpv"), part("news")]) == ["elpv, vit", "news, vit"]
    assert titles([part("elpv"), part("news", environment=H100)])[1] == "news, vit, H100, 2 threads, bf16"


@pytest.mark.parametrize(
    "alike",
    [
        [part("elpv", spec="elpv, 400"), part("elpv", spec="elpv, 800")],
        [part("elpv"), part("elpv", environment=H100)],
        [part("a b"), part("a-b")],
        [part("日本"), part("中国")],
        [part("a", "b"), part("a", "c"), part("a-b", "d"), part("A_b", "d", spec="other")],
    ],
    ids=["specs", "devices", "marks", "letters", "mixed"],
)
def test_no_two_groups_share_a_name(alike: list[Group]) -> None:
    names = slugs(alike)
    assert len(set(names)) == len(alike) and all(names)
    assert len(set(titles(alike))) == len(set(headings(alike))) == len(alike)


def test_groups_stand_in_the_order_in_which_they_began() -> None:
    early, late = record(PROBE, 0, **NEWS), record(PROBE, 0, **REVIEWS)
    unknown = record(PROBE, 0, provenance=None)
    assert [one.task for one in groups([late, unknown, early])] == ["news", "reviews", "elpv"]


def test_the_overview_is_drawn_only_for_several_groups(tmp_path: Path) -> None:
    figures = tmp_path / "figures"
    keep(tmp_path, [PROBE, *LORAS[:2]])
    redraw(tmp_path)
    assert (figures / "learning_curves.png").exists() and not (figures / "overview.png").exists()
    assert "## Overview" not in text(tmp_path)
    keep(tmp_path, [PROBE, *LORAS[:2]], **REVIEWS)
    Records(tmp_path).write(reference(0, 0.8))
    written = redraw(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert redraw(tmp_path) == written
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    without = ("importance", "accuracy_vs_memory", "time_to_target")  # several hyper-parameters, memory, long curves
    kinds = [kind.name for kind in KINDS if kind.name not in without]
    names = {f"{kind}.{task}" for kind in kinds for task in ("elpv", "reviews")} | {"overview", "learning_rate"}
    names |= {"pareto_fronts", "performance_profiles", "ranking"}
    assert {path.name for path in figures.glob("*.*")} == {f"{name}.png" for name in names}
    page = text(tmp_path)
    assert page.index("(figures/overview.png)") < page.index("## What ran") < page.index("## elpv, vit")
    for path in Records(tmp_path).runs.iterdir():
        if '"reviews"' in path.read_text():
            path.unlink()
    redraw(tmp_path)
    assert sorted(path.name for path in figures.glob("*.png")) == sorted(
        f"{kind}.png" for kind in [*kinds, "learning_rate", "pareto_fronts"]
    )


def test_the_table_over_groups_has_a_row_a_configuration() -> None:
    narrow = ("Houlsby", {"width": 8}, 9_000, 0.7, 1.0)
    wide = ("Houlsby", {"width": 64}, 64_000, 0.8, 1.0)
    runs = [record(case, seed) for case in (PROBE, LORAS[1], wide) for seed in (0, 1, 2)]
    runs += [news(case, 0) for case in (PROBE, LORAS[0], narrow)]
    rows = across(groups([*runs, reference(0, 0.7), reference(1, 0.7)])).splitlines()
    assert rows[0] == "| method | news: Matthews correlation | elpv: top-1 accuracy |"
    assert rows[2:] == [
        "| linear probe | 0.320 | 0.814 (0.799 to 0.829) |",
        "| Houlsby adapter `Houlsby(width=8)` | 0.200 | – |",
        "| Houlsby adapter `Houlsby(width=64)` | – | 0.800 (0.785 to 0.815) |",
        "| LoRA r=1 | 0.346 | – |",
        "| LoRA r=2 | – | 0.848 (0.833 to 0.863) |",
        "| *word counts, all 9,700 texts* (baseline) | – | 0.700 |",
    ]


def test_the_page_says_what_holds_for_which_task(tmp_path: Path) -> None:
    counts = {"train_images": 400, "test_truncated": 0, "git_sha": "0123456789ab"}
    keep(tmp_path, [PROBE], provenance=counts | {"started": "2025"})  # a record of the time before there was text
    longer = {"lr": 1e-3, "epochs": 9, "precision": "bf16"}
    for seed in (0, 1):
        more = REVIEWS["provenance"] | {"train_samples": 1200, "duplicates_removed": 132, "train_truncated": 3 + seed}
        Records(tmp_path).write(record(PROBE, seed, **REVIEWS | {"provenance": more}, training=longer))
        Records(tmp_path).write(reference(seed, 0.8 + seed / 100))
    redraw(tmp_path)
    for said in (
        "5 final (5 ok), 0 for tuning (none), 2 of baselines without a network (2 ok)",
        "- **Budget**: elpv: epochs 3; reviews: epochs 9; all: precision bf16\n",
        "- **Training samples**: elpv: 400; reviews: 1,200\n",
        "- **Left out or cut**: duplicates removed 132, train truncated 3–4 (reviews)\n",
        "- **Baseline**: word counts, all 9,700 texts: 0.805 (0.741 to 0.869 over 2 seeds), "
        "C chosen on validation from 2 candidates.\n",
        "| *word counts, all 9,700 texts* (baseline) |  |  | 0.805 | 0.741 to 0.869 | 2 |  |  |",
    ):
        assert said in text(tmp_path)
    assert "Best mean: linear probe" in text(tmp_path)


def test_an_axis_reaches_references_unless_they_press_the_methods_together() -> None:
    runs = [record(case, seed) for case in LORAS for seed in (0, 1, 2)]
    values = {"near": 0.83, "above": 0.88, "far": 0.4}
    baselines = [reference(0, v, method={"spec": k, "name": k, "label": k}) for k, v in values.items()]
    (made,) = groups([*runs, *baselines])
    found = reach(made)
    assert [one.label for one in found.shown] == ["above", "near"]
    assert found.low < 0.83 and found.high > 0.88
    assert beyond([made], [found]) == ["Far (0.400) lies below the axis."]
    with drawing():
        figure = KINDS[0].draw(made).figure
    assert "Far (0.400) lies below the axis." in " ".join(figure.get_supxlabel().split())
    (single,) = groups([*runs[:1], *baselines])
    assert not reach(single).beyond, "one configuration cannot be pressed against another"


NEAR = [
    reference(seed, value + 0.002 * seed, method={"spec": name, "name": name, "label": name})
    for name, value in {"word counts + logistic regression, all 9,700 texts": 0.850,
                        "word counts + logistic regression, the same 400 texts": 0.815, "majority class": 0.79}.items()
    for seed in (0, 1)
]  # fmt: skip


@pytest.mark.parametrize("name", ["accuracy_vs_parameters", "accuracy_vs_memory"])
def test_lines_of_references_are_named_without_overlap(name: str) -> None:
    (made,) = groups([*(record(case, seed) for case in STUDY for seed in (0, 1, 2)), *NEAR])
    with drawing():
        figure = next(kind for kind in KINDS if kind.name == name).draw(made).figure
        assert overlaps(figure) == []
        said = " ".join(" ".join(text for text, _ in boxes(figure)).split())
    for one in made.baselines:
        assert f"{one.label} {one.score.mean:.3f}" in said


@pytest.mark.parametrize("number", [2, 3, 5])
def test_no_text_of_the_overview_overlaps_another(number: int) -> None:
    runs = [record(case, seed) for case in STUDY for seed in (0, 1, 2)]
    runs += [news(case, seed) for case in STUDY for seed in (0, 1, 2)]
    for task in range(number - 2):
        named = other_task(f"a-task-with-a-long-name-{task}", model="vit_small_patch14_dinov2", started=f"202{task}")
        runs += [record(case, seed, **named) for case in STUDY[:-task] or STUDY for seed in (0, 1)]
    with drawing():
        figure = overview(groups([*runs, *NEAR])).figure
        assert overlaps(figure) == []
    assert len(figure.axes) == number + number // 5 + 1  # an empty place in the last row, and the legend
    said = [text for text, _ in boxes(figure)]
    assert said.count("r=1") == said.count("r=64") == number
    assert "LoRA, rank 1 … 64" in said and "Matthews correlation (test)" in said
    assert any(text.startswith("majority class (elpv)") for text in said)
