"""The report on tuning: budgets, best so far, learning rates, importance, gains; from records alone."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import permutations
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pytest

from bench.records import Records
from bench.report import redraw
from bench.report.data.expected_best import running_best
from bench.report.data.gains import agreement, gain
from bench.report.data.groups import Group, groups
from bench.report.data.searches import compared, searches
from bench.report.data.wording import budget, tuning
from bench.report.figures.best_so_far import best_so_far
from bench.report.figures.catalogue import OF_TUNING
from bench.report.figures.importance import draws_importance, enough, importance, importances, too_few
from bench.report.figures.learning_rate import figures as parted
from bench.report.figures.learning_rate import learning_rates
from bench.report.figures.points import Point, curves
from bench.report.page.runs import what_ran
from bench.report.page.tuning import tuning_section
from bench.report.style import drawing
from bench.report.tables.tidy import tidy
from tests.support.report_records import (
    FULL,
    LORAS,
    LR,
    PROBE,
    RIVALS,
    STUDY,
    THREE,
    Case,
    Tried,
    boxes,
    other_task,
    overlaps,
    record,
    text,
    trail,
    tuned,
)

FOUR: list[Tried] = [
    ({"lr": 1e-3}, "ok", 0.80), ({"lr": 4e-4}, "pruned", 0.70), ({"lr": 9.5e-3}, "ok", 0.86),
    ({"lr": 9e-3}, "diverged", None),
]  # fmt: skip
LOST: list[Tried] = [({"lr": 1e-3}, "diverged", None), ({"lr": 5e-3}, "out_of_memory", None)]
ONE: list[Tried] = [({"lr": 1e-3}, "ok", 0.8)]


def one(records: list[dict[str, Any]]) -> Group:
    (made,) = groups(records)
    return made


def write(folder: Path, records: list[dict[str, Any]]) -> Path:
    for made in records:
        Records(folder).write(made)
    redraw(folder)
    return folder


def wide(case: Case, number: int, *, names: tuple[str, ...] = ("lr", "weight_decay")) -> list[dict[str, Any]]:
    """A search over several hyper-parameters, of which the learning rate alone matters."""
    rng = np.random.default_rng(len(case[0]))
    tried: list[Tried] = []
    for _ in range(number):
        params = {name: float(f"{10 ** rng.uniform(-4, -2):.3g}") for name in names}
        tried.append((params, "ok", round(0.85 - 0.02 * (np.log10(params["lr"]) + 3) ** 2, 4)))
    return tuned(case, tried, trail={"space": dict.fromkeys(names, LR)})


def test_running_best_by_hand() -> None:
    # three trials, one without a score: of the three pairs one holds 0.6 alone, two hold 0.8
    first, second, third = running_best([0.8, 0.6], 3)
    assert (first.mean, first.low, first.high, first.sure) == (pytest.approx(0.7), 0.6, 0.8, False)
    assert (second.mean, second.low, second.high, second.sure) == (pytest.approx(2.2 / 3), 0.6, 0.8, True)
    assert (third.trials, third.mean, third.low, third.high) == (3, pytest.approx(0.8), 0.8, 0.8)
    assert running_best([], 3) == []


@pytest.mark.parametrize("lower", [False, True], ids=["higher", "lower"])
@pytest.mark.parametrize("scores", [(0.3, 0.9, 0.5, 0.7), (0.3, None, 0.5, 0.5), (None, None, None, 0.4)])
def test_running_best_is_that_of_all_orders(scores: tuple[float | None, ...], lower: bool) -> None:
    found = running_best([score for score in scores if score is not None], 4, lower=lower)
    for k, best in enumerate(found, 1):
        firsts = [[score for score in order[:k] if score is not None] for order in permutations(scores)]
        reached = sorted((min if lower else max)(first) for first in firsts if first)
        assert best.mean == pytest.approx(mean(reached))
        assert best.sure == all(firsts)
        better = sorted(-value for value in reached) if lower else reached
        ends = np.quantile(better, [0.025, 0.975], method="inverted_cdf")
        assert (best.low, best.high) == pytest.approx(tuple(sorted(abs(end) for end in ends)))
    assert len(found) == 4 and found[-1].mean == (min if lower else max)(s for s in scores if s is not None)


def test_many_trials_are_no_matter() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=30)
    best = running_best(list(scores), 40)[9]  # the first ten of forty, ten of which have no score
    padded = np.array([*scores, *[-np.inf] * 10])
    drawn = np.array([rng.permutation(padded)[:10].max() for _ in range(4000)])
    drawn = drawn[np.isfinite(drawn)]
    assert best.mean == pytest.approx(drawn.mean(), abs=0.03)
    assert best.low == pytest.approx(np.quantile(drawn, 0.025), abs=0.15)


def test_a_search_is_read_from_the_records_of_its_final_runs() -> None:
    (search,) = searches(one(tuned(LORAS[3], FOUR)))
    assert (search.label, search.metric, search.lower) == ("LoRA r=8", "top1", False)
    assert [trial.status for trial in search.trials] == ["ok", "pruned", "ok", "diverged"]
    assert [trial.number for trial in search.completed] == [0, 2]
    assert search.chosen is search.trials[2] and search.default_trial is search.trials[0]
    assert [run["seed"] for run in search.runs] == [run["seed"] for run in search.default_runs] == [0, 1, 2]


def test_trials_without_a_final_run_are_read_from_their_own_records() -> None:
    records = [r for r in tuned(LORAS[3], FOUR) if r["phase"] == "tune"]
    second = {**records[0], "metrics": {"val": {"top1": 0.9}}, "seed": 1001, "run_id": "0" * 16}
    for made in records:  # alpha is searched: a trial's own specification has its value
        made["trial"]["of"], made["method"]["spec"] = "LoRA(rank=8)", "LoRA(rank=8, alpha=30.0)"
    (search,) = searches(one([*records, second]))
    assert search.trail["method"] == "LoRA(rank=8)"
    assert [trial.score for trial in search.trials] == [pytest.approx(0.85), 0.70, 0.86, None]
    assert search.chosen is None and search.space == {}


def test_runs_with_default_values_are_no_configurations() -> None:
    group = one(tuned(LORAS[3], FOUR))
    (configuration,) = group.configurations
    assert configuration.label == "LoRA r=8" and {run["phase"] for run in configuration.runs} == {"final"}
    assert all(run["training"]["lr"] == 9.5e-3 for run in configuration.runs)


def test_gain_is_paired_by_seed() -> None:
    records = tuned(PROBE, FOUR, gain=0.01)
    for made in records:
        if made["phase"] == "default" and made["seed"] == 2:
            made["metrics"]["test"]["top1"] -= 0.03
    (search,) = searches(one(records))
    found = gain(search, "top1").estimate
    assert found is not None and found.values == pytest.approx((0.01, 0.01, 0.04))
    assert found.interval == pytest.approx((-0.0230265, 0.0630265), abs=1e-6)


def test_no_gain_where_the_default_was_chosen_or_never_ended() -> None:
    (kept,) = searches(one(tuned(PROBE, THREE)))
    found = gain(kept, "top1")
    assert found.estimate is not None and found.estimate.values == (0.0, 0.0, 0.0) and found.reason
    bad = [r | {"status": "diverged", "metrics": {}} if r["phase"] == "default" else r for r in tuned(PROBE, FOUR)]
    (search,) = searches(one(bad))
    assert (gain(search, "top1").estimate, gain(search, "top1").reason) == (None, "the default configuration diverged")


def test_agreement_is_spearmans() -> None:
    pairs = [(0.1, 0.3), (0.2, 0.1), (0.3, 0.2), (0.4, 0.5), (0.5, 0.4), (0.6, 0.6)]
    records = tuned(PROBE, FOUR)
    tested = [r for r in records if r["phase"] != "tune"]
    for made, (validation, test) in zip(tested, pairs, strict=True):
        made["metrics"] = {"val": {"top1": validation}, "test": {"top1": test}}
    found = agreement(one(records))
    differences = [2, 1, 1, 1, 1, 0]  # of ranks: 1 - 6·8 / (6·35)
    assert found.rho == pytest.approx(1 - 6 * sum(d * d for d in differences) / (6 * 35))
    assert (found.runs, found.configurations) == (6, 2)
    alike = [r | {"metrics": {"val": {"top1": 0.5}, "test": {"top1": 0.5}}} for r in records]
    assert agreement(one(alike)).rho is None


def test_the_page_says_how_tuning_went(tmp_path: Path) -> None:
    records = tuned(PROBE, FOUR, trail={"edge": ["lr"]}) + tuned(LORAS[3], THREE)
    for run in records:
        trail = run.get("tuning") or {"method": ""}
        trail |= {"trials": [one | {"best_in": 0.75} for one in trail["trials"]]} if "LoRA" in trail["method"] else {}
    page = text(write(tmp_path, records))
    for said in (
        "6 final (6 ok), 7 for tuning (4 ok, 1 pruned, 2 diverged), 3 with the default configuration (3 ok)",
        "### Runs that failed (2)",
        "Unequal budgets: 4 trials each (TPE, median pruning) on 1 tuning seed: linear probe; 3 trials each",
        "at most 4 epochs a trial; judged by val/top1. 7 trials in 2 searches (4 ok, 1 pruned, 2 diverged), 63 s",
        "| linear probe | learning rate | 0.0001 to 0.01 (log) | 0.001 | 0.0095 (edge of space) | 0.800 | 0.860 | "
        "– | 2 ok, 1 pruned, 1 diverged | +0.010 (+0.010 to +0.010) |",
        "| LoRA r=8 | learning rate | 0.0001 to 0.01 (log) | 0.001 | 0.001 | 0.850 | 0.850 | 75% | 2 ok, 1 diverged | "
        "0 (the default configuration was chosen) |",
        "With other validation samples and tuning seeds (bootstrap) the same values are chosen again in 75%. "
        "The default configuration was chosen in 1 of 2 searches. Where others were, the mean difference on test is "
        "+0.010 over 1 search, 1 of them for the better; on validation, where they were chosen, it was +0.060.",
        "one in twenty leaves 0 out by chance", "(n = 9 runs of 3 configurations", "0.0095 (edge) |",
        "(unequal budgets)",
    ):  # fmt: skip
        assert said in page, said
    assert "below the median of earlier trials" not in page, "a pruned run is no failure"
    for name in OF_TUNING[:2]:
        assert f"(figures/{name}.png)" in page
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    redraw(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("tried", [LOST, ONE, [FOUR[1]], FOUR[1:]], ids=["lost", "one", "pruned", "grid"])
def test_what_little_there_is_is_said(tmp_path: Path, tried: list[Tried]) -> None:
    changes: dict[str, Any] = {"default": {"lr": 1e-3}} if tried is not LOST else {}
    group = one(tuned(PROBE, tried, trail=changes) + tuned(FULL, ONE, seeds=(0,)))
    with drawing():
        assert overlaps(best_so_far(group).figure) == overlaps(learning_rates([group]).figure) == []
    page = "\n".join(tuning_section(group, []))
    assert "| linear probe | learning rate |" in page and "one seed" not in page
    write(tmp_path, tuned(PROBE, tried, trail=changes))
    assert "### Tuning" in text(tmp_path) and ("No final run yet: linear probe." in text(tmp_path)) == (
        not any(status == "ok" for _, status, _ in tried)
    )


def test_the_budget_in_words() -> None:
    assert budget(trail("A()", FOUR)) == "4 trials each (TPE, median pruning) on 1 tuning seed"
    other = trail("A()", ONE, sampler="grid", pruner="none", seeds=[1, 2])
    assert budget(other) == "1 trial each (grid, no pruning) on 2 tuning seeds"
    said = tuning(one(wide(PROBE, 3) + wide(RIVALS[3], 3, names=("lr", "weight_decay", "scale"))))
    assert "over learning rate and weight decay (some methods: scale)" in said


def test_what_was_tuned_neither_names_nor_parts_configurations() -> None:
    space = {"lr": LR, "alpha": {"low": 2.0, "high": 128.0, "log": True}}
    records = []
    for case, alpha in zip(LORAS[:3], (9.7, 33.1, 18.0), strict=True):
        chosen: Case = (case[0], case[1] | {"alpha": alpha}, *case[2:])
        records += [record(chosen, seed, tuning=trail("LoRA()", THREE, space=space)) for seed in (0, 1)]
    group = one(records)
    assert [c.label for c in group.configurations] == ["LoRA r=1", "LoRA r=2", "LoRA r=4"]
    assert [len(curve) for curve in curves([Point(c, 1.0, 0.0) for c in group.configurations])] == [3]
    again: Case = ("LoRA", LORAS[0][1] | {"alpha": 50.0}, *LORAS[0][2:])
    more = [*records, record(again, 0, tuning=trail("LoRA()", THREE, space=space))]
    assert len({c.label for c in one(more).configurations}) == 4, "what is the same but for tuning is told apart"


def test_ranks_that_were_tuned_apart_are_told_apart() -> None:
    group = one([r for case in LORAS[::3] for r in tuned(case, FOUR)] + tuned(FULL, FOUR))
    assert [search.label for search in searches(group)] == ["LoRA r=1", "LoRA r=8", "LoRA r=64", "full fine-tuning"]
    with drawing():
        figure = learning_rates([group]).figure
        assert overlaps(figure) == []
        long = one([r | other_task("tree-crowns", model="vit_small_patch14_dinov2") for r in tuned(PROBE, FOUR)])
        assert overlaps(learning_rates([long]).figure) == []
    said = [text for text, _ in boxes(figure)]
    assert [said.count(f"r={rank}") for rank in (1, 8, 64)] == [1, 1, 1]


def test_only_scores_of_one_kind_stand_in_one_figure() -> None:
    loss = tuned(FULL, FOUR, trail={"on": "val/loss"})
    group = one(tuned(PROBE, FOUR) + tuned(LORAS[3], FOUR) + loss)
    assert [search.label for search in compared(group)] == ["linear probe", "LoRA r=8"]
    (search,) = searches(one(loss))
    assert search.lower and search.chosen is search.trials[0]
    with drawing():
        assert "Best loss" in best_so_far(one(loss)).figure.get_suptitle()
        learning_rates([one(loss)])


def many(cases: list[Case], **changes: Any) -> list[dict[str, Any]]:
    """Searches that lie close together, as real ones do."""
    made = []
    for number, case in enumerate(cases):
        shift = {"FullFineTuning": 1e-2}.get(case[0], 1.0)
        tried = [
            ({"lr": params["lr"] * shift}, status, score and score + 0.003 * number) for params, status, score in FOUR
        ]
        made += tuned(case, tried, **changes)
    return made


@pytest.mark.parametrize("cases", [STUDY, STUDY[:3]], ids=["many", "few"])
def test_no_text_of_the_figures_overlaps(cases: list[Case]) -> None:
    with drawing():
        group = one(many(cases))
        assert overlaps(best_so_far(group).figure) == []
        assert overlaps(learning_rates([group]).figure) == []


def test_many_searches_of_one_method_have_a_panel_each() -> None:
    group = one(many([PROBE, *LORAS[:5]]))
    with drawing():
        figure = learning_rates([group]).figure
        assert overlaps(figure) == []
    shown = [ax.get_title(loc="left") for ax in figure.axes if ax.axison]
    assert sorted(shown) == sorted(["linear probe", *(f"LoRA r={case[1]['rank']}" for case in LORAS[:5])])


def test_few_methods_stand_in_one_figure_for_all_tasks() -> None:
    named = other_task("a-task-with-a-long-name", model="vit_small_patch14_dinov2")
    few = groups(many([PROBE, LORAS[3]]) + many([PROBE, LORAS[3]], **named))
    assert parted(few) == [tuple(few)]
    with drawing():
        figure = learning_rates(few).figure
        assert overlaps(figure) == [] and len(figure.axes) == 4
    crowd = groups(many([*STUDY[:3], *RIVALS]) + many([PROBE], **named))
    assert parted(crowd) == [(group,) for group in crowd]


def test_a_search_that_found_nothing_does_not_press_the_others_together() -> None:
    lost: list[Tried] = [({"lr": 1e-3}, "ok", 0.1), ({"lr": 1e-2}, "ok", 0.12)]
    group = one(many([PROBE, LORAS[3], *RIVALS[:2]]) + tuned(FULL, lost))
    with drawing():
        figure = learning_rates([group]).figure
    low, _ = figure.axes[0].get_ylim()
    assert low > 0.5 and "0.120" in [text for text, _ in boxes(figure)]


def test_importance_finds_what_matters_and_again_the_same() -> None:
    group = one(wide(PROBE, 12) + wide(LORAS[3], 7))
    first, second = searches(group)
    assert enough(first) and not enough(second)
    found = importances(first)
    assert found["lr"] > 0.7 and sum(found.values()) == pytest.approx(1)
    assert importances(first) == found
    assert too_few(group).endswith("too few: LoRA r=8 7 of 8.")
    with drawing():
        figure = importance(group).figure
        assert overlaps(figure) == []
    assert f"{found['lr']:.2f}" in [text for text, _ in boxes(figure)]


def test_importance_of_choices() -> None:
    tried: list[Tried] = [
        ({"lr": 1e-4 * (1 + n), "stabilised": n % 2 == 0}, "ok", 0.7 + 0.1 * (n % 2)) for n in range(9)
    ]
    space = {"lr": LR, "stabilised": {"choices": [False, True]}}
    (search,) = searches(one(tuned(PROBE, tried, trail={"space": space})))
    assert importances(search)["stabilised"] > 0.8
    alike: list[Tried] = [(params, status, 0.8) for params, status, _ in tried]
    assert not draws_importance(one(tuned(PROBE, alike, trail={"space": space})))


def test_optuna_is_imported_only_for_importance_and_stays_quiet(tmp_path: Path) -> None:
    for made in [*tuned(PROBE, FOUR), *(r | other_task("wide") for r in wide(PROBE, 12))]:
        Records(tmp_path).write(made)
    code = (
        "import sys, json; from bench.records import Records; from pathlib import Path; from bench.report import *\n"
        "from bench.report.data import groups; from bench.report.page import tuning\n"
        "from bench.report.figures import best_so_far, importance, learning_rate\n"
        "every = groups.groups(Records(Path(sys.argv[1])).all())\n"
        "for one in every: best_so_far.best_so_far(one); list(tuning.tuning_section(one, []))\n"
        "learning_rate.learning_rates(every); wide = [one for one in every if importance.draws_importance(one)]\n"
        "before = 'optuna' in sys.modules; importance.importance(*wide)\n"
        "print(json.dumps([before, 'optuna' in sys.modules, 'torch' in sys.modules]))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert (json.loads(done.stdout), done.stderr) == ([False, True, False], "")


def test_a_budget_does_not_hold_what_was_searched() -> None:
    records = [r | {"training": r["training"] | {"batch_size": 32}} for r in wide(PROBE, 3)]
    assert "- **Budget**: epochs 3, batch size 32, precision bf16\n" in "\n".join(what_ran(records)) + "\n"


def test_the_table_has_trials_and_what_was_searched() -> None:
    table = tidy(wide(PROBE, 3) + tuned(LORAS[3], FOUR))
    tune = table[(table["phase"] == "tune") & (table["method"] == "LinearProbe")]
    assert list(tune["trial"]) == [0, 1, 2] and tune["weight_decay"].notna().all()
    assert table[table["phase"] != "tune"]["trial"].isna().all() and table["search"].notna().all()
    pruned = table[table["status"] == "pruned"]
    assert list(pruned["value"]) == [0.70], "a pruned run has what it had reached"
    assert set(table["phase"]) == {"tune", "final", "default"}
