"""How many runs go on at once here, and with how many threads each."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import psutil
import torch

from bench.errors import BadInput
from bench.records import PROTOCOL
from bench.study.recording import Record
from bench.study.scales import ONE_THREAD
from bench.training.device import environment

MOST = 4
"""Runs at once on a CPU where nobody says how many: more of them wait for the memory more than for the cores."""
MANY = 12
"""Cells of a study at `smoke` from which on several workers pay: they take longer to start than a few of its runs."""


@dataclass(frozen=True)
class Workers:
    """Worker processes.

    Args:
        jobs: how many; 1 is no process beside this one.
        threads: of each; 0 for as many as torch takes.
        asked: whether somebody asked for so many.
    """

    jobs: int = 1
    threads: int = 0
    asked: bool = False

    def within_memory(self, device: str) -> Workers:
        """As many as the memory bears, by what this process needed at most when it timed a few steps of each method.

        More than that are cut down, unless they were asked for: then a line says what to expect.
        """
        if self.jobs == 1:
            return self
        need, free = needed(device), available(device)
        bears = max(1, int(free // need))
        if bears >= self.jobs:
            return self
        what = f"{self.jobs} runs at once need about {self.jobs * need / 2**30:.1f} GiB, {free / 2**30:.1f} are free"
        if self.asked:
            print(f"warning: {what}: --jobs {bears} would fit")
            return self
        print(f"{what}: {bears} at once")
        return replace(self, jobs=bears)


@cache
def _threads() -> int:
    """Torch's threads before they were shared out."""
    return torch.get_num_threads()


def share_out(jobs: int | None, device: str, *, scale: str, cells: int = 0, known: Sequence[Record] = ()) -> Workers:
    """The workers asked for, or as many as pay. Sets this process's threads to theirs, so that plans hold for them.

    Args:
        jobs: how many; None for as many as what is recorded was run with, on this device, or else as many as pay.
        device: torch device.
        scale: of the study.
        cells: of the study.
        known: what is recorded: runs with another number of threads are not of the same device.

    Raises:
        BadInput: less than one.
    """
    if jobs is not None and jobs < 1:
        raise BadInput(f"--jobs {jobs}: at least one run at a time")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if torch.device(device).type == "cuda":
        return Workers(jobs or (torch.cuda.device_count() if device == "cuda" else 1), 0, jobs is not None)
    usual = 1 if scale == "smoke" and cells < MANY else min(MOST, cores)
    here = environment(device)["device_name"]
    before = Counter(
        (r["environment"].get("jobs", 1), r["environment"].get("threads"))
        for r in known
        if r["phase"] != "reference" and r["environment"].get("device_name") == here and r["protocol"] == PROTOCOL
    )
    recorded = before.most_common(1)[0][0] if before else None
    count = jobs or (recorded[0] if recorded else usual)
    torch.set_num_threads(1 if scale in ONE_THREAD else max(1, min(_threads(), cores) // count))
    if recorded and recorded[1] != torch.get_num_threads():
        print(
            f"what is recorded here had {recorded[1]} threads a run and --jobs {recorded[0]}; this has "
            f"{torch.get_num_threads()} and measures all anew"
        )
    return Workers(count, torch.get_num_threads(), jobs is not None)


def needed(device: str) -> float:
    """Bytes that one run takes at most, so far as this process has seen."""
    if torch.device(device).type == "cuda":
        return max(2.0**28, float(torch.cuda.max_memory_reserved(device)))
    return float(_peak())


def available(device: str) -> float:
    """Bytes that are free for workers; infinite where the device is another machine's."""
    if torch.device(device).type == "cuda":
        if not torch.cuda.is_available():
            return math.inf
        free, _ = torch.cuda.mem_get_info(device)
        return float(free + torch.cuda.memory_reserved(device)) * max(1, torch.cuda.device_count())
    return float(psutil.virtual_memory().available)


def _peak() -> int:
    """The most memory that this process has had, in bytes; where the system does not say, what it has now."""
    try:
        import resource
        import sys

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    except ImportError:  # Windows
        return int(psutil.Process().memory_info().rss)
