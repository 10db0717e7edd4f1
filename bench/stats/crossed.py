"""The interval of a mean over seeds and samples: what other seeds and other samples would have changed.

d[i, j] = μ + seed_i + sample_j + rest_ij: random effects of both, crossed where seeds are tested on the same samples,
nested where each has its own, and anything between (`crossed` reads it off the table). Of a difference d is a − b,
paired by both. Several tasks are a fixed set: the interval of their mean speaks of these tasks, not of others. How
often the intervals hold what they should stands in COVERAGE.md beside this file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.stats.distributions import t_quantile, t_tail

Array = NDArray[np.float64]
PSEUDO = 0.05
"""Weight of a sample at either end that is added where outcomes are right or wrong. Bonett and Price 2012 add 1, which
is too much where samples are shared by seeds; by simulation."""
CAUTION = 1.0
"""How far degrees of freedom are lowered where few seeds tell their scatter: by 1 + `CAUTION` / freedom."""
ALIKE = 0.1
"""From this p of Bartlett's test on, methods count as scattering alike."""


@dataclass(frozen=True)
class Mean:
    """A mean with what is needed for its interval.

    Args:
        mean: over samples, then over seeds.
        variance: of the mean, over seeds and samples.
        freedom: Satterthwaite's degrees of freedom of it.
        seed, sample: the parts of the variance that more seeds, and that more samples, would shrink.
        seeds, samples: how many; of samples the mean a seed.
    """

    mean: float
    variance: float
    freedom: float
    seed: float
    sample: float
    seeds: int
    samples: int

    def interval(self, *, level: float = 0.95) -> tuple[float, float]:
        """mean ± t·√variance."""
        half = t_quantile((1 + level) / 2, self.freedom) * math.sqrt(self.variance)
        return self.mean - half, self.mean + half

    @property
    def p(self) -> float:
        """Two-sided, of no difference; 1 where the variance is 0."""
        return 2 * t_tail(abs(self.mean) / math.sqrt(self.variance), self.freedom) if self.variance else 1.0


def crossed(
    values: Array, *, ends: tuple[float, float] | None = None, pooled: tuple[float, float] | None = None
) -> Mean:
    """The mean of a table of seeds × samples, both random.

    With s² the variance of the seeds' means, c the covariance of two seeds over the samples that both have and o the
    mean of (shared samples) / (mᵢ·mₖ) over pairs of seeds, Var = s²/n + o·c. For a complete table this is
    (MS_seed + MS_sample − MS_rest) / nm, the analysis of variance's estimate (Searle, Casella and McCulloch 1992,
    chapter 4); where no sample is shared it is Student's s²/n. Degrees of freedom after Satterthwaite 1946, the
    variance of c from its scatter over samples, a little lowered where seeds are few.

    Args:
        values: (seeds, samples), NaN where a seed is not tested on a sample.
        ends: what right and wrong can give, (−1, 1) of a difference, (0, 1) of a score: a sample at each, of weight
            `PSEUDO`, joins those that the variance is estimated from. None of other numbers.
        pooled: variance of the seeds' means and its degrees of freedom, from several methods (`pooled_variance`).

    Raises:
        ValueError: fewer than two seeds or two samples of a seed.
    """
    known = ~np.isnan(values)
    counts = known.sum(axis=1)
    if values.ndim != 2 or len(values) < 2 or counts.min() < 2:
        raise ValueError(f"values of shape {values.shape}: needs two or more seeds, of two or more samples each")
    seeds = len(values)
    means = np.nansum(values, axis=1) / counts
    between, freedom = pooled or (float(means.var(ddof=1)), seeds - 1.0)
    covariance, uncertain, shared = _covariance(values, known, means, ends)
    seed = between / seeds
    sample = max(0.0, covariance) * shared
    variance = seed + sample
    if not variance:
        return Mean(float(means.mean()), 0.0, freedom, 0.0, 0.0, seeds, round(counts.mean()))
    spread = 2 * seed**2 * (1 + CAUTION / freedom) / freedom + shared**2 * uncertain
    return Mean(
        float(means.mean()), variance, max(freedom, 2 * variance**2 / spread), seed, sample, seeds, round(counts.mean())
    )


def seeds_alone(values: Sequence[float]) -> Mean | None:
    """Student's, of a number a seed, where samples are not known; None of fewer than two."""
    if len(values) < 2:
        return None
    part = float(np.var(values, ddof=1)) / len(values)
    return Mean(float(np.mean(values)), part, len(values) - 1.0, part, 0.0, len(values), 0)


def _covariance(
    values: Array, known: NDArray[np.bool_], means: Array, ends: tuple[float, float] | None
) -> tuple[float, float, float]:
    """Of two seeds over samples, the variance of that estimate, and the mean of (shared samples) / (mᵢ·mₖ)."""
    seeds, counts = len(values), known.sum(axis=1)
    overlap = known.astype(float) @ known.T.astype(float)
    weights = overlap / np.outer(counts, counts)
    shared = float((weights.sum() - np.trace(weights)) / (seeds * (seeds - 1)))
    if not shared:
        return 0.0, 0.0, 0.0
    centred = np.where(known, values - means[:, None], 0.0)
    times = known.sum(axis=0)
    pairs = times * (times - 1) / 2
    products = (centred.sum(axis=0) ** 2 - (centred**2).sum(axis=0)) / 2
    for end in ends or ():
        away = end - means
        pairs = np.append(pairs, PSEUDO * seeds * (seeds - 1) / 2)
        products = np.append(products, PSEUDO * (away.sum() ** 2 - (away**2).sum()) / 2)
    total, seen = pairs.sum(), int((pairs > 0).sum())
    covariance = float(products.sum() / total) * seen / max(1, seen - 1)
    rest = products - covariance * pairs
    return covariance, float((rest**2).sum() / total**2), shared


def over_tasks(means: Sequence[Mean]) -> Mean:
    """The mean of several tasks' means, the tasks a fixed set and independent: variances add, over T².

    Args:
        means: one a task.
    """
    tasks = len(means)
    variance = sum(one.variance for one in means) / tasks**2
    spread = sum((one.variance / tasks**2) ** 2 / one.freedom for one in means)
    return Mean(
        float(np.mean([one.mean for one in means])),
        variance,
        variance**2 / spread if spread else min(one.freedom for one in means),
        sum(one.seed for one in means) / tasks**2,
        sum(one.sample for one in means) / tasks**2,
        min(one.seeds for one in means),
        round(float(np.mean([one.samples for one in means]))),
    )


def pooled_variance(scores: Array) -> tuple[float, float] | None:
    """Variance of a difference of two methods between seeds, from all methods of a task.

    score[k, i] = method_k + seed_i + rest_ki: a difference has twice the variance of the rest, with (K − 1)(n − 1)
    degrees of freedom.

    Args:
        scores: (methods, seeds).

    Returns:
        (variance, degrees of freedom); None of fewer than three methods or seeds, or where Bartlett's test tells the
        methods' scatter apart (p < `ALIKE`).
    """
    methods, seeds = scores.shape
    if methods < 3 or seeds < 3:
        return None
    rest = scores - scores.mean(axis=0) - scores.mean(axis=1, keepdims=True) + scores.mean()
    from scipy import stats  # here: it takes half a second to import

    if rest.var(axis=1).min() == 0 or stats.bartlett(*rest).pvalue < ALIKE:
        return None
    freedom = (methods - 1) * (seeds - 1)
    return float(2 * (rest**2).sum() / freedom), float(freedom)


def pseudo_values(score: Callable[[NDArray[np.int64]], float], samples: int) -> Array:
    """What each sample contributes to a score that is no mean, such as box AP: n·θ − (n − 1)·θ₋ⱼ (Tukey 1958).

    Their mean and variance stand for the score's own in `crossed` (the jackknife).

    Args:
        score: of these rows.
        samples: how many there are, two or more.
    """
    rows = np.arange(samples)
    whole = score(rows)
    return np.array([samples * whole - (samples - 1) * score(np.delete(rows, j)) for j in rows])
