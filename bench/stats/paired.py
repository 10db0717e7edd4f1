"""Two methods on the same seeds: the difference, its interval, and how likely chance alone makes it as large."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from bench.stats.crossed import Mean
from bench.stats.intervals import clipped, mean_interval

EXACT = 16
"""Up to so many pairs, all sign flips are tried."""
_ROUNDING = 1e-9  # scores are shares of some samples: what differs by less is the same


@dataclass(frozen=True)
class Difference:
    """One method less another, paired by seed, and by test sample where these are known.

    Args:
        mean: of the differences.
        interval: 95 %, over seeds and samples (`bench.stats.crossed`), or Student's over seeds; None for one pair.
        p: of the same model; of seeds alone of a two-sided sign-flip test, which with n pairs is at least 2 / 2ⁿ.
        pairs: how many.
        bound: the largest difference that can be, which `interval` is cut at; infinite where none is known.
        samples: how many test samples a seed, where the interval covers these too.
    """

    mean: float
    interval: tuple[float, float] | None
    p: float
    pairs: int
    bound: float = math.inf
    samples: int | None = None

    @property
    def size(self) -> str:
        """What the interval covers: "3 seeds × 2,024 samples"; of seeds alone "3 seeds"."""
        seeds = f"{self.pairs} seed{'s' * (self.pairs != 1)}"
        return f"{seeds} × {self.samples:,} samples" if self.samples else seeds

    @property
    def seen(self) -> bool:
        """Whether the interval leaves out 0. One of no width does not count: seeds that agree to the last sample."""
        if self.interval is None or not has_width(self.interval):
            return False
        low, high = self.interval
        return not low <= 0 <= high

    @property
    def decided(self) -> bool:
        """Whether the interval says anything: it has a width, and leaves out 0 or does not reach to what can be."""
        if self.interval is None or not has_width(self.interval):
            return False
        return self.seen or -self.bound < self.interval[0] <= self.interval[1] < self.bound


def has_width(interval: tuple[float, float]) -> bool:
    """Whether an interval has one: seeds that agree to the last sample say that these are few, not that all is known.

    Args:
        interval: of a mean over seeds.
    """
    return interval[1] - interval[0] > _ROUNDING


def paired(first: Sequence[float], second: Sequence[float], rng: np.random.Generator) -> Difference:
    """first − second.

    Args:
        first, second: scores, of the same seed at the same place.
        rng: for the test, where there are too many pairs to try all.

    Raises:
        ValueError: no pairs, or not the same number of both.
    """
    if len(first) != len(second) or not len(first):
        raise ValueError(f"{len(first)} and {len(second)} scores: needs the same seeds of both")
    return mean_difference(np.asarray(first, dtype=float) - np.asarray(second, dtype=float), rng)


def mean_difference(
    differences: Sequence[float] | np.ndarray, rng: np.random.Generator, *, bound: float = math.inf
) -> Difference:
    """The same from the differences themselves, one a seed, at least one; none can be larger than `bound`."""
    array = np.asarray(differences, dtype=float)
    interval = clipped(mean_interval(array), -bound, bound)
    return Difference(float(array.mean()), interval, sign_flip_test(array, rng), len(array), bound)


def crossed_difference(found: Mean, *, bound: float = math.inf) -> Difference:
    """The same from a model of seeds and samples."""
    interval = clipped(found.interval(), -bound, bound)
    return Difference(found.mean, interval, found.p, found.seeds, bound, found.samples)


def sign_flip_test(
    differences: Sequence[float] | np.ndarray, rng: np.random.Generator, *, resamples: int = 20_000
) -> float:
    """Two-sided permutation test of paired differences. Fisher 1935: under no difference every sign is as likely.

    Returns:
        The share of sign flips whose mean is at least as far from 0: exact up to `EXACT` pairs, else by so many
        random flips, the one seen among them.
    """
    array = np.asarray(differences, dtype=float)
    if len(array) <= EXACT:
        signs = np.array(list(product((1.0, -1.0), repeat=len(array))))
    else:
        signs = np.vstack([np.ones(len(array)), rng.choice((-1.0, 1.0), size=(resamples, len(array)))])
    sums = np.abs(signs @ array)
    return float((sums >= abs(array.sum()) * (1 - 1e-12) - 1e-15).mean())


def holm(ps: Sequence[float]) -> list[float]:
    """p-values of several tests, corrected so that any false one is as rare as said. Holm 1979.

    Returns:
        In the order given: the i-th smallest of m times (m − i + 1), never less than those before it, at most 1.
    """
    order = np.argsort(ps)
    found, worst = [0.0] * len(ps), 0.0
    for place, at in enumerate(order):
        worst = max(worst, min(1.0, ps[at] * (len(ps) - place)))
        found[at] = worst
    return found
