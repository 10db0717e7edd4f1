"""Tuning as it is said: budgets, spaces, what is refused before anything runs, and which trial is chosen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.errors import BadInput
from bench.methods import METHODS, BitFit, FullFineTuning, LinearProbe, LoRA
from bench.records import PROTOCOL
from bench.space import Choice, Range
from bench.study import Cell
from bench.study.trials import Trials, of_cells
from bench.study.tune import Tune, configured
from bench.tasks import Detection, Images
from bench.training.loop import Outcome
from bench.training.method_checks import VIT
from bench.training.recipe import Training
from tests.support.tiny_study import STUDY, tuned

DIGITS = Images("digits")


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (lambda: Tune(trials=-1), "trials -1: give a whole number, 0 to tune nothing"),
        (lambda: Tune(trials=2.5), "whole number"),
        (lambda: Tune(trials=True), "whole number"),
        (lambda: Tune(batch=0), "batch 0: a whole number ≥ 1"),
        (lambda: Tune(batch=True), "whole number"),
        (lambda: Tune(seeds=()), "tuple of whole numbers"),
        (lambda: Tune(seeds=(1, 1)), "none twice"),
        (lambda: Tune(sampler="tpee"), "did you mean 'tpe'"),
        (lambda: Tune(pruner="medain"), "did you mean 'median'"),
        (lambda: Tune(on="test/top1"), "nothing is chosen on anything but validation"),
        (lambda: tuned(on="val/top11"), "this task is tuned on 'val/top1' or 'val/loss'"),
        (lambda: tuned(spaces={"LoRa": {"lr": Range(1e-4, 1e-2)}}), "did you mean 'LoRA'"),
        (lambda: tuned(spaces={"LoRA": {"alhpa": Range(1.0, 2.0)}}), "LoRA 'alhpa': did you mean 'alpha'"),
        (lambda: tuned(spaces={"LoRA": {"epochs": Range(1, 5)}}), "unknown hyper-parameter of LoRA 'epochs'"),
        (lambda: tuned(over=("leraning_rate",)), "unknown hyper-parameter to search 'leraning_rate'"),
        (lambda: tuned(over=("weight_dcay",)), "did you mean 'weight_decay'"),
        (lambda: tuned(LinearProbe(), LoRA(), over=("alpha",)), "LinearProbe declares none of alpha"),
        (lambda: tuned(spaces={"LoRA": {"lr": Range(1e-2, 1e-1)}}), "its default lr 0.001 is outside"),
        (lambda: tuned(LoRA(alpha=500.0)), "its default alpha 500.0 is outside the range 2 to 128"),
        (lambda: tuned(share={"alpha": 8.0}), "alpha of LoRA is both searched and shared over"),
        (lambda: tuned(share={"rnak": 8}), "did you mean 'rank'"),
        (lambda: tuned(sampler="grid", trials=5, over=("lr", "alpha")), "lr, alpha has 4, 9, 16, 25, … points"),
        (lambda: tuned(sampler="cmaes", over=("lr",)), "'cmaes' needs two ranges or more, no choice"),
        (lambda: tuned(sampler="cmaes", spaces={"LoRA": {"rank_stabilised": Choice(False, True)}}), "no choice"),
        (lambda: tuned(spaces={"LoRA": {"rank": Range(1, 64)}}), "rank"),
        (lambda: tuned(spaces={"LoRA": {"dropout": Range(0.0, 2.0)}}), "dropout"),
        (lambda: tuned(spaces={"LoRA": {"lr": Choice(1e-3, "fast")}}), "lr"),
    ],
)
def test_what_cannot_be_tuned_is_refused_before_anything_runs(build, told):
    with pytest.raises(BadInput, match=told) as error:
        build()
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("pruner", ["median", "hyperband", "halving"])
def test_where_there_is_nothing_to_prune_nothing_is(pruner):
    assert tuned(pruner=pruner, epochs=1).tune.pruner == "none"
    assert tuned(pruner=pruner, epochs=2).tune.pruner == pruner


def test_a_pruner_of_two_tuning_seeds_has_a_value_between_them():
    assert tuned(pruner="median", seeds=(1000, 1001)).tune.pruner == "median"


def test_the_study_has_the_last_word_then_the_task_then_the_method():
    boxes, probe = Detection("composited-digits"), LinearProbe()
    assert Tune().space(DIGITS, probe) == probe.space
    assert Tune().space(boxes, probe) == probe.space | boxes.spaces["LinearProbe"] != probe.space
    mine = Tune(spaces={"LinearProbe": {"lr": Range(1e-5, 1e-1, log=True), "warmup": Range(0.0, 0.5)}})
    assert mine.space(boxes, probe)["lr"] == Range(1e-5, 1e-1, log=True)
    assert mine.default(DIGITS, probe, Training()) == {"lr": 1e-3, "weight_decay": 0.01, "warmup": 0.1}
    assert mine.space(DIGITS, LoRA()) == LoRA.space
    assert list(Tune(over=("lr",)).space(DIGITS, LoRA())) == ["lr"]


def test_the_default_is_of_the_space_else_of_the_method_else_of_training():
    found = Tune().default(DIGITS, LoRA(alpha=4.0), Training(lr=5e-3, weight_decay=0.02))
    assert found == {"lr": 1e-3, "weight_decay": 0.02, "alpha": 4.0, "dropout": 0.0}
    assert Tune(over=("lr",)).default(DIGITS, FullFineTuning(), Training()) == {"lr": 3e-5}


def test_every_method_has_the_same_budget():
    study = tuned(*(cls() for cls in METHODS.values()), trials=7)
    assert {len(trials.open) for trials in of_cells(study, "cpu").values()} == {7}


def test_shared_fields_name_the_method_that_is_tuned():
    tune = Tune(share={"rank": 8})
    assert tune.representative(LoRA(rank=2, alpha=3.0)) == LoRA(rank=8, alpha=3.0)
    assert tune.representative(BitFit()) == BitFit()
    found = of_cells(tuned(LoRA(rank=1), LoRA(rank=2), BitFit(), share={"rank": 2}), "cpu")
    assert len({id(trials) for trials in found.values()}) == 2


def test_a_grid_is_every_combination():
    spaces = {"LoRA": {"rank_stabilised": Choice(False, True)}}
    tune = Tune(trials=6, sampler="grid", over=("lr", "rank_stabilised"), spaces=spaces)
    assert [tuple(point.values()) for point in tune.grid(DIGITS, LoRA())] == [
        *((1e-4, False), (1e-4, True), (1e-3, False), (1e-3, True), (1e-2, False), (1e-2, True))
    ]


def test_values_go_where_they_belong():
    method, training = configured(LoRA(rank=4), Training(epochs=3), {"lr": 1e-2, "alpha": 4.0, "weight_decay": 0.0})
    assert method == LoRA(rank=4, alpha=4.0) and training == Training(lr=1e-2, weight_decay=0.0, epochs=3)


def searched(*runs, study=None, **tune):
    """Trials of a linear probe's learning rate with made-up records: rate, score, loss, and how it ended."""
    options = {"trials": 3, "pruner": "none", "over": ("lr",), "on": "val/top1"} | tune
    study = study or replace(STUDY, methods=(LinearProbe(),), tune=Tune(**options))
    trials = Trials(study, Cell(STUDY.tasks[0], VIT, LinearProbe()))
    numbers, made = {}, []
    for lr, score, loss, *status in runs:
        known = {"search": trials.name, "number": numbers.setdefault(lr, len(numbers))}
        known |= {"params": {"lr": lr}, "drawn": {"lr": lr}}
        seed = 1000 + sum(record["trial"] == known for record in made)
        metrics = {} if score is None else {"val": {"top1": score, "loss": loss}}
        ended = {"status": (*status, "ok")[0], "metrics": metrics, "curve": [{}], "time": Outcome().time}
        made.append({"phase": "tune", "protocol": PROTOCOL, "trial": known, "seed": seed} | ended)
    trials.recall(reversed(made))  # in whatever order they are read
    return trials


def test_the_best_on_validation_is_chosen_and_a_tie_goes_to_the_lower_loss():
    trials = searched((1e-3, 0.7, 1.0), (1e-2, 0.8, 0.5), (1e-1, 0.8, 0.4))
    assert trials.chosen.params == {"lr": 1e-1}
    summary = trials.summary(trials.cell)
    assert summary["chosen"] == {"number": 2, "params": {"lr": 1e-1}} and summary["edge"] == ["lr"]
    assert [trial["score"] for trial in summary["trials"]] == [0.7, 0.8, 0.8]
    lower = searched((1e-3, 0.9, 0.7), (1e-2, 0.8, 0.5), (1e-1, 0.8, 0.6), on="val/loss")
    assert lower.chosen.params == {"lr": 1e-2} and lower.summary(lower.cell)["edge"] == []


def test_what_was_pruned_or_diverged_is_not_chosen_and_counts():
    trials = searched((1e-3, 0.9, 0.1, "pruned"), (1e-2, 0.8, 0.5), (1e-1, None, None, "diverged"))
    assert trials.chosen.params == {"lr": 1e-2} and trials.unsound is None and trials.open == []
    brief = trials.summary(trials.cell)["trials"]
    assert [trial["score"] for trial in brief] == [0.9, 0.8, None], "pruned: so far"
    assert [trial["status"] for trial in brief] == ["pruned", "ok", "diverged"]


def test_choosing_takes_the_mean_over_tuning_seeds():
    seeds = (1000, 1001)
    trials = searched((1e-3, 0.9, 1), (1e-3, 0.1, 1), (1e-2, 0.6, 1), (1e-2, 0.6, 1), trials=2, seeds=seeds)
    assert trials.chosen.params == {"lr": 1e-2}
    half = searched((1e-3, 0.9, 1), (1e-2, 0.6, 1), (1e-2, 0.6, 1), trials=2, seeds=seeds)
    assert half.open == [0] and half.left == 1 and half.chosen.params == {"lr": 1e-2}


def test_trials_that_all_end_badly_choose_nothing():
    nothing = searched((1e-3, None, None, "diverged"), (1e-2, None, None, "out_of_memory"))
    assert nothing.chosen is None and nothing.summary(nothing.cell)["chosen"] is None
    assert sorted(nothing.unsound.removeprefix("no tuning run ended well: ").split(", ")) == [
        "diverged",
        "out_of_memory",
    ]


def test_a_search_is_named_after_all_that_its_trials_depend_on():
    names = {
        trials.name
        for study in (
            *(tuned(), tuned(trials=5), tuned(sampler="random"), tuned(seeds=(7,)), tuned(over=("lr",))),
            *(tuned(batch=1), tuned(batch=2), tuned(batch=2, sampler="random")),
            *(tuned(LoRA(rank=1)), tuned(on="val/loss"), tuned(epochs=2), tuned(epochs=2, pruner="median")),
            *(tuned(spaces={"LoRA": {"lr": Range(1e-4, 3e-2)}}), replace(tuned(), tasks=(Images("digits", train=41),))),
        )
        for trials in of_cells(study, "cpu").values()
    }
    assert len(names) == 12, "a batch of one is none, and trials that depend on no other need none"
    shared = of_cells(replace(tuned(), seeds=(5, 6, 7), name="other"), "cpu")
    assert {trials.name for trials in shared.values()} <= names, "final seeds and the study's name change no trial"


@pytest.mark.parametrize(("untuned", "seeds"), [(True, (5, 7, 9)), (2, (5, 7)), (1, (5,)), (False, ()), (4, (5, 7, 9))])
def test_the_default_configuration_is_tested_on_as_many_seeds_as_are_asked_for(untuned, seeds):
    assert Tune(untuned=untuned).default_seeds((5, 7, 9)) == seeds
    options = {"trials": 2, "pruner": "none", "over": ("lr",), "on": "val/top1", "untuned": untuned}
    study = replace(STUDY, methods=(LinearProbe(),), seeds=(5, 7, 9), tune=Tune(**options))
    trials = searched((1e-2, 0.5, 1.0), (2e-2, 0.9, 0.5), study=study)
    tested = trials.tested(trials.cell)
    assert [run.seed for phase, run in tested if phase == "default"] == list(seeds)
    assert [run.seed for phase, run in tested if phase == "final"] == [5, 7, 9]
    assert trials.planned(trials.cell) == len(tested)


def test_odd_numbers_of_seeds_for_the_default_configuration_are_refused():
    for odd in (-1, 1.5, "2"):
        with pytest.raises(BadInput, match="untuned"):
            Tune(untuned=odd)
