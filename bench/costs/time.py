"""Time of repeated calls, with the device waited for."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch


def median_seconds(call: Callable[[], object], *, device: str = "cpu", repeats: int = 5, warmup: int = 1) -> float:
    """Median wall time of `call` in seconds, after `warmup` calls that do not count.

    On CUDA the device is synchronised before each reading, since calls return before their work is done.
    """
    wait = torch.cuda.synchronize if torch.device(device).type == "cuda" else lambda: None
    taken = []
    for i in range(warmup + repeats):
        wait()
        start = time.perf_counter()
        call()
        wait()
        if i >= warmup:
            taken.append(time.perf_counter() - start)
    return statistics.median(taken)
