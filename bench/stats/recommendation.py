"""Which of several methods to recommend: the cheapest that is as good as the best, as far as the data tell."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.stats.crossed import Mean

MARGIN = 0.01
"""A difference that does not matter: one point."""
NEAR = 0.5
"""Share of the margin by which what is recommended may lie below the best in its mean: what looks a whole point worse
is as often as not more than that."""
POWER = 1.96 + 0.84
"""Standard errors that a difference must have to be told from 0 in four of five tries, at the 5 % level."""
_ROUNDING = 1e-9

Interval = tuple[float, float]


@dataclass(frozen=True)
class Choice:
    """What is recommended, and why. Methods are known by their places.

    Args:
        best: the highest mean.
        recommended: of those that are neither significantly worse than the best, nor below it by more than half the
            margin in their means, the cheapest.
        worse: significantly worse than the best.
        open: what may be better than the recommended one by more than the margin: the data cannot decide.
    """

    best: int
    recommended: int
    worse: tuple[int, ...]
    open: tuple[int, ...]

    @property
    def decided(self) -> bool:
        """Whether the recommended one is shown to be within the margin of every other."""
        return not self.open


def choose(
    means: Sequence[float],
    less: Callable[[int, int], Interval | None],
    costs: Sequence[float],
    *,
    margin: float = MARGIN,
) -> Choice:
    """Non-inferiority to the best (Hsu 1984, Annals of Statistics 12, 1136: multiple comparisons with the best).

    Not being significantly worse is not enough to be recommended: with wide intervals it holds of what is many points
    worse. By simulation (500 draws each of five methods, `tests/benchmarks/recommendation.py`) what is recommended is
    more than a point below the best, and said to be decided, in 0 to 0.6 % of the draws, and in at most 1 % where all
    but the best lie 1.5 points below it, the worst case tried. Decided or not, it is within a point of the best in 84 %
    (3 seeds × 200 samples), 92 % (3 × 1,000), 96 % (5 × 1,000) and 98 % (5 × 4,000); "cannot decide" is then said in
    95, 81, 63 and 43 %. Where all are alike it is always within a point, and said so in 1, 5, 12 and 18 %: few data
    cannot show that methods are alike.

    Args:
        means: of each method, more is better.
        less: the 95 % interval of method i less method j, i and j by their places; None where there is none.
        costs: of each method.
        margin: the largest difference that does not matter.

    Raises:
        ValueError: no methods.
    """
    places = range(len(means))
    best = max(places, key=lambda i: (means[i], -costs[i]))
    worse = tuple(i for i in places if i != best and (found := less(i, best)) is not None and found[1] < 0)
    near = [i for i in places if i not in worse and means[best] - means[i] <= NEAR * margin + _ROUNDING]
    recommended = min(near, key=lambda i: (costs[i], -means[i]))
    above = tuple(i for i in places if i != recommended and _may_exceed(less(i, recommended), margin))
    return Choice(best, recommended, worse, above)


def _may_exceed(interval: Interval | None, margin: float) -> bool:
    return interval is None or interval[1] > margin + _ROUNDING


@dataclass(frozen=True)
class Needed:
    """What would tell two methods apart, in all.

    Args:
        seeds: of each method.
        samples: of the test part.
    """

    seeds: int
    samples: int


def needed(found: Mean, *, margin: float = MARGIN) -> Needed | None:
    """The seeds and test samples that decide, if the difference is as large as seen.

    Either it is told from 0, or, where it is less than half the margin, from the margin. The variance of the mean falls
    as seed / n + sample / m; it has to be (distance / 2.8)², which gives a power of .8 at the 5 % level. More samples
    are asked for first, then more seeds, then half of the variance of each.

    Args:
        found: the difference, with the parts of its variance.
        margin: a smaller difference does not matter.

    Returns:
        None where so small a variance is there already, or nothing is known of the samples.
    """
    wanted = (max(abs(found.mean), margin - abs(found.mean)) / POWER) ** 2
    if found.variance <= wanted or not found.samples or not found.sample:
        return None
    seed, sample = found.seed * found.seeds, found.sample * found.samples
    if found.seed < wanted / 2:
        return Needed(found.seeds, _up(sample / (wanted - found.seed)))
    if found.sample < wanted / 2:
        return Needed(_up(seed / (wanted - found.sample)), found.samples)
    return Needed(_up(2 * seed / wanted), _up(2 * sample / wanted))


def _up(number: float) -> int:
    return math.ceil(number - 1e-6)
