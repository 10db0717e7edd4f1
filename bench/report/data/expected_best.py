"""The best score after so many trials, had they come in another order: exact, for every order counts once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb


@dataclass(frozen=True)
class Best:
    """The best of the first trials, over all orders of the budget in which one of them has completed.

    Args:
        trials: how many.
        mean: over these orders.
        low, high: 95 % of these orders lie between them, ends included.
        sure: whether these are all orders.
    """

    trials: int
    mean: float
    low: float
    high: float
    sure: bool


def running_best(scores: Sequence[float], budget: int, *, lower: bool = False) -> list[Best]:
    """Best score so far against number of trials, over all orders of the trials (Dodge et al. 2019, arXiv:1909.03004).

    The best of the first k is at most the i-th lowest score in C(f+i, k) of C(n, k) choices of k from n trials, of
    which f have no score. Nothing is drawn at random.

    Args:
        scores: of the trials that completed.
        budget: how many trials there were; those that were pruned or failed count without improving anything.
        lower: whether lower scores are better.

    Returns:
        One for each number of trials from 1 to the budget; none without scores.
    """
    sign = -1.0 if lower else 1.0
    ordered = sorted(sign * score for score in scores)
    failed = budget - len(ordered)
    found = []
    for k in range(1, budget + 1) if ordered else ():
        none = comb(failed, k)
        total = comb(budget, k) - none
        upto = [comb(failed + i, k) - none for i in range(1, len(ordered) + 1)]
        parts = [now - before for now, before in zip(upto, [0, *upto], strict=False)]
        mean = sum(part / total * score for part, score in zip(parts, ordered, strict=True))
        low = next(score for score, choices in zip(ordered, upto, strict=True) if 40 * choices >= total)
        high = next(score for score, choices in zip(ordered, upto, strict=True) if 40 * choices >= 39 * total)
        low, high = sorted((sign * low, sign * high))
        found.append(Best(k, sign * mean, low, high, none == 0))
    return found
