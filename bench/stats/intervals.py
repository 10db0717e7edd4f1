"""How sure a mean over seeds is, and an aggregate over seeds and tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.stats.distributions import normal_tail, t_quantile

Array = NDArray[np.float64]


def mean_interval(values: Sequence[float] | Array, *, level: float = 0.95) -> tuple[float, float] | None:
    """Student's interval of a mean: mean ± t·s/√n with n − 1 degrees of freedom (Student 1908).

    With the three to five seeds of a study it holds what it promises, if seeds scatter about normally; a percentile
    bootstrap does not: of three values it is the range that was seen, which holds the mean three times in four.

    Args:
        values: one number a seed.
        level: how often such an interval holds the mean.

    Returns:
        (low, high), or None with fewer than two values: one seed says nothing about another.
    """
    array = np.asarray(values, dtype=float)
    if len(array) < 2:
        return None
    half = float(t_quantile((1 + level) / 2, len(array) - 1) * array.std(ddof=1) / np.sqrt(len(array)))
    return float(array.mean()) - half, float(array.mean()) + half


def clipped(interval: tuple[float, float] | None, low: float, high: float) -> tuple[float, float] | None:
    """An interval without the part that cannot be: no accuracy is below 0, and no difference of two above 1."""
    return interval and (min(max(interval[0], low), high), max(min(interval[1], high), low))


def stratified_interval(values: Sequence[Sequence[float]], *, level: float = 0.95) -> tuple[float, float] | None:
    """Interval of the mean of several tasks' means: mean ± t·√(Σ sₜ²/nₜ)/T, each task with a variance of its own.

    Degrees of freedom after Welch 1947 and Satterthwaite 1946. It speaks of these tasks, not of others.

    Args:
        values: of each of T tasks, one number a seed.
        level: how often such an interval holds the mean.

    Returns:
        (low, high), or None where a task has fewer than two values.
    """
    arrays = [np.asarray(task, dtype=float) for task in values]
    if not arrays or min(map(len, arrays)) < 2:
        return None
    parts = np.array([array.var(ddof=1) / len(array) for array in arrays])
    mean, error = float(np.mean([array.mean() for array in arrays])), float(np.sqrt(parts.sum()) / len(arrays))
    if not error:
        return mean, mean
    freedom = parts.sum() ** 2 / sum(part**2 / (len(array) - 1) for part, array in zip(parts, arrays, strict=True))
    half = t_quantile((1 + level) / 2, freedom) * error
    return mean - half, mean + half


def stratified_bootstrap(
    scores: Array,
    statistic: Callable[[Array], Array],
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    resamples: int = 2_000,
) -> tuple[float, float]:
    """Percentile interval of an aggregate, runs resampled within each task. Agarwal et al. 2021, arXiv:2108.13264.

    With the three to five runs of a task the plain interval is too narrow (of three tasks of three runs it holds the
    mean 86 times in 100), so it is smoothed, with noise of a run's standard deviation over √n, and expanded: its ends
    are the quantiles that lie t instead of z from the middle (Hesterberg 2015, section 5, arXiv:1411.5279). Then it
    holds the mean or the interquartile mean in 91 to 96 of 100 draws; of one task it does not: use `mean_interval`.

    Args:
        scores: (runs, tasks).
        statistic: (resamples, runs, tasks) → (resamples,), such as `iqm`.
        rng: where the resamples come from.
        level: how often such an interval shall hold the aggregate.
        resamples: how many are drawn.

    Returns:
        (low, high).

    Raises:
        ValueError: fewer than two runs, or a score that is missing.
    """
    if scores.ndim != 2 or len(scores) < 2 or not np.isfinite(scores).all():
        raise ValueError(f"scores of shape {scores.shape}: needs two or more runs of every task")
    runs, tasks = scores.shape
    chosen = rng.integers(runs, size=(resamples, runs, tasks))
    drawn = np.take_along_axis(np.broadcast_to(scores, (resamples, runs, tasks)), chosen, axis=1)
    drawn = drawn + rng.normal(size=drawn.shape) * scores.std(axis=0, ddof=1) / np.sqrt(runs)
    tail = normal_tail(t_quantile((1 + level) / 2, tasks * (runs - 1)))
    low, high = np.quantile(statistic(drawn), [tail, 1 - tail])
    return float(low), float(high)


def noise_floor(groups: Sequence[Sequence[float]]) -> float | None:
    """How far runs that differ in their seed alone scatter: the pooled standard deviation √(Σ(x−x̄)² / Σ(n−1)).

    Args:
        groups: scores of each configuration, a number a seed.

    Returns:
        None where no configuration has two seeds.
    """
    arrays = [np.asarray(group, dtype=float) for group in groups]
    freedom = sum(max(0, len(array) - 1) for array in arrays)
    if not freedom:
        return None
    squares = sum(float(((array - array.mean()) ** 2).sum()) for array in arrays if len(array))
    return float(np.sqrt(squares / freedom))
