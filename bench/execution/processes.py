"""Processes of this machine that train: a run at a time each, all from the same queue.

One that is killed is replaced at once. They are an executor (`bench.execution.executor`).
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from bench.errors import SAID, speak_in_lines
from bench.execution.executor import TRIES, Ended, Job, Place, Told, attempt
from bench.study.plugins import again, files
from bench.training.loop import Outcome

START = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
"""How workers begin: forked from a process that has imported torch once for all and used it for nothing."""
SLOW = "torchmetrics.functional.classification"
"""What takes seconds to import, with which no run shall be charged."""


@dataclass
class _Worker:
    process: Any
    link: Connection
    job: Any = None
    tries: int = 0
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    scores: list[dict[str, float]] = field(default_factory=list)


class Processes:
    """Several worker processes.

    Args:
        jobs: how many.
        device: torch device; "cuda" without a number gives each worker the next GPU in turn.
        threads: of each.
        told: hears of every epoch.
    """

    def __init__(self, jobs: int, device: str, threads: int, told: Told) -> None:
        self.jobs, self.device, self.threads, self.told = jobs, device, threads, told
        self.workers: list[_Worker] = []

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.process.kill()
            worker.process.join()

    @property
    def free(self) -> bool:
        """Whether a worker has nothing to do, or there may be one more."""
        return len(self.workers) < self.jobs or any(worker.job is None for worker in self.workers)

    def start(self, job: Job) -> None:
        """Gives a job to a free worker."""
        worker = next((w for w in self.workers if w.job is None), None)
        if worker is None:
            worker = self._new(len(self.workers))
            self.workers.append(worker)
        self._send(worker, job, tries=1)

    def ended(self) -> list[Ended]:
        """Waits until a job has ended; nothing if nothing runs. Epochs that end meanwhile are told and answered."""
        over: list[Ended] = []
        while not over and any(worker.job is not None for worker in self.workers):
            busy: dict[Any, _Worker] = {worker.link: worker for worker in self.workers if worker.job is not None}
            for link in wait(list(busy)):
                over += self._hear(busy[link])
        return over

    def places(self) -> list[Place]:
        """What each process does."""
        busy = (worker for worker in self.workers if worker.job is not None)
        return [Place(each.job, f"process {each.process.pid}", each.started) for each in busy]

    def _hear(self, worker: _Worker) -> Iterator[Ended]:
        try:
            message = worker.link.recv()
        except (EOFError, OSError):
            yield from self._killed(worker)
            return
        if isinstance(message, Outcome):
            job, worker.job = worker.job, None
            yield Ended(job, message, worker.started)
            return
        epoch, scores = message
        worker.scores.append(scores)
        answer = self.told(worker.job, epoch, worker.scores)
        with contextlib.suppress(OSError):  # killed meanwhile: the next message is the end of its pipe
            worker.link.send(answer)

    def _killed(self, worker: _Worker) -> Iterator[Ended]:
        """A run whose process is gone begins anew in another one; where that dies too, it has failed."""
        worker.process.join()
        job, tries, at = worker.job, worker.tries, self.workers.index(worker)
        fresh = self.workers[at] = self._new(at)
        if tries < TRIES:
            self._send(fresh, job, tries=tries + 1)
            return
        code = worker.process.exitcode
        cause = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        reason = f"its process ended {tries} times ({cause}; 9 is what the system sends when memory runs out)"
        yield Ended(job, Outcome(status="failed", reason=reason), worker.started)

    def _send(self, worker: _Worker, job: Job, *, tries: int) -> None:
        worker.job, worker.tries, worker.scores, worker.started = job, tries, [], datetime.now(UTC)
        with contextlib.suppress(OSError):  # it died while idle: noticed, and mended, as for any other
            worker.link.send(job.run)

    def _new(self, number: int) -> _Worker:
        device = self.device
        if device == "cuda" and torch.cuda.device_count() > 1:
            device = f"cuda:{number % torch.cuda.device_count()}"
        return _Worker(*begun(_serve, device, threads=self.threads))


def begun(serve: Callable[..., None], *args: Any, threads: int) -> tuple[Any, Connection]:
    """Starts a worker process that knows this one's study files and plug-ins and does not outlive it.

    Args:
        serve: what it does, with its end of a pipe and `args`.
        args: can be pickled.
        threads: of torch.

    Returns:
        The process and this end of the pipe.
    """
    with _for_workers(threads) as context:
        here, there = context.Pipe()
        process = context.Process(target=_live, args=(threads, study_files(), SAID, serve, there, *args), daemon=True)
        process.start()
    there.close()
    return process, here


def warm(threads: int) -> None:
    """Starts what workers are forked from. It imports torch, which takes seconds; this returns at once."""
    with _for_workers(threads):
        if START == "forkserver":
            forkserver.ensure_running()


@contextlib.contextmanager
def _for_workers(threads: int) -> Iterator[Any]:
    """What starts processes. They inherit what holds within: so many threads, and no Ctrl-C, which is for this process
    alone; from another thread than the main one that cannot be had."""
    context: Any = multiprocessing.get_context(START)
    context.set_forkserver_preload([__name__])
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


def study_files() -> dict[str, str]:
    """Study files and plug-ins that are loaded here: what they define must be known to a worker too."""
    loaded = {name: module for name, module in sys.modules.items() if name.startswith("studies.")}
    studies = {name: module.__file__ for name, module in loaded.items() if module.__file__}
    return files() | studies  # which may name them


def _live(threads: int, studies: Mapping[str, str], said: Set[str], serve: Callable[..., None], *args: Any) -> None:
    """A worker's life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whichever thread has started it
    speak_in_lines(said)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    tqdm.set_lock(threading.RLock())  # its own is a semaphore of the system's, which a worker that is killed leaves
    for name, path in studies.items():
        again(name, Path(path))
    serve(*args)


def _serve(link: Connection, device: str) -> None:
    """A run in, epochs and an outcome out, until the pipe ends."""
    importlib.import_module(SLOW)

    def on_epoch(epoch: int, scores: dict[str, float]) -> str | None:
        link.send((epoch, scores))
        answer: str | None = link.recv()
        return answer

    while True:
        link.send(attempt(link.recv(), device=device, on_epoch=on_epoch))


def _leave_with_parent() -> None:
    """No worker outlives the process that started it, whatever ended that one."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
