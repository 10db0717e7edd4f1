"""How much rank is enough: the smallest whose score is within the noise floor of the best rank's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.report import versus
from bench.report.groups import Group
from bench.report.measured import Configuration
from bench.report.points import series
from bench.stats import noise_floor, saturation_rank

_FEWEST = 3  # ranks; between two there is nothing to saturate


@dataclass(frozen=True)
class Saturation:
    """Of one method on one task.

    Args:
        ranks: its configurations, in order of rank.
        rank: the smallest that is within `delta` of the best.
        interval: that holds 95 % of the ranks found on resampled seeds.
        delta: the noise floor over these ranks: the pooled standard deviation from seed to seed.
    """

    ranks: tuple[Configuration, ...]
    rank: int
    interval: tuple[int, int]
    delta: float

    def __str__(self) -> str:
        """LoRA r=1 (1 to 8)"""
        low, high = self.interval
        label = next(c.label for c in self.ranks if c.rank == self.rank)
        return label + (f" ({low} to {high})" if low < high else "")


def saturation(group: Group) -> Saturation | None:
    """Of the method with the most ranks, at least three, on two common seeds or more; None where there is none."""
    known = [one for one in series(group.configurations) if len(one) >= _FEWEST and len(_seeds(one)) > 1]
    if not known:
        return None
    ranks = max(known, key=len)
    seeds = _seeds(ranks)
    sign = versus.sign(group.metric)
    scores = {c.rank or 0: [sign * c.by_seed[seed] for seed in seeds] for c in ranks}
    delta = noise_floor(list(scores.values())) or 0.0
    rank, interval = saturation_rank(scores, delta=delta, rng=np.random.default_rng(0))
    return Saturation(tuple(ranks), rank, interval or (rank, rank), delta)


def _seeds(configurations: Sequence[Configuration]) -> list[int]:
    """Those that all of them have."""
    return sorted(set.intersection(*(set(c.by_seed) for c in configurations)))
