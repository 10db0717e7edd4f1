"""Timing several things in turn, so that a machine whose speed drifts does not favour one of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Times:
    """Seconds of every round, by name. Ratios are taken round by round and the median is quoted, with quartiles."""

    seconds: Mapping[str, list[float]]

    def ratio(self, name: str, against: str) -> str:
        """ "1.043 (1.03–1.06)": median and quartiles of the rounds' ratios."""
        ratios = [a / b for a, b in zip(self.seconds[name], self.seconds[against], strict=True)]
        if len(ratios) < 2:
            return f"{ratios[0]:.2f}×"
        low, middle, high = statistics.quantiles(ratios, n=4)
        return f"{middle:.3f}× ({low:.3f}–{high:.3f})"

    def row(self, name: str, *, against: str) -> tuple[str, str]:
        """Median time and ratio."""
        return f"{statistics.median(self.seconds[name]) * 1000:.0f} ms", self.ratio(name, against)


def interleaved(
    calls: Mapping[str, Callable[[], object]], *, rounds: int, warmup: int = 2, device: str = "cpu"
) -> Times:
    """Runs every call once a round, each round beginning with another one; a GPU is waited for."""
    wait = torch.cuda.synchronize if torch.device(device).type == "cuda" else lambda: None
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for round_ in range(warmup + rounds):
        turn = round_ % len(names)
        for name in names[turn:] + names[:turn]:
            start = time.perf_counter()
            calls[name]()
            wait()
            taken = time.perf_counter() - start
            if round_ >= warmup:
                seconds[name].append(taken)
    return Times(seconds)
