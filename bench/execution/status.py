"""What runs where: kept in a file beside the records while a study goes on, and read by `bench status`."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bench.errors import BadInput
from bench.execution.executor import Place
from bench.records import write_atomically

FILE = "running.json"
EVERY = 1.0
"""Seconds between two writings."""


class Status:
    """The file of one study's folder; it goes with the study.

    Args:
        folder: of its records.
        study: its name.
        total: runs that were to do as the study began.
    """

    def __init__(self, folder: Path, study: str, total: int) -> None:
        self.path, self.study, self.total, self.done = folder / FILE, study, total, 0
        self.written = 0.0

    def places(self, running: Sequence[Place]) -> None:
        """Writes what runs, unless that was a moment ago. A disk that cannot be written is no reason to stop."""
        if time.monotonic() - self.written < EVERY:
            return
        self.written = time.monotonic()
        rows = [row(place) for place in running]
        about = {"study": self.study, "done": self.done, "todo": self.total, "at": datetime.now(UTC).isoformat()}
        with suppress(BadInput):
            write_atomically(self.path, json.dumps(about | {"running": rows}, indent=1))

    def close(self) -> None:
        """Nothing runs any more."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


def row(place: Place) -> dict[str, Any]:
    """A run that goes on, as plain data."""
    job = place.job
    trial = getattr(job, "trial", None)
    return {
        "run": f"{job.run.method!r} on {job.run.task.name}, {job.run.model.name}",
        "what": f"trial {trial.number}" if trial is not None else str(getattr(job, "phase", "")),
        "seed": job.run.seed,
        "epoch": getattr(job, "epoch", 0),
        "epochs": job.run.training.epochs,
        "where": place.where,
        "started": place.started.isoformat(),
    }


def statuses(results: Path) -> list[dict[str, Any]]:
    """What runs under a results folder: of each study what its file says, with its `folder`, and whether it is `alive`.

    One that was killed has left its file, and nobody holds its folder.
    """
    found = []
    for path in sorted(results.glob(f"*/*/{FILE}")):
        try:
            about = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        found.append(about | {"folder": str(path.parent), "alive": held(path.parent)})
    return found


def held(folder: Path) -> bool:
    """Whether a process is at work on a results folder."""
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False
