"""What stands where in a figure: true places, what lies beyond an axis, chance; few methods and many."""

from __future__ import annotations

from typing import Any

import pytest

from bench.report.data.budgets import crowded
from bench.report.data.groups import Group, groups
from bench.report.figures import axis, overview, scatter
from bench.report.style import column, drawing, look
from tests.support.report_records import (
    FULL,
    LORAS,
    PROBE,
    RIVALS,
    STUDY,
    Case,
    boxes,
    other_task,
    overlaps,
    record,
    reference,
)

PLACES: list[Case] = [
    ("LoRA", {"rank": rank, "alpha": 16.0, "at": at}, 331_776 - 9_000 * (rank == 7), 0.80 + 0.002 * rank, 9.0)
    for rank, at in ((36, ["q"]), (18, ["q", "v"]), (9, ["q", "k", "v", "o"]), (7, ["up", "down"]))
]
MAJORITY = {"spec": "MajorityClass()", "name": "MajorityClass", "label": "majority class"}
MANY: list[Case] = [(f"Method{n:02}", {}, 5_000 * (n + 1), 0.8 + 0.003 * (n % 9), 5.0 + n) for n in range(25)]


def study(cases: list[Case], *more: Any, seeds: Any = (0, 1, 2), **changes: Any) -> Group:
    (group,) = groups([*(record(case, seed, **changes) for case in cases for seed in seeds), *more])
    return group


def guessing(share: float = 0.69, classes: int = 2) -> list[Any]:
    known = {"classes": classes, "majority": share}
    return [reference(seed, share, method=MAJORITY, provenance=known) for seed in (0, 1)]


def marks(ax: Any, name: str) -> set[float]:
    """Where on the x axis the marks of a method stand."""
    lines = [line for line in ax.get_lines() if line.get_marker() == look(name).marker]
    return {float(x) for line in lines for x in line.get_xdata()}


@pytest.mark.parametrize("narrow", [False, True], ids=["page", "column"])
def test_a_point_stands_at_its_own_parameters_beside_others_of_the_same(narrow: bool) -> None:
    alike: list[Case] = [(name, config, 595_200, 0.855, 9.0) for name, config, *_ in RIVALS[1:4]]
    group = study([PROBE, FULL, *LORAS, *alike])
    assert not crowded(group)
    with drawing():
        if narrow:
            with column():
                ax = overview.overview([group]).figure.axes[0]
        else:
            ax = scatter.against_parameters(group).figure.axes[0]
    for name in ("Houlsby", "Pfeiffer", "AdaptFormer"):
        assert marks(ax, name) == {595_200.0}
    assert marks(ax, "LoRA") == {float(case[2]) for case in LORAS}


@pytest.mark.parametrize(
    ("cases", "said"),
    [
        ([PROBE, FULL, *PLACES], True), (PLACES[:2], True), ([*PLACES, LORAS[0], LORAS[1]], True), (STUDY, False),
        ([PROBE, FULL, LORAS[0]], False), ([LORAS[0]], False), ([FULL], False), ([PLACES[0], LORAS[0], FULL], False),
        ([*PLACES[:2], *LORAS], False),
    ],
)  # fmt: skip
def test_an_axis_of_parameters_says_nothing_where_most_are_of_one_budget(cases: list[Case], said: bool) -> None:
    assert crowded(study(cases)) is said


@pytest.mark.parametrize("number", [1, 2, 4])
@pytest.mark.parametrize("narrow", [False, True], ids=["page", "column"])
def test_a_study_of_equal_parameters_has_a_row_a_configuration(number: int, narrow: bool) -> None:
    cases = [PROBE, FULL, *PLACES]
    named = [other_task(f"task-{n}", model="vit_small_patch14", started=f"202{n}") for n in range(number)]
    parts = groups([record(case, seed, **one) for one in named for case in cases for seed in (0, 1)])
    with drawing():
        if narrow:
            with column():
                figure = overview.overview(parts).figure
        else:
            figure = overview.overview(parts).figure if number > 1 else scatter.against_parameters(parts[0]).figure
        assert overlaps(figure) == []
    said = [text for text, _ in boxes(figure)]
    assert said.count("332k") == 3 * number and said.count("323k") == number
    ax = figure.axes[0]
    labels = [label.get_text().replace("\n", " ") for label in ax.get_yticklabels()]
    assert labels[0] == "linear probe" and labels[-1] == "full fine-tuning" and "LoRA r=36 q" in labels
    assert marks(ax, "FullFineTuning") == {parts[0].of("FullFineTuning")[0].score.mean}


def test_configurations_of_equal_parameters_stand_in_rows_by_memory_too() -> None:
    peaks = {"FullFineTuning": 900, "LinearProbe": 300}
    runs = [
        record(case, seed, memory={"kind": "foretold", "peak": (peaks.get(case[0]) or 500 - case[1]["rank"]) << 20})
        for case in (PROBE, FULL, *PLACES) for seed in (0, 1)
    ]  # fmt: skip
    with drawing():
        figure = scatter.against_memory(groups([*runs, *guessing()])[0]).figure
        assert overlaps(figure) == []
        texts = groups([run | {"task": run["task"] | {"family": "text"}} for run in runs])[0]
        assert "Texts are" in scatter.against_memory(texts).figure.get_supxlabel()
    assert "Texts are" not in figure.get_supxlabel()
    left = figure.axes[0]
    rows = [label.get_text() for label in left.get_yticklabels()]
    assert [row.split()[1] for row in rows] == ["probe", "r=36", "r=18", "r=9", "r=7", "fine-tuning"]
    ends = [float(line.get_xdata()[-1]) for line in left.get_lines()[::2]]
    assert ends == [300, 464, 482, 491, 493, 900] and left.get_xlim()[0] == 0


def test_the_legend_of_rows_stays_in_the_figure() -> None:
    texts = [f"TF-IDF + logistic regression, {which} texts" for which in ("all 7,842", "same 1,200")]
    methods = [{"spec": name, "name": "WordCounts", "label": name} for name in texts]
    more = [reference(seed, 0.75 + seed / 100, method=method) for method in methods for seed in (0, 1)]
    every = {"at": ["q", "k", "v", "o", "up", "down"], "rank": 8}
    long: list[Case] = [("LoRA", {**every, "blocks": n}, 331_776, 0.8, 9.0) for n in (-3, -6)]
    with drawing():
        group = study([PROBE, FULL, *PLACES, *long], *guessing(), *more)
        assert overlaps(scatter.against_parameters(group).figure) == []


def test_what_lies_below_the_axis_stands_in_a_band_with_its_number() -> None:
    far: Case = ("BitFit", {}, 51_456, 0.45, 1.0)
    group = study([PROBE, FULL, far, *LORAS])
    reach = axis.reach(group)
    assert reach.low < reach.floor < 0.82 and reach.at(0.45) == pytest.approx((reach.low + reach.floor) / 2)
    assert reach.at(reach.floor) == reach.floor and axis.reach(study(STUDY)).low == axis.reach(study(STUDY)).floor
    with drawing():
        for figure in (scatter.against_parameters(group).figure, overview.overview([group]).figure):
            (mark,) = [line for line in figure.axes[0].get_lines() if line.get_marker() == look("BitFit").marker]
            assert mark.get_ydata()[0] == pytest.approx(reach.at(0.45)) and mark.get_fillstyle() == "full"
            said = [text for text, _ in boxes(figure)]
            assert any("0.45" in text or "0.44" in text for text in said) and "below\nthe axis" in said


def test_an_axis_ends_about_where_scores_do() -> None:
    reach = axis.reach(study([("LoRA", {"rank": 1}, 5_000, 0.99, 1.0), ("BitFit", {}, 9_000, 0.4, 1.0), FULL]))
    assert 1.0 < reach.high < 1.03
    low = axis.reach(study([("LoRA", {"rank": 1}, 5_000, 0.008, 1.0), ("BitFit", {}, 9_000, 0.4, 1.0), FULL]))
    assert -0.03 < low.low <= 0.01


@pytest.mark.parametrize("draw", [scatter.against_parameters, scatter.against_memory, lambda g: overview.overview([g])])
def test_chance_and_majority_are_lines_of_an_accuracy_figure(draw: Any) -> None:
    peaks = {"peak": 2**28, "kind": "foretold"}
    wide = [PROBE, FULL, ("LoRA", {"rank": 1}, 5_000, 0.6, 1.0), ("BitFit", {}, 9_000, 0.65, 1.0)]
    group = study(wide, *guessing(), memory=peaks)
    assert axis.reach(group).guessing == 0.5
    with drawing():
        figure = draw(group).figure
        assert overlaps(figure) == []
    lines = {(float(line.get_ydata()[0]), line.get_color()) for line in figure.axes[0].get_lines()}
    assert {(0.5, "#7D5A3C"), (0.69, "#7D5A3C")} <= lines
    said = " ".join(text for text, _ in boxes(figure))
    assert "chance" in said and "majority class" in said.replace("\n", " ") and "foretold" not in said


def test_a_baseline_whose_mean_the_axis_reaches_is_drawn_though_its_interval_is_too_long() -> None:
    low = axis.reach(study([PROBE, FULL, *LORAS]), pressed=1.0).low
    wide = [reference(seed, low + 0.002 + off, method=MAJORITY) for seed, off in ((0, -0.2), (1, 0.2))]
    reach = axis.reach(study([PROBE, FULL, *LORAS], *wide), pressed=1.0)
    assert [baseline.label for baseline in reach.shown] == ["majority class"] and not reach.far and reach.cut


def test_tasks_that_lie_beyond_an_axis_are_told_in_one_sentence() -> None:
    parts = [study([PROBE, FULL, *LORAS], **other_task(name)) for name in ("a", "b", "c")]
    far = [([("chance", score)], 0.6) for score in (0.5, 0.5, 0.1)]
    assert axis.outside(parts, far) == ["Chance (0.500 on a and b; 0.100 on c) lies below the axis."]


def test_groups_of_one_task_and_model_are_told_apart_over_their_figures() -> None:
    sizes = [other_task("elpv", started=f"202{n}") for n in (1, 2)]
    for changes, n in zip(sizes, (20, 1400), strict=True):
        changes["task"] = {**changes["task"], "spec": f"Images('elpv', train={n})"}
    parts = groups([record(case, seed, **one) for one in sizes for case in (PROBE, FULL) for seed in (0, 1)])
    assert [group.title.split(", ")[1] for group in parts] == ["train=20", "train=1400"]
    with drawing():
        figure = scatter.against_parameters(parts[0]).figure
    assert "train=20" in figure.axes[0].get_title(loc="left")
    assert study([PROBE]).title == study([PROBE]).subject


def test_chance_that_would_press_the_methods_together_is_named_and_not_drawn() -> None:
    group = study([PROBE, FULL, *LORAS], *guessing(0.35, classes=10))
    reach = axis.reach(group)
    assert reach.guessing is None
    assert axis.beyond([group], [reach]) == [
        "Majority class (0.350) lies below the axis.", "Chance (0.100) lies below the axis."
    ]  # fmt: skip
    with drawing():
        figure = scatter.against_parameters(group).figure
        assert overlaps(figure) == []
    assert {"majority\nclass\n0.350 ↓", "chance\n0.100 ↓"} <= {text for text, _ in boxes(figure)} or (
        "majority class\n0.350 ↓" in {text for text, _ in boxes(figure)}
    )


@pytest.mark.parametrize("cases", [[LORAS[3]], [PROBE], [FULL], [PROBE, FULL], LORAS[:2], MANY], ids=str)
def test_few_methods_and_many_are_all_named(cases: list[Case]) -> None:
    group = study(cases)
    with drawing():
        for figure in (scatter.against_parameters(group).figure, overview.overview([group, group]).figure):
            said = " ".join(text.replace("\n", " ") for text, _ in boxes(figure))
            assert all(look(c.name).name in said for c in group.configurations)
