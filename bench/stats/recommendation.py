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
LIKELY = 0.35
"""Of the half of a 95 % interval: so much of it holds a half of what may be, so that three to one lies below its end
(Student's, .18 to .34; more is more careful)."""
POWER = 1.96 + 0.84
"""Standard errors that a difference must have to be told from 0 in four of five tries, at the 5 % level."""
_ROUNDING = 1e-9

Interval = tuple[float, float]


@dataclass(frozen=True)
class Choice:
    """What is recommended, and why. Methods are known by their places.

    Args:
        best: the highest mean.
        recommended: the cheapest of those that are not significantly worse than the best, not below it by more than
            half the margin in their means, and by three to one not below it by more than the margin; else the best.
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
    worse. The fewer the data, the nearer to the best mean is what is recommended. By simulation (500 draws each of five
    methods, `tests/support/simulated_methods.py` says what is drawn) it is within a point of the best in

        seeds × test samples    3 × 200  3 × 500  3 × 1,000  5 × 1,000  5 × 4,000
        recommended             86.0     92.6     93.8       97.4       98.4 %
        the best mean           86.0     92.8     95.4       97.4       99.8 %
        "cannot decide" is said 94.6     86.8     81.0       63.2       42.8 %

    Among methods that are drawn alike no rule does better than the best mean: with few data nobody can be right in
    95 of 100, and the page says that it cannot decide. What is more than a point below the best is said to be decided
    in at most 1 % of the draws. Where all are alike it is always within a point, and that is shown in 1 to 18 %.

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
    near = [i for i in places if i == best or (i not in worse and _near(means[best] - means[i], less(best, i), margin))]
    recommended = min(near, key=lambda i: (costs[i], -means[i]))
    above = tuple(i for i in places if i != recommended and _may_exceed(less(i, recommended), margin))
    return Choice(best, recommended, worse, above)


def _near(below: float, interval: Interval | None, margin: float) -> bool:
    if interval is None or below > NEAR * margin + _ROUNDING:
        return below <= _ROUNDING
    return below + LIKELY * (interval[1] - interval[0]) / 2 <= margin + _ROUNDING


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
