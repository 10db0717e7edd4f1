"""Made-up outcomes of two methods on the same seeds and samples, whose true difference is known. For tests."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from bench.stats.crossed import Array, crossed, over_tasks


def outcomes(
    rng: np.random.Generator, *, seeds: int, samples: int, right: float, correlation: float, scatter: float
) -> tuple[Array, float]:
    """Right or wrong by a probit model: d (seeds, samples), and the mean that it should have.

    Args:
        right: share that a method has right, about; the two differ by a tenth of what is wrong.
        correlation: between the two methods of what makes a sample hard.
        scatter: standard deviation of a method's score over seeds, e.g. .01.
    """
    own = 0.6  # of a method's noise on a sample is the same for every seed
    hard = rng.normal(size=samples) * np.sqrt(correlation)
    gone, truth = [], []
    for share in (right, right - 0.1 * (1 - right)):
        at = norm.ppf(share)
        shift = scatter / norm.pdf(at)
        mine = np.sqrt((1 - correlation) * own) * rng.normal(size=samples)
        rest = np.sqrt((1 - correlation) * (1 - own)) * rng.normal(size=(seeds, samples))
        gone.append(at + shift * rng.normal(size=(seeds, 1)) + hard + mine + rest > 0)
        truth.append(norm.cdf(at / np.sqrt(1 + shift**2)))
    return gone[0].astype(float) - gone[1], float(truth[0] - truth[1])


def coverage(*, seeds: int, samples: int, tasks: int, draws: int, seed: int = 0) -> float:
    """How often the 95 % interval of the mean difference over tasks holds the true one.

    Each task of each draw has its own share right (.6 to .97), correlation (.5 to .9) and scatter (.5 to 2 points).
    """
    rng = np.random.default_rng(seed)
    inside = 0
    for _ in range(draws):
        found, truth = [], []
        for _ in range(tasks):
            d, true = outcomes(
                rng, seeds=seeds, samples=samples, right=rng.uniform(0.6, 0.97),
                correlation=rng.uniform(0.5, 0.9), scatter=rng.uniform(0.005, 0.02),
            )  # fmt: skip
            found.append(crossed(d, ends=(-1.0, 1.0)))
            truth.append(true)
        low, high = over_tasks(found).interval()
        inside += low <= float(np.mean(truth)) <= high
    return inside / draws
