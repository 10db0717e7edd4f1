"""What is recommended: the rule on numbers, and how often it is right on records with known truth."""

from __future__ import annotations

import numpy as np
import pytest

from bench.stats import Mean, crossed
from bench.stats.recommendation import POWER, Choice, Needed, choose, needed
from tests.support.simulated_methods import outcomes, tally


def rule(means, half=0.015, costs=None):
    """All intervals as wide as each other."""
    return choose(means, lambda i, j: (means[i] - means[j] - half, means[i] - means[j] + half), costs or range(9))


def test_the_cheapest_that_is_not_below_the_best():
    assert rule([0.87, 0.913, 0.917]) == Choice(2, 1, (0,), (2,))  # as the issue has it: may be 1.9 points better
    assert rule([0.87, 0.913, 0.917], half=0.005) == Choice(2, 1, (0,), ()), "within .9 of a point: decided"
    assert rule([0.87, 0.90, 0.917], half=0.005).recommended == 2, "a cheaper one that is significantly worse"
    assert rule([0.87, 0.907, 0.917]).recommended == 2, "not significantly worse, but a whole point in the mean"
    assert rule([0.87, 0.914, 0.917], half=0.025).recommended == 2, "more than one to three that it is a point worse"
    assert rule([0.9, 0.9, 0.9], costs=[3, 1, 2]) == Choice(1, 1, (), (0, 2))
    assert rule([0.8]) == Choice(0, 0, (), ()) and rule([0.8]).decided


def test_without_an_interval_nothing_is_decided():
    assert choose([0.5, 0.9], lambda i, j: None, [0, 1]) == Choice(1, 1, (), (0,))
    with pytest.raises(ValueError):
        choose([], lambda i, j: None, [])


def test_in_simulation_it_is_right_or_says_that_it_cannot_decide():
    anything = tally(None, seeds=5, samples=4_000, draws=60)
    assert anything.within >= 0.95 and anything.misled <= 0.02
    few = tally([0.835] * 4 + [0.85], seeds=3, samples=200, draws=100)
    assert few.within >= few.ceiling - 0.01, "few data: the best mean, than which nothing is better"
    assert few.within < 0.6 and few.undecided >= 0.9 and few.misled <= 0.03, "what few data cannot tell"
    clear = tally([0.80, 0.84, 0.84, 0.85, 0.90], seeds=5, samples=1_000, draws=40)
    assert (clear.within, clear.undecided) == (1.0, 0.0)


def test_what_would_tell_two_apart():
    v = (0.02 / POWER) ** 2
    enough = Mean(0.02, v, 9.0, v / 4, 3 * v / 4, 3, 300)
    assert needed(enough) is None
    few = Mean(0.02, 4 * v + v / 4, 9.0, v / 4, 4 * v, 3, 300)
    assert needed(few) == Needed(3, 1_600), "4 v · 300 / m = v − v / 4"
    assert needed(Mean(0.02, 2 * v + v / 4, 9.0, 2 * v, v / 4, 3, 300)) == Needed(8, 300), "2 v · 3 / n = v − v / 4"
    assert needed(Mean(0.02, 4 * v, 9.0, 2 * v, 2 * v, 3, 300)) == Needed(12, 1_200), "half of v each"
    assert needed(Mean(0.0, v, 9.0, 0.0, v, 3, 300)) == Needed(3, 1_200), "a point is half as far as two"
    assert needed(Mean(0.004, v, 9.0, 0.0, v, 3, 300)) == Needed(3, 3_334), "and .6 of a point (2 / .6)² times"


def test_so_many_samples_are_enough_in_simulation():
    rng = np.random.default_rng(1)
    sizes = {"seeds": 5, "correlation": 0.7, "scatter": 0.005}

    def told(samples):
        found = [outcomes(rng, [0.80, 0.83], samples=samples, **sizes) for _ in range(60)]
        return [crossed(right[1] - right[0], ends=(-1.0, 1.0)) for right in found]

    asked = np.median(
        [more.samples for one in told(300) if (more := needed(Mean(0.03, *list(vars(one).values())[1:])))]
    )
    assert 300 < asked < 3_000
    assert np.mean([one.interval()[0] > 0 for one in told(round(asked))]) > 0.65, "about four of five tries"
