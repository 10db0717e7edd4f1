"""How sure a choice among trials is: how often it would be made again with other validation samples and seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.records.outcomes import Outcomes

DRAWS = 1000
FEWER = 500
"""Of scores that are no means over samples (box AP, correlations): each draw makes them anew."""


def chosen_again(trials: Sequence[Sequence[Outcomes]], metric: str, *, lower: bool) -> list[float] | None:
    """The share of bootstrap draws in which each trial is the best: of the chosen one, how sure the choice is.

    A draw takes as many tuning seeds as there are, and of each as many validation samples as it has, both with
    replacement; all trials see the same ones, as all were trained on the same split of a seed. With one tuning seed it
    tells of the samples alone.

    Args:
        trials: of each trial, on each tuning seed what became of the validation samples.
        metric: what is chosen by.
        lower: whether less is better.

    Returns:
        Shares that sum to 1, of equals to the first; None where trials differ in their seeds' samples.
    """
    seeds = len(trials[0]) if trials else 0
    alike = all(len(one) == seeds for one in trials) and all(
        np.array_equal(one[s].ids, trials[0][s].ids) for one in trials for s in range(seeds)
    )
    if not seeds or not alike or any(len(each) == 0 for each in trials[0]):
        return None
    dice = np.random.default_rng(0)
    means = all(each.values(metric) is not None for one in trials for each in one)
    draws = DRAWS if means else FEWER
    picked = dice.integers(seeds, size=(draws, seeds))
    total = np.zeros((draws, len(trials)))
    for place in range(seeds):
        for s in range(seeds):
            mine = np.flatnonzero(picked[:, place] == s)
            total[mine] += _resampled([one[s] for one in trials], metric, len(mine), dice)
    best = (total.argmin if lower else total.argmax)(axis=1)
    return [float(share) for share in np.bincount(best, minlength=len(trials)) / draws]


def _resampled(of: Sequence[Outcomes], metric: str, draws: int, dice: np.random.Generator) -> NDArray[np.float64]:
    """(draws, trials) the metric on samples drawn with replacement, the same for all trials."""
    n = len(of[0])
    values = [each.values(metric) for each in of]
    if all(value is not None for value in values):
        times = dice.multinomial(n, np.full(n, 1 / n), size=draws)
        made: NDArray[np.float64] = times @ np.stack([value for value in values if value is not None], axis=1) / n
        return made
    found = np.empty((draws, len(of)))
    for draw in range(draws):
        rows = dice.integers(n, size=n)
        found[draw] = [each.score(metric, rows) or 0.0 for each in of]  # without a box to be found: alike for all
    return found
