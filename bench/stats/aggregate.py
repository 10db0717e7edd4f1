"""Aggregates over runs and tasks. Agarwal et al. 2021, arXiv:2108.13264. All take scores (…, runs, tasks)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def normalised(scores: Array, low: Array | float, high: Array | float) -> Array:
    """(score − low) / (high − low), task by task: 0 is the baseline, 1 what is to be reached.

    Raises:
        ValueError: high and low are the same for some task.
    """
    if np.any(np.asarray(high) == np.asarray(low)):
        raise ValueError("low and high must differ for every task")
    return np.asarray((scores - np.asarray(low)) / (np.asarray(high) - np.asarray(low)))


def iqm(scores: Array) -> Array:
    """Interquartile mean over runs and tasks: of the middle half of all scores."""
    flat = scores.reshape(*scores.shape[:-2], -1)
    from scipy import stats  # here: it takes half a second to import

    return np.asarray(stats.trim_mean(flat, 0.25, axis=-1))


def optimality_gap(scores: Array, *, goal: float = 1.0) -> Array:
    """goal − mean(min(score, goal)): by how much the goal is missed; more than the goal does not make up for less."""
    return np.asarray(goal - np.minimum(scores, goal).mean(axis=(-2, -1)))


def performance_profile(scores: Array, thresholds: Array) -> Array:
    """The share of runs, over all tasks, that score above each threshold. Dolan and Moré 2002 (arXiv:cs/0102001).

    Returns:
        (…, thresholds).
    """
    return np.asarray((scores[..., None] > thresholds).mean(axis=(-3, -2)))


def probability_of_improvement(scores: Array, other: Array) -> Array:
    """P(X > Y) + P(X = Y)/2 of one run of each, averaged over tasks: Mann and Whitney's U over n·m."""
    first, second = scores[..., :, None, :], other[..., None, :, :]
    return np.asarray(((first > second) + 0.5 * (first == second)).mean(axis=(-3, -2, -1)))
