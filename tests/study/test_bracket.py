"""Bracketing: the best of a smooth curve comes to lie between others, wherever the range was put around it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import BadInput
from bench.methods import FullFineTuning
from bench.space import Choice, Range
from bench.study.bracket import following
from bench.study.tune import Tune
from tests.support.tiny_study import STUDY

RATES = Range(1e-4, 1e-2, log=True, default=1e-3)


def searched(score, trials=4, space=RATES):
    tried = []
    for _ in range(trials):
        value = following(tried, space, default=1e-3, trials=trials)
        tried.append((value, score(value)))
    return [value for value, _ in tried]


def peak(best):
    return lambda rate: -abs(math.log(rate / best))


@pytest.mark.parametrize(
    ("best", "fourth"),
    [
        (1e-3, 1e-3 * 10**0.25),
        (1e-2, 1e-2),
        (1e-4, 1e-4),
        (2e-3, 1e-2),
        (1.5e-3, 1e-3 * 10**0.25),
        (7e-4, 1e-3 / 10**0.25),
    ],
)
def test_it_goes_on_to_where_the_best_is(best, fourth):
    found = searched(peak(best))
    assert found[:3] == pytest.approx([1e-3, 10**-2.5, 10**-3.5], rel=1e-3)
    assert found[3] == pytest.approx(fourth, rel=1e-3)


@given(st.floats(1e-4, 1e-2), st.integers(4, 9))
def test_no_value_is_tried_twice_or_lies_outside(best, trials):
    found = searched(peak(best), trials)
    assert len(set(found)) == trials and all(value in RATES for value in found)
    nearest = min(abs(math.log10(value / best)) for value in found)
    assert nearest <= 2 / trials, "within a step"


def test_what_diverges_is_left_behind():
    assert min(searched(lambda rate: -math.inf if rate >= 1e-3 else peak(1e-4)(rate))) == pytest.approx(1e-4)


@given(st.lists(st.sampled_from([-math.inf, 0.0, 1.0]), min_size=8, max_size=8))
def test_any_scores_at_all(scores):
    left = iter(scores)
    found = searched(lambda rate: next(left), 8)
    assert all(value in RATES for value in found)


def test_it_needs_one_range_and_goes_trial_by_trial():
    tune = Tune(sampler="bracket", pruner="none", trials=4, spaces={"FullFineTuning": {"batch_size": Choice(32, 64)}})
    with pytest.raises(BadInput, match="needs one range"):
        tune.check(STUDY.tasks[0], FullFineTuning(), STUDY.training)
    with pytest.raises(BadInput, match="leave batch out"):
        Tune(sampler="bracket", batch=2)
