"""Configurations that differ in rank alone, and how much rank is enough."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.report.data import differences
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration
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
    sign = differences.sign(group.metric)
    scores = {c.rank or 0: [sign * c.by_seed[seed] for seed in seeds] for c in ranks}
    delta = noise_floor(list(scores.values())) or 0.0
    rank, interval = saturation_rank(scores, delta=delta, rng=np.random.default_rng(0))
    return Saturation(tuple(ranks), rank, interval or (rank, rank), delta)


def _seeds(configurations: Sequence[Configuration]) -> list[int]:
    """Those that all of them have."""
    return sorted(set.intersection(*(set(c.by_seed) for c in configurations)))


def series(configurations: Sequence[Configuration]) -> list[list[Configuration]]:
    """What differs in nothing but rank, the alpha that may go with it, and what was tuned, in order of rank."""
    families: dict[str, list[Configuration]] = defaultdict(list)
    for c in configurations:
        if c.rank is not None:
            free = {"rank", "alpha"} | c.searched
            fixed = {k: v for k, v in c.config.items() if k not in free}
            families[json.dumps([c.name, fixed], sort_keys=True)].append(c)
    found = [sorted(family, key=lambda c: c.rank or 0) for family in families.values()]
    ranks = [[c.rank for c in one] for one in found]
    return [one for one, known in zip(found, ranks, strict=True) if 1 < len(set(known)) == len(known)]
