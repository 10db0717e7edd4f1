"""What trains: the one interface behind which runs go on in this process, in processes of this machine or on Ray.

Whoever holds an executor decides everything: what runs next, whether a trial is pruned, what is recorded. An executor
only trains. A new one is a class with what `Executor` has, and a line in `bench.execution.launch`.
"""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import torch

from bench.errors import scrubbed
from bench.training.loop import Outcome, train
from bench.training.run import Run

TRIES = 2
"""How often a run is begun whose process is killed under it."""


class Job(Protocol):
    """What is handed to an executor."""

    run: Run


Told = Callable[[Any, int, list[dict[str, float]]], str | None]
"""Hears of a job's epoch: the job, the epoch, validation scores so far. A text ends the run as pruned."""


@dataclass
class Ended:
    """A job whose run is over.

    Args:
        job: as it was started.
        outcome: what the run found.
        started: when its last try began.
        environment: of the machine that it ran on (a record's `environment`); None for this one.
    """

    job: Any
    outcome: Outcome
    started: datetime
    environment: dict[str, Any] | None = None


@dataclass(frozen=True)
class Place:
    """A run that goes on.

    Args:
        job: as it was started.
        where: the machine and the process, for a person; "" while it waits for one.
        started: when.
    """

    job: Any
    where: str
    started: datetime


class Executor(Protocol):
    """Trains jobs, some at once.

    `told` hears of every epoch, in the process that holds the executor. `with executor:` ends all that runs at its end.
    """

    told: Told

    @property
    def free(self) -> bool:
        """Whether one more job can be started."""
        ...

    def start(self, job: Any) -> None:
        """Takes a job that is to be run; only while `free`."""
        ...

    def ended(self) -> list[Ended]:
        """Waits until a job has ended; nothing if nothing runs. Epochs that end meanwhile are told and answered."""
        ...

    def places(self) -> list[Place]:
        """What runs now, and where."""
        ...


def attempt(run: Run, *, device: str, on_epoch: Callable[[int, dict[str, float]], str | None]) -> Outcome:
    """Trains; what goes wrong becomes a status and a reason."""
    return guarded(lambda outcome: train(run, device=device, on_epoch=on_epoch, outcome=outcome), device=device)


def guarded(work: Callable[[Outcome], Outcome], *, device: str) -> Outcome:
    """Does work that fills in an outcome; what goes wrong becomes a status and a reason, and its memory is freed.

    Ctrl-C goes through.
    """
    start, outcome = time.perf_counter(), Outcome()
    try:
        return work(outcome)
    except Exception as error:
        if _interrupted(error):
            raise KeyboardInterrupt from error
        where = traceback.extract_tb(error.__traceback__)[-1]
        first = scrubbed((str(error).splitlines() or [type(error).__name__])[0])
        full = isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in first
        outcome.status = "out_of_memory" if full else "failed"
        outcome.reason = first if full else f"{type(error).__name__}: {first} ({where.name}, line {where.lineno})"
    gc.collect()
    if torch.device(device).type == "cuda":
        torch.cuda.empty_cache()
    outcome.metrics, outcome.outcomes, outcome.weights = {}, {}, b""
    outcome.time["total"] = time.perf_counter() - start
    return outcome


def _interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind an error: some C code that it ends answers with its own error."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


class InProcess:
    """One run at a time, in this process.

    Args:
        device: torch device.
        told: hears of every epoch.
    """

    def __init__(self, device: str, told: Told) -> None:
        self.device, self.told = device, told
        self.over, self.running = list[Ended](), list[Place]()

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def free(self) -> bool:
        """Whether the last one has been asked for."""
        return not self.over

    def start(self, job: Job) -> None:
        """Runs the job to its end."""
        started, scores = datetime.now(UTC), list[dict[str, float]]()
        self.running = [Place(job, "this process", started)]

        def on_epoch(epoch: int, found: dict[str, float]) -> str | None:
            scores.append(found)
            return self.told(job, epoch, scores)

        self.over.append(Ended(job, attempt(job.run, device=self.device, on_epoch=on_epoch), started))
        self.running = []

    def ended(self) -> list[Ended]:
        """What has ended since the last call; nothing if nothing runs."""
        over, self.over = self.over, []
        return over

    def places(self) -> list[Place]:
        """The run that goes on."""
        return self.running
