"""How sure a mean over seeds is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def bootstrap_interval(
    values: Sequence[float], rng: np.random.Generator, *, level: float = 0.95, resamples: int = 10_000
) -> tuple[float, float] | None:
    """Percentile bootstrap interval of the mean (Efron 1979; Agarwal et al. 2021, arXiv:2108.13264).

    With two or three values it is the range from the lowest to the highest, because a resample is made of
    the lowest alone with probability 1/4 or 1/27, more than the 2.5 % left outside on either side: it then
    shows the spread that was seen and promises nothing about seeds that were not run.

    Args:
        values: one number a seed.
        rng: where the resamples come from.
        level: how much of the resampled means the interval holds.
        resamples: how many means are drawn.

    Returns:
        (low, high), or None with fewer than two values: one seed says nothing about another.
    """
    if len(values) < 2:
        return None
    array = np.asarray(values, dtype=float)
    means = array[rng.integers(len(array), size=(resamples, len(array)))].mean(axis=1)
    # an interval that ends on means that really occur, not between two of them
    low = np.quantile(means, (1 - level) / 2, method="inverted_cdf")
    high = np.quantile(means, (1 + level) / 2, method="inverted_cdf")
    return float(low), float(high)
