"""How sure a choice is: certain where one trial is better on every sample, a coin's throw where two are alike."""

from __future__ import annotations

import numpy as np
import pytest

from bench.records.outcomes import Outcomes, collected
from bench.study.choice import chosen_again
from bench.tasks.detection.metrics import box_outcomes
from tests.records.test_outcomes import found_boxes


def losses(values: np.ndarray, ids: np.ndarray | None = None) -> Outcomes:
    """A classification with such losses; the odd samples are right."""
    n = np.arange(len(values))
    return collected("classes", n if ids is None else ids, {"label": n % 2, "predicted": n * 0 + 1, "nll": values})


def test_the_better_on_every_sample_is_always_chosen() -> None:
    base = np.random.default_rng(0).random(50)
    trials = [[losses(base + up), losses(base + up)] for up in (0.2, 0.0, 0.1)]
    assert chosen_again(trials, "loss", lower=True) == [0, 1, 0]
    assert chosen_again(trials, "loss", lower=False) == [1, 0, 0]
    assert chosen_again(trials, "top1", lower=False) == [1, 0, 0], "of equals the first"


def test_the_share_is_that_of_the_normal_law() -> None:
    """Two trials whose losses differ by d with a standard error of d: the better one is chosen in Φ(1) = .841."""
    dice, n = np.random.default_rng(1), 400
    noise = dice.normal(size=n)
    noise = (noise - noise.mean()) / noise.std()
    base = np.full(n, 5.0)
    shares = chosen_again([[losses(base)], [losses(base + noise / 10 + 0.1 / np.sqrt(n))]], "loss", lower=True)
    assert shares is not None and shares[0] == pytest.approx(0.841, abs=0.04) and sum(shares) == 1


def test_seeds_that_disagree_make_it_unsure() -> None:
    """Each of two seeds prefers another trial, the first by more: it is chosen unless the second is drawn twice."""
    flat = np.zeros(30)
    trials = [[losses(flat), losses(flat + 1)], [losses(flat + 2), losses(flat)]]
    shares = chosen_again(trials, "loss", lower=True)
    assert shares is not None and shares[0] == pytest.approx(0.75, abs=0.05)


def test_boxes_are_drawn_by_picture_and_other_samples_are_not_compared() -> None:
    detections, truths = found_boxes(3, 6, ties=False)
    good = box_outcomes(detections, truths, 2, np.arange(6))
    none = box_outcomes([each._replace(scores=each.scores[:0], boxes=each.boxes[:0], labels=each.labels[:0])
                         for each in detections], truths, 2, np.arange(6))  # fmt: skip
    shares = chosen_again([[none], [good]], "box_ap", lower=False)
    assert shares is not None and shares[1] > 0.9
    one = losses(np.ones(4))
    assert chosen_again([[one], [losses(np.ones(4), np.arange(4) + 1)]], "loss", lower=True) is None
    assert chosen_again([], "loss", lower=True) is None
