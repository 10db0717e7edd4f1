"""Accuracy against cost: what is worth its cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


def pareto_front(costs: Sequence[float], scores: Sequence[float]) -> NDArray[np.bool_]:
    """Which points no other beats: none costs as little or less and scores as high or higher, one of both strictly.

    Args:
        costs: less is better.
        scores: more is better.

    Returns:
        (points,) of bool. Of points alike, all are.
    """
    cost, score = np.asarray(costs, dtype=float), np.asarray(scores, dtype=float)
    as_good = (cost[None] <= cost[:, None]) & (score[None] >= score[:, None])
    better = (cost[None] < cost[:, None]) | (score[None] > score[:, None])
    return ~np.any(as_good & better, axis=1)


def hypervolume(costs: Sequence[float], scores: Sequence[float], *, cost: float, score: float) -> float:
    """Area that points dominate within the corner (`cost`, `score`). Zitzler and Thiele 1998.

    Args:
        costs, scores: of the points; take logarithms first where a cost spans decades.
        cost: the highest that counts.
        score: the lowest that counts.
    """
    kept = sorted((x, y) for x, y in zip(costs, scores, strict=True) if x < cost and y > score)
    area, reached = 0.0, score
    for x, y in kept:
        if y > reached:
            area += (cost - x) * (y - reached)
            reached = y
    return area


def ppt(accuracy: float, parameters: float) -> float:
    """Performance-efficiency score: accuracy · exp(−log10(P/10⁷ + 1)), P trainable parameters.

    Of "parameter-efficient transfer" comparisons of vision models (V-PETL Bench, Xin et al. 2024, NeurIPS).

    Raises:
        ValueError: fewer than 0 parameters.
    """
    if parameters < 0:
        raise ValueError(f"{parameters} parameters: needs 0 or more")
    return float(accuracy * np.exp(-np.log10(parameters / 1e7 + 1)))


def saturation_rank(
    scores: Mapping[int, Sequence[float]], *, delta: float, rng: np.random.Generator, resamples: int = 2_000
) -> tuple[int, tuple[int, int] | None]:
    """The smallest rank whose mean score is within `delta` of the best rank's, with an interval over seeds.

    Args:
        scores: of each rank, the same seeds in the same order.
        delta: what counts as no worse.
        rng: for the bootstrap over seeds, which resamples all ranks alike.
        resamples: how many.

    Returns:
        The rank, and the range that holds 95 % of the resampled ones; None with one seed.

    Raises:
        ValueError: no ranks, or not the same number of seeds for each.
    """
    ranks = sorted(scores)
    if not ranks or len({len(values) for values in scores.values()}) != 1:
        raise ValueError("needs the same seeds of every rank")
    table = np.array([scores[rank] for rank in ranks], dtype=float)

    def first(means: NDArray[np.float64]) -> NDArray[np.int_]:
        return np.asarray(np.argmax(means >= means.max(axis=0) - delta - 1e-12, axis=0))

    found = ranks[int(first(table.mean(axis=1, keepdims=True))[0])]
    seeds = table.shape[1]
    if seeds < 2:
        return found, None
    drawn = table[:, rng.integers(seeds, size=(resamples, seeds))].mean(axis=2)
    low, high = np.quantile(first(drawn), [0.025, 0.975], method="inverted_cdf").astype(int)
    return found, (ranks[low], ranks[high])
