"""How worker processes begin: forked from a process that has imported torch once for all and used it for nothing.

No torch here: so a command may have that process begin while it still imports torch itself.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

START = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
PRELOADED = "bench.execution.processes"


def warm(threads: int) -> None:
    """Starts what workers are forked from. It imports torch, which takes seconds; this returns at once."""
    with for_workers(threads):
        if START == "forkserver":
            forkserver.ensure_running()


def warm_early(study: Path, scale: str, *, results: Path, family: str | None, jobs: int | None) -> None:
    """The same before anything else is imported, where workers will most likely have something to do.

    Args:
        study: its file.
        scale, results, family, jobs: as they are asked for.
    """
    few = jobs == 1 or (jobs is None and (cores() < 2 or (scale == "smoke" and family is not None)))
    if not few and not any((results / study.stem.replace("_", "-") / scale / "runs").glob("*.json")):
        warm(threads=1)


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def for_workers(threads: int) -> Iterator[Any]:
    """What starts processes. They inherit what holds within: so many threads, and no Ctrl-C, which is for this process
    alone; from another thread than the main one that cannot be had."""
    context: Any = multiprocessing.get_context(START)
    context.set_forkserver_preload([PRELOADED])
    in_main = threading.current_thread() is threading.main_thread()
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN) if in_main else None
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read when the worker imports torch
    try:
        yield context
    finally:
        os.environ.pop("OMP_NUM_THREADS") if before is None else os.environ.update(OMP_NUM_THREADS=before)
        if in_main:
            signal.signal(signal.SIGINT, interrupt)
