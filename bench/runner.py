"""Carries a study out: tunes, trains, tests, records; goes on where an earlier call stopped."""

from __future__ import annotations

import gc
import statistics
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import torch

from bench.environment import commit, environment
from bench.records import PROTOCOL, Records, run_id
from bench.study import Cell, Study
from bench.train import Outcome, Run, train

Record = dict[str, Any]
DONE = ("ok", "diverged", "out_of_memory")
"""Statuses that a second try would only repeat; "failed" is tried again."""


@dataclass
class Watcher:
    """What wants to know how a study goes on. Each may be replaced: progress bar, MLflow, figures, tests."""

    started: Callable[[Run], None] = lambda run: None
    epoch: Callable[[Run, int], None] = lambda run, epoch: None
    finished: Callable[[Run, Record, bool], None] = lambda run, record, fresh: None
    cell: Callable[[Cell, list[Record]], None] = lambda cell, records: None


@dataclass
class Runner:
    """Runs a study's cells one by one.

    Args:
        study: what to run.
        scale: for the records.
        records: where they are kept.
        device: torch device.
        watcher: who is told.
    """

    study: Study
    scale: str
    records: Records
    device: str = "cpu"
    watcher: Watcher = field(default_factory=Watcher)

    def __call__(self) -> list[Record]:
        """Runs what is not recorded yet. Returns the records of all final runs, failed ones too."""
        results = []
        for cell in self.study.cells():
            records = list(self.cell(cell))
            self.watcher.cell(cell, records)
            results.extend(records)
        return results

    def cell(self, cell: Cell) -> Iterator[Record]:
        """Tunes one cell, then runs it on every seed. A cell without a usable trial yields the last failed one."""
        trials = [self.run(run, phase="tune", tuning=None) for run in self.study.trials(cell)]
        tuning = choose(trials, cell=cell, study=self.study)
        if tuning["chosen"] is None:
            yield trials[-1]
            return
        for run in self.study.finals(cell, tuning["chosen"]["lr"]):
            yield self.run(run, phase="final", tuning=tuning)

    def run(self, run: Run, *, phase: str, tuning: Record | None) -> Record:
        """The record of a run: the one that is there, or a new one."""
        key = identity(run)
        known = self.records.read(key)
        if known is not None and known["status"] in DONE:
            self.watcher.finished(run, known, False)
            return known
        self.watcher.started(run)
        started = datetime.now(UTC)
        outcome = attempt(run, device=self.device, on_epoch=lambda epoch: self.watcher.epoch(run, epoch))
        record = self.record(run, outcome, key=key, phase=phase, started=started) | {"tuning": tuning}
        self.records.write(record)
        self.watcher.finished(run, record, True)
        return record

    def record(self, run: Run, outcome: Outcome, *, key: str, phase: str, started: datetime) -> Record:
        """Everything that is kept of a run; `bench/records.py` says what each field means."""
        found = asdict(outcome)
        resolved = found.pop("precision") or run.training.precision
        provenance = {**commit(), **found.pop("provenance")}
        provenance |= {"started": started.isoformat(), "ended": datetime.now(UTC).isoformat()}
        return {
            "protocol": PROTOCOL,
            "run_id": key,
            "study": self.study.name,
            "scale": self.scale,
            "phase": phase,
            **describe(run),
            "training": run.training.config | {"precision": resolved},
            "seed": run.seed,
            **found,
            "environment": environment(self.device),
            "provenance": provenance,
        }


def identity(run: Run) -> str:
    """The run's id: a hash of all that determines its result."""
    parts = {"task": run.task, "model": run.model, "method": run.method, "training": run.training}
    configs = {kind: {"class": type(part).__name__, **part.config} for kind, part in parts.items()}
    return run_id({**configs, "seed": run.seed, "test": run.test})


def describe(run: Run) -> Record:
    """Task, model and method as a record names them."""
    return {
        "task": {
            "spec": repr(run.task),
            "name": run.task.name,
            "family": run.task.family,
            "metric": run.task.metric,
        },
        "model": {"spec": repr(run.model), "name": run.model.name},
        "method": {"spec": repr(run.method), "name": type(run.method).__name__, "config": run.method.config},
    }


def attempt(run: Run, *, device: str, on_epoch: Callable[[int], None]) -> Outcome:
    """Trains; what goes wrong becomes a status and a reason, and its memory is freed. Ctrl-C goes through."""
    start = time.perf_counter()
    try:
        return train(run, device=device, on_epoch=on_epoch)
    except (torch.OutOfMemoryError, MemoryError) as error:
        failed = Outcome(status="out_of_memory", reason=str(error).splitlines()[0] if str(error) else "out of memory")
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        failed = Outcome(status="failed", reason=f"{type(error).__name__}: {error} ({where.name}, line {where.lineno})")
    gc.collect()
    if torch.device(device).type == "cuda":
        torch.cuda.empty_cache()
    return replace(failed, time={"total": time.perf_counter() - start})


def choose(trials: list[Record], *, cell: Cell, study: Study) -> Record:
    """The learning rate with the best mean validation score over the tuning seeds; a tie goes to the lower loss.

    Returns:
        A record's `tuning`: every candidate with its score and status, what was chosen (None if nothing ran), and
        whether it lies on the edge of what was tried.
    """
    metric, candidates = cell.task.metric, []
    rates = sorted({trial["training"]["lr"] for trial in trials})
    for lr in rates:
        of_rate = [trial for trial in trials if trial["training"]["lr"] == lr]
        bad = next((trial["status"] for trial in of_rate if trial["status"] != "ok"), None)
        scores = [None] if bad else [trial["metrics"]["val"] for trial in of_rate]
        means = {k: None if bad else statistics.fmean(s[k] for s in scores) for k in (metric, "loss")}
        candidates.append({"lr": lr, "score": means[metric], "loss": means["loss"], "status": bad or "ok"})
    usable = [c for c in candidates if c["status"] == "ok"]
    best = max(usable, key=lambda c: (c["score"], -c["loss"]), default=None)
    tuned = study.tune.representative(cell.method)
    return {
        "candidates": candidates,
        "chosen": None if best is None else {"lr": best["lr"]},
        "on": f"val/{metric}",
        "seeds": list(study.tune.seeds),
        "shared_from": None if tuned == cell.method else repr(tuned),
        "edge": best is not None and len(rates) > 1 and best["lr"] in (rates[0], rates[-1]),
    }
