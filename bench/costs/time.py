"""Time of training steps and of repeated calls, with the device waited for."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

COUNTED = 3
"""The first steps of a run, whose floating-point operations are counted; they warm up, and are not timed."""
SECONDS = 0.1
"""How long a call is repeated, within `LEAST` and `MOST` times."""
LEAST, MOST = 3, 6

Lap = Callable[[str], None]


class Clock:
    """Times every step of a training in its phases, and counts the operations of the first few.

    On CUDA it puts events into the stream and waits for them at the end only: nothing is slowed down, and what the host
    does while the device is still busy costs no time, as it does not cost any.

    Args:
        device: of the training.
        counted: how many of the first steps are counted, and not timed.
    """

    def __init__(self, device: torch.device, *, counted: int = COUNTED) -> None:
        self.cuda, self.counted = device.type == "cuda", counted
        self.steps: list[list[tuple[str, Any]]] = []
        self.counts: list[int] = []

    @contextlib.contextmanager
    def step(self) -> Iterator[Lap]:
        """A step. What is given is called at the end of each phase, by name; operations of "data" do not count."""
        marks = [("", self._now())]
        count = FlopCounterMode(display=False) if len(self.counts) < self.counted else contextlib.nullcontext()
        of_data = last = 0

        def lap(phase: str) -> None:
            nonlocal of_data, last
            marks.append((phase, self._now()))
            if isinstance(count, FlopCounterMode):
                so_far = count.get_total_flops()
                of_data, last = of_data + (so_far - last) * (phase == "data"), so_far

        with count:
            yield lap
        if isinstance(count, FlopCounterMode):
            self.counts.append(count.get_total_flops() - of_data)
        else:
            self.steps.append(marks)

    def found(self) -> dict[str, float]:
        """Medians over the second half of the timed steps, in seconds, and floating-point operations.

        Returns:
            "seconds" of a step and of its phases; "flops" of a step: multiplications and additions of matrix products,
            convolutions and attention, as torch's counter counts them, forward and backward; "flops_per_second"
            achieved, data not counted; "steps" that were timed. Nothing after too few steps.
        """
        if not self.steps:
            return {}
        if self.cuda:
            torch.cuda.synchronize()
        timed = self.steps[len(self.steps) // 2 :]
        laps = [self._by_phase(each) for each in timed]
        medians = {name: statistics.median(lap[name] for lap in laps) for name in laps[0]}
        computed = statistics.median(sum(lap.values()) - lap.get("data", 0.0) for lap in laps)
        whole = {"seconds": statistics.median(sum(lap.values()) for lap in laps), **medians}
        flops = statistics.mean(self.counts or [0])
        return {**whole, "flops": flops, "flops_per_second": flops / computed, "steps": len(timed)}

    def _by_phase(self, marks: list[tuple[str, Any]]) -> dict[str, float]:
        """Seconds of each phase of a step; one that comes again, as batches are accumulated, is added up."""
        found: dict[str, float] = {}
        for (_, begun), (phase, ended) in pairwise(marks):
            found[phase] = found.get(phase, 0.0) + self._between(begun, ended)
        return found

    def _now(self) -> Any:
        if not self.cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _between(self, first: Any, second: Any) -> float:
        return float(first.elapsed_time(second)) / 1e3 if self.cuda else float(second - first)


def median_seconds(call: Callable[[], object], *, device: str = "cpu", repeats: int = 5, warmup: int = 1) -> float:
    """Median wall time of `call` in seconds, after `warmup` calls that do not count.

    On CUDA the device is synchronised before each reading, since calls return before their work is done.
    """
    taken = [_seconds(call, device) for _ in range(warmup + repeats)]
    return statistics.median(taken[warmup:])


def typical_seconds(call: Callable[[], object], *, device: str = "cpu", warmup: int = 1) -> float:
    """As `median_seconds`, of as many calls as fill `SECONDS`, `MOST` at most: enough for an estimate."""
    for _ in range(warmup):
        call()
    taken = [_seconds(call, device)]
    while sum(taken) < SECONDS and len(taken) < MOST:
        taken.append(_seconds(call, device))
    return statistics.median(taken)


def side_by_side(calls: Mapping[str, Callable[[], object]], *, device: str = "cpu") -> dict[str, float]:
    """Median seconds of several calls, which take turns: what else the machine does meets all of them alike.

    After one round that does not count, there are as many as fill `SECONDS` for each call.
    """
    for call in calls.values():
        call()
    taken = {name: [_seconds(call, device)] for name, call in calls.items()}
    rounds = round(SECONDS * len(calls) / max(sum(first for (first,) in taken.values()), 1e-9))
    for _ in range(min(max(rounds, LEAST), MOST) - 1):
        for name, call in calls.items():
            taken[name].append(_seconds(call, device))
    return {name: statistics.median(each) for name, each in taken.items()}


def _seconds(call: Callable[[], object], device: str) -> float:
    wait = torch.cuda.synchronize if torch.device(device).type == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    call()
    wait()
    return time.perf_counter() - start
