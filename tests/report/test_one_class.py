"""A classifier that predicts one class only is flagged, on the page and in `bench compare`, whatever its accuracy."""

from __future__ import annotations

import pytest
import torch

from bench.report import compare
from bench.report.data import flags
from bench.report.data.chance import of_one_class, one_class
from bench.report.data.groups import groups
from bench.tasks.metrics import classification_metrics
from tests.support.report_records import FULL, PROBE, record

SEEDS = (0, 1, 2)


def study(right, macro, *, classes=2, seeds=SEEDS):
    """Full fine-tuning with those scores on test, and a linear probe that is sound; the number of classes is known."""
    runs = []
    for seed in seeds:
        scores = {"top1": right, "macro_f1": macro}
        runs.append(record(FULL, seed, metrics={"val": scores, "test": scores}, provenance={"classes": classes}))
        sound = {"top1": 0.9, "macro_f1": 0.88}
        runs.append(record(PROBE, seed, metrics={"val": sound, "test": sound}, provenance={"classes": classes}))
    return runs, groups(runs)[0]


def scores(shares, predicted):
    """Metrics on 1,000 samples of classes with these shares, given the predicted class of each."""
    targets = torch.cat([torch.full((round(1000 * share),), i) for i, share in enumerate(shares)])
    guesses = predicted(targets)
    found = classification_metrics(torch.nn.functional.one_hot(guesses, len(shares)).float() * 9, targets)
    return found["top1"], found["macro_f1"]


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.1), (0.7, 0.2, 0.1), (0.1,) * 10])
def test_one_class_said_of_everything_is_seen_by_its_scores(shares):
    for common in range(len(shares)):
        right, macro = scores(shares, lambda targets, c=common: torch.full_like(targets, c))
        _, group = study(right, macro, classes=len(shares))
        flagged = [c for c in group.configurations if of_one_class(group, c)]
        assert [c.name for c in flagged] == ["FullFineTuning"] and of_one_class(group, flagged[0]) == list(SEEDS)


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.1), (0.7, 0.2, 0.1), (0.1,) * 10])
def test_guessing_and_weak_models_are_not(shares):
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(1000, generator=generator)
    by_chance = scores(shares, lambda targets: targets[order])
    weak = scores(
        shares, lambda targets: torch.where(torch.rand(1000, generator=generator) < 0.2, targets, targets[order])
    )
    for right, macro in (by_chance, weak):
        _, group = study(right, macro, classes=len(shares))
        assert not any(of_one_class(group, c) for c in group.configurations)


def test_it_is_said_on_the_page_and_in_compare():
    runs, group = study(0.687, 0.4072)
    probe, full = sorted(group.configurations, key=lambda c: c.name != "LinearProbe")
    said = "full fine-tuning predicts one class only, or nearly, on 3 of 3 seeds (macro F1 0.41 of 2 classes)"
    assert one_class(group, full) == said and one_class(group, probe) == ""
    assert sum(said in text for text in flags.of_study(runs, [group])) == 1
    assert f"  Beware: {said}" in list(compare.compared(group, probe, full))


def test_what_is_not_known_is_not_said():
    for changes in ({"provenance": {}}, {"metrics": {"test": {"top1": 0.687}}}):
        runs = [
            record(FULL, seed, **{"metrics": {"test": {"top1": 0.687, "macro_f1": 0.4072}}, **changes})
            for seed in SEEDS
        ]
        group = groups(runs)[0]
        assert not any(one_class(group, c) for c in group.configurations)
