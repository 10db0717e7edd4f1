"""The visual language: looks that never collide, numbers that show on which side of 0 they lie."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bench.report import style
from bench.report.data.chance import chance
from bench.report.data.details import told
from bench.report.data.groups import groups, methods
from tests.support.report_records import PROBE, STUDY, other_task, record, reference

KNOWN = sorted({case[0] for case in STUDY} | {"LayerNormTuning"})


def given(names: Sequence[str]) -> list[style.Look]:
    with style.looks(names):
        return [style.look(name) for name in names]


def test_new_methods_get_free_colours_and_markers_in_order() -> None:
    names = [f"New{number}" for number in range(6)]
    looks = given([*KNOWN, *names])
    assert len({one.colour for one in looks}) == len({one.marker for one in looks}) == len(KNOWN) + 6
    assert [one.name for one in looks[-6:]] == names


@pytest.mark.parametrize("number", [7, 25, 150])
def test_more_methods_than_colours_differ_in_marker_or_dash(number: int) -> None:
    looks = given([*KNOWN, *(f"Method{n:03}" for n in range(number))])
    assert len({(one.colour, one.marker, one.dash) for one in looks}) == len(KNOWN) + number
    near = looks[-number:][:36]
    assert len({(one.colour, one.marker) for one in near}) == len(near), "up to 36, no dash is needed"


def test_looks_depend_on_which_methods_there_are_and_not_on_their_order() -> None:
    names = ["Zeta", "LoRA", "Alpha", "Mu"]
    assert given(names) == list(reversed(given(names[::-1])))
    assert given(["LoRA", "LoRA"]) == [style.look("LoRA")] * 2
    with style.looks(["Zeta"]):
        outer = style.look("Zeta")
        with style.looks(["Alpha", "Zeta"]):
            assert style.look("Zeta") != style.look("Alpha") == style._free(0, "Alpha")
        assert style.look("Zeta") == outer
    assert style.look("Zeta").name == "Zeta", "without a set of methods it has a look all the same"


def test_the_methods_of_a_study_are_those_of_all_its_runs_but_baselines() -> None:
    tried = record(("Tried", {}, 5, 0.8, 1.0), 0, phase="tune")
    assert methods(groups([record(PROBE, 0), tried, reference(0, 0.7)])) == {"LinearProbe", "Tried"}


@pytest.mark.parametrize(
    ("number", "digits", "said"),
    [(1.24, 1, "+1.2"), (-2.4, 1, "−2.4"), (0.04, 1, "+0.04"), (-0.0004, 1, "−0.0004"), (0.0, 1, "0.0"),
     (-1e-12, 1, "0.0"), (-0.049, 1, "−0.05"), (0.0004, 3, "+0.0004"), (10.0, 1, "+10.0")],
)  # fmt: skip
def test_a_difference_has_the_digits_that_show_its_side_of_0(number: float, digits: int, said: str) -> None:
    assert style.signed(number, digits) == said


def test_chance_is_one_in_as_many_classes_as_a_baseline_says() -> None:
    majority = {"spec": "MajorityClass()", "name": "MajorityClass", "label": "majority class"}
    runs = [record(PROBE, 0)]
    known = [
        reference(seed, 0.69, method=majority, provenance={"classes": 4 - seed, "majority": 0.69}) for seed in (0, 1)
    ]
    assert chance(groups(runs)[0]) is None
    assert chance(groups([*runs, reference(0, 0.7)])[0]) is None
    assert chance(groups([*runs, *known])[0]) == 0.25
    named = other_task("t", metric="macro_f1")
    score = {"val": {"macro_f1": 0.7}, "test": {"macro_f1": 0.7}}
    (group,) = groups([
        record(PROBE, 0, **named, metrics=score),
        reference(0, 0.5, **named | {"metrics": score, "method": majority, "provenance": {"classes": 2}}),
    ])  # fmt: skip
    assert group.baselines and chance(group) is None, "of F1, guessing is not 1/k"


def test_methods_are_called_as_their_papers_call_them() -> None:
    assert style.label("LoRAPlus", "LoRAPlus(rank=8)", "r=8") == "LoRA+ r=8"
    assert style.label("Together", "Together(LoRA(rank=8, at=('q', 'v')), BitFit())", "") == "LoRA + BitFit"
    assert style.label("Mine", "Mine(3)", "") == "Mine"


def test_of_one_factor_at_a_time_a_label_says_the_factor() -> None:
    reference = {"rank": 8, "alpha": 16.0, "dropout": 0.0, "at": ["q", "v"], "rank_stabilised": False, "blocks": None}
    changed = ({"dropout": 0.1}, {"rank": 64, "rank_stabilised": True}, {"at": ["k"]}, {"blocks": -2})
    alike = [reference, *(reference | change for change in changed)]
    assert [told(one, alike) for one in alike] == [
        "r=8 q+v", "r=8 dropout 0.1 q+v", "r=64 q+v rank stabilised", "r=8 k", "r=8 q+v last 2 blocks",
    ]  # fmt: skip
    assert [told(one, [{"x": 1}, {"x": 2}]) for one in ({"x": 1}, {"x": 2})] == ["x 1", "x 2"]
