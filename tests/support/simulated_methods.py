"""Made-up outcomes of several methods whose true scores are known, and what is recommended of them. For tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from bench.stats import crossed
from bench.stats.crossed import Array
from bench.stats.recommendation import MARGIN, Choice, choose


def outcomes(
    rng: np.random.Generator, truth: Sequence[float], *, seeds: int, samples: int, correlation: float, scatter: float
) -> Array:
    """(methods, seeds, samples) right or wrong by a probit model, of which each method is right on a share `truth`.

    Args:
        truth: of each method.
        correlation: between two methods of what makes a sample hard.
        scatter: standard deviation of a method's score over seeds, e.g. .01.
    """
    methods, own = len(truth), 0.6  # of a method's noise on a sample is the same for every seed
    at = norm.ppf(truth)
    shift = scatter / norm.pdf(at)
    at = at * np.sqrt(1 + shift**2)
    hard = rng.normal(size=samples) * np.sqrt(correlation)
    mine = np.sqrt((1 - correlation) * own) * rng.normal(size=(methods, 1, samples))
    rest = np.sqrt((1 - correlation) * (1 - own)) * rng.normal(size=(methods, seeds, samples))
    moved = (at[:, None] + shift[:, None] * rng.normal(size=(methods, seeds)))[:, :, None]
    right: Array = (moved + hard + mine + rest > 0).astype(float)
    return right


def chosen(right: Array, costs: Sequence[float]) -> Choice:
    """What is recommended, by crossed intervals."""

    def less(i: int, j: int) -> tuple[float, float] | None:
        found = crossed(right[i] - right[j], ends=(-1.0, 1.0))
        return found.interval() if found.variance else None

    return choose(right.mean(axis=(1, 2)).tolist(), less, costs)


@dataclass(frozen=True)
class Tally:
    """Shares of draws.

    Args:
        within: what is recommended is truly within a point of the best.
        ceiling: what has the best mean is: where methods are drawn alike, no rule does better.
        undecided: it was said that the data cannot decide.
        misled: it was said to be decided, and what is recommended is more than a point below the best.
    """

    within: float
    ceiling: float
    undecided: float
    misled: float


def tally(
    truth: Sequence[float] | None, *, seeds: int, samples: int, draws: int, methods: int = 5, seed: int = 0
) -> Tally:
    """What comes of recommendations on records with known truth.

    Drawn in each: how alike methods find samples hard (correlation .5 to .9), how seeds scatter (.3 to 1.2 points), as
    committed records have it; and, where `truth` is None, the methods, the best of them at .70 to .95: as often as not
    a plateau, which the cheapest are 1 to 8 points below and all others within half a point of, as tuned methods on
    one network are; else anything within 6 points.

    Args:
        truth: of each method, the cheapest first; None for others in each draw.
        seeds, samples: of the test part; a page of `bench try` has 3 to 5 seeds and, where there are so many, 1,000
            samples or more.
    """
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        true = np.asarray(truth if truth is not None else _any_truth(rng, methods))
        right = outcomes(
            rng, true, seeds=seeds, samples=samples, correlation=rng.uniform(0.5, 0.9),
            scatter=rng.uniform(0.003, 0.012),
        )  # fmt: skip
        made = chosen(right, range(len(true)))
        good, best = (true[at] >= true.max() - MARGIN - 1e-9 for at in (made.recommended, made.best))
        found.append((good, best, not made.decided, made.decided and not good))
    return Tally(*map(float, np.mean(found, axis=0)))


def _any_truth(rng: np.random.Generator, methods: int) -> Array:
    top = rng.uniform(0.7, 0.95)
    if rng.random() < 0.5:
        return np.asarray(top - rng.uniform(0, 0.06, size=methods))
    below = rng.integers(1, methods)
    gaps = np.r_[np.sort(rng.uniform(0.01, 0.08, size=below))[::-1], rng.uniform(0, 0.005, size=methods - below)]
    return np.asarray(top - gaps)
