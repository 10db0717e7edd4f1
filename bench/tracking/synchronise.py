"""Shows everything that is recorded in MLflow, which can so be made anew after a clone."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.errors import BadInput, masked
from bench.records import Records
from bench.tracking import tracker
from bench.tracking.client import brief, database
from bench.tracking.deadline import Worker
from bench.tracking.entries import started
from bench.tracking.experiment import Experiment
from bench.tracking.server import serve

EVERY = 5.0
"""Seconds between two lines of progress where there is no terminal for a bar."""
_log = logging.getLogger(__name__)


def sync(results: Path, uri: str) -> Counter[str]:
    """Show every record, table and figure under `results` in MLflow; what is there already is left alone.

    A record that MLflow does not take is named and left out; the others are shown.

    Args:
        results: the folder that holds <study>/<scale>/runs.
        uri: an MLflow tracking URI, as `uri()` gives it.

    Returns:
        How many runs were "logged", "present" already or "refused", and how many "reports" were brought up to date.

    Raises:
        BadInput: MLflow cannot be reached.
    """
    return _Sync(Path(results), uri).all()


class _Sync:
    """One pass over all records."""

    def __init__(self, results: Path, uri: str) -> None:
        self.uri, self.worker = uri, Worker()
        self.counts: Counter[str] = Counter(logged=0, present=0, refused=0, reports=0)
        folders = sorted(runs.parent for runs in results.glob("*/*/runs"))
        self.records = {folder: sorted(Records(folder).all(), key=started) for folder in folders}
        self.progress = _Progress(sum(map(len, self.records.values())))
        self.experiments: dict[str, Experiment] = {}

    def all(self) -> Counter[str]:
        try:
            for folder in self.records:
                self._folder(folder)
        except Exception as error:  # of MLflow, SQLAlchemy, requests, a missing driver
            raise BadInput(f"MLflow at {masked(self.uri)} cannot be used: {brief(error, self.uri)}") from None
        finally:
            self.progress.close()
        return self.counts

    def _folder(self, folder: Path) -> None:
        study = folder.parent.name
        if study not in self.experiments:
            within = tracker.OPENING[database(self.uri) is not None]
            self.experiments[study] = self.worker.call(Experiment, study, self.uri, within=within)
        experiment, records = self.experiments[study], self.records[folder]
        taken = []
        for record in records:
            new = self._tried(experiment, f"run {record['run_id']}", lambda: experiment.log(record))  # noqa: B023
            self.counts["refused" if new is None else "logged" if new else "present"] += 1
            taken += [record] if new is not None else []
            self.progress.step(f"{study} ({folder.name})")
        about = f"what is known of {study} ({folder.name}) as a whole"
        steps = self._tried(experiment, about, lambda: list(experiment.report(folder, taken))) or []
        done = []
        for step in steps:
            done.append(self._tried(experiment, f"a part of {study} ({folder.name})", step))
            self.progress.say(f"figures of {study} ({folder.name})")
        self.counts["reports"] += bool(done and done[0])

    def _tried(self, experiment: Experiment, what: str, call: Callable[[], Any]) -> Any:
        """What `call` returns; None, with a line, if MLflow answers and refuses this one thing."""
        try:
            return self.worker.call(call, within=tracker.CALL)
        except Exception as error:
            self.worker.call(experiment.answers, within=tracker.CALL)
            _log.warning("%s is not shown in MLflow: %s", what, brief(error, self.uri))
            return None


class _Progress:
    """A bar on a terminal; through a pipe a line now and then."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.next = total, 0, time.monotonic() + EVERY
        self.bar: Any = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=total, desc="MLflow", unit="run", leave=False)

    def step(self, where: str) -> None:
        self.done += 1
        if self.bar is not None:
            self.bar.update()
        self.say(where, now=self.done == self.total)

    def say(self, where: str, *, now: bool = False) -> None:
        """A line, if the last one is some seconds old."""
        if self.bar is None and (now or time.monotonic() > self.next):
            share = f"{self.done / max(self.total, 1):.0%}"
            print(f"MLflow: {self.done:,} of {self.total:,} runs ({share}), {where}", file=sys.stderr, flush=True)
            self.next = time.monotonic() + EVERY

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def ui(results: Path, uri: str, *, host: str = "127.0.0.1", port: int = 5000) -> None:
    """Sync `results`, then serve MLflow's page until Ctrl-C.

    Args:
        results: the folder that holds <study>/<scale>/runs.
        uri: an MLflow tracking URI, as `uri()` gives it.
        host: the interface to listen on.
        port: the first port to try; if it is taken, one of the next is used.

    Raises:
        BadInput: MLflow cannot be reached or started.
    """
    synced = _Sync(Path(results), uri)
    counts = synced.all()
    total, new = counts["logged"] + counts["present"], counts["logged"]
    refused = f", {counts['refused']} refused" if counts["refused"] else ""
    print(f"MLflow has {total} runs from {results}, {new} of them new{refused}", flush=True)
    numbers = {study: experiment.number for study, experiment in sorted(synced.experiments.items())}
    serve(uri, host=host, port=port, studies=numbers)
