"""The figures over several tasks: colours that show sign and noise, costs that differ, curves that are whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.records import Records
from bench.report import redraw
from bench.report.data import tradeoffs
from bench.report.data.budgets import budgets
from bench.report.data.groups import Group, groups
from bench.report.figures import (
    best_so_far,
    forgetting,
    heatmaps,
    learning_curves,
    pareto,
    placements,
    profiles,
    samples,
)
from bench.report.style import _luminance, drawing
from tests.report.test_figures import MANY, PLACES, guessing, study
from tests.support.report_records import FULL, LORAS, PROBE, RIVALS, Case, boxes, other_task, overlaps, record, tuned

AP = {"spec": "Detection()", "name": "trees", "family": "detection", "metric": "box_ap"}


def scored(case: Case, seed: int, value: float, **changes: Any) -> dict[str, Any]:
    metric = (changes.get("task") or {}).get("metric", "top1")
    return record(case, seed, metrics={"val": {metric: value}, "test": {metric: value}}, **changes)


def cells(figure: Any) -> dict[tuple[int, int], Any]:
    """Texts of a heat map by column and row."""
    return {tuple(map(round, text.get_position())): text for text in figure.axes[0].texts}


def two_metrics() -> list[Group]:
    """Differences of some points of accuracy, and of a tenth as much AP."""
    runs = []
    for seed in (0, 1, 2):
        small = 0.0001 * seed
        runs += [scored(FULL, seed, 0.8 + small), scored(PROBE, seed, 0.74), scored(LORAS[3], seed, 0.83 - small)]
        runs += [scored(FULL, seed, 0.03, task=AP), scored(PROBE, seed, 0.024 + small, task=AP)]
        runs += [scored(LORAS[3], seed, 0.0303 + 0.00001 * seed, task=AP)]
    return groups(runs)


def test_every_task_has_colours_of_its_own_and_the_sign_is_seen_in_grey() -> None:
    with drawing():
        figure = heatmaps.difference_map(two_metrics()).figure
        assert overlaps(figure) == []
    image = figure.axes[0].get_images()[0]
    shades = image.to_rgba(image.get_array())[..., :3]
    grey = np.array([[_luminance(tuple(cell)) for cell in row] for row in shades])
    probe, lora = 0, 1
    assert np.allclose(grey[probe, 0], grey[probe, 1], atol=0.02), "the largest loss of each task is as dark"
    assert grey[probe, 0] < 0.12 < 0.3 < grey[lora].min(), "what is better never is dark"
    said = cells(figure)  # AP before accuracy
    assert said[1, probe].get_text().startswith("▼ −6.0") and said[1, lora].get_text().startswith("▲ +3.0")
    assert said[0, lora].get_text().startswith("▲ +0.03"), "digits until the side of 0 is seen"
    assert all(text.get_fontweight() == "bold" for text in said.values())


def test_a_difference_that_may_be_none_says_so_without_colour_of_its_own() -> None:
    runs = [
        scored(case, seed, 0.8 + 0.02 * ((seed + n) % 3)) for n, case in enumerate((FULL, PROBE)) for seed in (0, 1, 2)
    ]
    with drawing():
        figure = heatmaps.difference_map(groups(runs)).figure
    (text,) = cells(figure).values()
    assert text.get_text() == "0.0 (−8.6 to +8.6)" or (text.get_text()[0] in "△▽" and text.get_fontweight() == "normal")
    assert abs(float(figure.axes[0].get_images()[0].get_array()[0, 0])) < 0.5


def test_placements_are_coloured_no_finer_than_noise_and_stand_beside_probe_and_full() -> None:
    group = study([PROBE, FULL, *[(n, c, b, 0.80 + 0.0005 * i, t) for i, (n, c, b, _, t) in enumerate(PLACES)]])
    with drawing():
        figure = placements.placements([group]).figure
        assert overlaps(figure) == []
    image = figure.axes[0].get_images()[0]
    low, high = image.get_clim()
    assert high - low >= 4 * 0.0059 and low < 0.8 < high
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["q", "q+v", "attention", "MLP", "linear probe", "full fine-tuning"]
    assert "0.814 ±0.015" in {text.get_text() for text in figure.axes[0].texts}


def test_placements_of_several_tasks_have_the_same_rows() -> None:
    here = [record(case, seed) for case in PLACES for seed in (0, 1)]
    there = [record(case, seed, **other_task("b", started="2026")) for case in PLACES[:2] for seed in (0, 1)]
    with drawing():
        figure = placements.placements(groups([*here, *there])).figure
    assert [ax.get_images()[0].get_array().shape for ax in figure.axes] == [(4, 1), (4, 1)]
    assert sum(text.get_text() == "–" for text in figure.axes[0].texts) == 2


def test_budgets_go_down_from_the_largest() -> None:
    group = study([PLACES[0], PLACES[3], LORAS[0], LORAS[1]])
    found = budgets({c: float(c.backbone) for c in group.configurations})
    assert sorted(found.values()) == [18_432, 36_864, 331_776, 331_776]


def test_a_cost_that_does_not_vary_has_no_panel_and_is_named() -> None:
    alike = study([PROBE, FULL, *PLACES])
    parameters, _, seconds = tradeoffs.COSTS
    assert (
        not parameters.varies(alike)
        and parameters.varies(study([FULL, *LORAS]))
        and parameters.varies(study([FULL, LORAS[0]]))
    )
    assert not seconds.varies(study(PLACES[:2]))
    with drawing():
        figure = pareto.fronts([alike]).figure
        assert overlaps(figure) == []
        both = pareto.fronts([alike, study([PROBE, FULL, *LORAS], **other_task("b"))]).figure
        assert overlaps(both) == []
    assert "No column for trainable backbone parameters" in " ".join(figure.get_supxlabel().split())
    said = [text.replace("\n", " ") for text, _ in boxes(both)]
    assert any("332k for all of these" in text and "but linear probe (0) and full" in text for text in said)


def test_what_trains_nothing_stands_on_the_front_at_the_edge() -> None:
    group = study([PROBE, FULL, *LORAS[:3]])
    with drawing():
        figure = pareto.fronts([group]).figure
    ax = figure.axes[0]
    marks = [line.get_xdata()[0] for line in ax.get_lines() if line.get_marker() == "d"]
    assert ax.get_xlim()[0] < marks[0] < LORAS[0][2] and "linear probe" in {text for text, _ in boxes(figure)}


@pytest.mark.parametrize("cases", [[PROBE, FULL], [FULL, LORAS[3]], [PROBE, FULL, *MANY]], ids=["2", "2 more", "27"])
def test_every_method_on_a_front_or_off_it_is_named(cases: list[Case]) -> None:
    group = study(cases)
    with drawing():
        said = " ".join(text for text, _ in boxes(pareto.fronts([group]).figure))
    assert all(c.label in said for c in group.configurations)


def test_profiles_show_every_run_or_say_that_they_do_not() -> None:
    def drawn(worst: float) -> Any:
        runs = []
        for name in ("a", "b"):
            for seed, more in enumerate((0.0, worst, 0.0)):
                named = other_task(name)
                runs += [scored(PROBE, seed, 0.5 + more, **named), scored(FULL, seed, 0.9, **named)]
                runs += [scored(case, seed, 0.7 + 0.01 * seed, **named) for case in LORAS]
        with drawing():
            return profiles.profiles(groups(runs)).figure

    near, far = drawn(-0.15), drawn(-5.0)
    assert "beyond the axis" not in near.get_supxlabel() and "runs lie beyond the axis" in far.get_supxlabel()
    for line in near.axes[0].get_lines():
        assert (line.get_ydata()[0], line.get_ydata()[-1]) == (1.0, 0.0)


def test_intervals_of_learning_and_forgetting_stay_in_the_panel_beside_the_line_of_chance() -> None:
    old = {"spec": "Text('old')", "name": "old", "family": "text", "metric": "top1"}
    runs = []
    for case, new, left in ((PROBE, 0.60, 0.9), (FULL, 0.66, 0.4), (LORAS[3], 0.65, 0.8)):
        for seed, off in enumerate((-0.01, 0.0, 0.01)):
            metrics = {"val": {"top1": new}, "test": {"top1": new + off}}
            metrics |= {"retained": {"top1": left + off}, "untouched": {"top1": 0.9}}
            runs.append(record(case, seed, metrics=metrics, retained=old))
    (group,) = groups([*runs, *guessing(0.55)])
    with drawing():
        figure = forgetting.learning_vs_forgetting([group]).figure
        assert overlaps(figure) == []
    ax = figure.axes[0]
    for c in group.configurations:
        low, high = c.score.interval or (0.0, 0.0)
        assert ax.get_xlim()[0] <= low and high <= ax.get_xlim()[1]
    said = " ".join(text for text, _ in boxes(figure))
    assert "beyond it" not in said and "left" not in said and "drift, not knowledge" in " ".join(said.split())
    assert "chance" in said.split("\n")[0] or "Chance (0.500) lies below the axis." in " ".join(said.split())


def test_many_searches_have_a_panel_each_and_few_have_one() -> None:
    tried = [({"lr": 10.0**-n}, "ok", 0.7 + 0.02 * n) for n in (4, 3, 2)]
    few, many = MANY[:8], MANY[:9]
    for cases, panels in ((few, 1), (many, 9)):
        (group,) = groups([
            run for case in cases for run in tuned(case, tried, trail={"search": f"elpv vit {case[0]} 1f3a9c20"})
        ])  # fmt: skip
        with drawing():
            figure = best_so_far.best_so_far(group).figure
            assert overlaps(figure) == []
        assert sum(bool(ax.get_lines()) for ax in figure.axes) == panels
        said = " ".join(text for text, _ in boxes(figure))
        assert all(case[0] in said for case in cases)


def test_learning_curves_keep_to_what_a_score_can_be() -> None:
    def curve(seed: int) -> list[Any]:
        return [{"epoch": n, "val": {"top1": 0.9 - (0.5, 0.05, 0.01)[n - 1] * seed / 2}} for n in (1, 2, 3)]

    (group,) = groups([record(case, seed, curve=curve(seed)) for case in (PROBE, FULL) for seed in (0, 1, 2)])
    with drawing():
        figure = learning_curves.learning_curves(group).figure
    low, high = figure.axes[0].get_ylim()
    assert high <= 1.02 and low > 0 and "go on beyond it" in figure.get_supxlabel()


def test_samples_of_one_size_stand_on_one_band_with_baselines_and_chance() -> None:
    runs: list[Any] = []
    for n in (20, 200):
        task = {"spec": f"Images('elpv', train={n})", "name": "elpv", "family": "images", "metric": "top1"}
        known = {"task": task, "provenance": {"train_samples": n}}
        runs += [scored(case, seed, 0.55 + 0.0005 * n + 0.01 * seed, **known)
                 for case in (PROBE, FULL, RIVALS[0]) for seed in (0, 1, 2)]  # fmt: skip
        runs += [one | {"task": task} for one in guessing(0.52)]
    with drawing():
        figure = samples.against_samples(groups(runs)).figure
        assert overlaps(figure) == []
    said = [text for text, _ in boxes(figure)]
    assert {"chance", "majority class", "20", "200"} <= set(said)
    assert len(figure.axes[0].patches) == 2


@pytest.mark.long
def test_a_study_of_new_methods_alone_is_drawn_twice_the_same(tmp_path: Any) -> None:
    for case in [FULL, *MANY[:12]]:
        for seed in (0, 1):
            Records(tmp_path).write(record(case, seed, tuning=None))
    redraw(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    (tmp_path / "drawn.json").unlink()
    redraw(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
