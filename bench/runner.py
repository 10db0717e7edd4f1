"""Carries a study out: tunes, trains, tests, records; goes on where an earlier call stopped."""

from __future__ import annotations

import gc
import statistics
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import torch

from bench.environment import commit, environment
from bench.records import PROTOCOL, Records, run_id
from bench.references import measure, retire
from bench.study import Cell, Study
from bench.tasks import description
from bench.train import Outcome, Run, train

Record = dict[str, Any]
DONE = ("ok", "diverged")
"""Statuses that a second try on the same device would only repeat; the others are tried again."""


@dataclass
class Watcher:
    """What wants to know how a study goes on. Each may be replaced: progress bar, MLflow, figures, tests."""

    started: Callable[[Run], None] = lambda run: None
    epoch: Callable[[Run, int], None] = lambda run, epoch: None
    finished: Callable[[Run, Record, bool], None] = lambda run, record, fresh: None
    cell: Callable[[Cell, list[Record]], None] = lambda cell, records: None
    reference: Callable[[Record, bool], None] = lambda record, fresh: None


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
    made: dict[str, Record] = field(default_factory=dict, init=False)
    """What this call has run: a shared trial that failed is not tried again for every rank."""

    def __call__(self) -> list[Record]:
        """Runs what is not recorded yet. Returns the records of all final runs, failed ones too."""
        self.references()
        results = []
        for cell in self.study.cells():
            records = list(self.cell(cell))
            self.watcher.cell(cell, records)
            results.extend(records)
        return results

    def references(self) -> None:
        """Measures what the tasks' figures are read against, on the seeds of the final runs."""
        for task in self.study.tasks:
            found = []
            for reference in task.references:
                for seed in self.study.seeds:
                    record, fresh = measure(self.study, self.scale, self.records, task, reference, seed)
                    self.watcher.reference(record, fresh)
                    found.append(record["run_id"])
            retire(self.records, task, found)

    def cell(self, cell: Cell) -> Iterator[Record]:
        """Tunes one cell, then runs it on every seed. Without a sound budget of trials its final runs are failed."""
        wanted = self.study.trials(cell)
        trials = [self.run(run, phase="tune", tuning=None) for run in wanted]
        tuning = choose(trials, cell=cell, study=self.study)
        reason = unsound(tuning)
        finals = self.study.finals(cell, (tuning["chosen"] or tuning["candidates"][0])["lr"])
        self.retire(cell, {identity(run) for run in (*wanted, *finals)})
        for run in finals:
            yield self.run(run, phase="final", tuning=tuning) if reason is None else self.failed(run, reason, tuning)

    def run(self, run: Run, *, phase: str, tuning: Record | None) -> Record:
        """The record of a run: the one that is there, or a new one."""
        key = identity(run)
        known = self.made.get(key) or self.records.read(key)
        if known is not None and (key in self.made or usable(known, run, self.device)):
            if tuning is not None and known["tuning"] != tuning:  # other trials led to the same choice
                self.records.write(known := known | {"tuning": tuning})
            self.watcher.finished(run, known, False)
            return known
        self.watcher.started(run)
        started = datetime.now(UTC)
        outcome = attempt(run, device=self.device, on_epoch=lambda epoch: self.watcher.epoch(run, epoch))
        return self.keep(run, outcome, phase=phase, tuning=tuning, started=started)

    def failed(self, run: Run, reason: str, tuning: Record) -> Record:
        """A final run that could not be: a status, not a gap."""
        return self.keep(run, Outcome(status="failed", reason=reason), phase="final", tuning=tuning)

    def keep(
        self, run: Run, outcome: Outcome, *, phase: str, tuning: Record | None, started: datetime | None = None
    ) -> Record:
        """Writes a record and tells it. One of another device, other data or a sounder day is moved aside, not lost."""
        there = self.records.read(identity(run))
        if there is not None and there["status"] in DONE:
            self.records.retire([there["run_id"]])
        record = self.record(run, outcome, phase=phase, started=started or datetime.now(UTC)) | {"tuning": tuning}
        self.records.write(record)
        self.made[record["run_id"]] = record
        self.watcher.finished(run, record, True)
        return record

    def retire(self, cell: Cell, current: set[str]) -> None:
        """Runs of the cell that the study as it is now would not make: another rate, other epochs, …"""
        about = describe(Run(cell.task, cell.model, cell.method, self.study.training, seed=0))
        methods = {"final": repr(cell.method), "tune": repr(self.study.tune.representative(cell.method))}
        self.records.retire(
            record["run_id"]
            for record in self.records.all()
            if record["run_id"] not in current
            if all(record[part]["spec"] == about[part]["spec"] for part in ("task", "model"))
            if record["method"]["spec"] == methods.get(record["phase"])
        )

    def record(self, run: Run, outcome: Outcome, *, phase: str, started: datetime) -> Record:
        """Everything that is kept of a run; `bench/records.py` says what each field means."""
        found = asdict(outcome)
        resolved = found.pop("precision") or run.training.precision
        provenance = {**commit(), **found.pop("provenance")}
        provenance |= {"started": started.isoformat(), "ended": datetime.now(UTC).isoformat()}
        shown = [each | {"picture": self.records.keep_picture(each["picture"])} for each in found.pop("examples")]
        return {
            "protocol": PROTOCOL,
            "run_id": identity(run),
            "study": self.study.name,
            "scale": self.scale,
            "phase": phase,
            **describe(run),
            "training": run.training.config | {"precision": resolved},
            "seed": run.seed,
            **found,
            **({"examples": shown} if shown else {}),
            "environment": environment(self.device),
            "provenance": provenance,
        }


def identity(run: Run) -> str:
    """The run's id: a hash of all that determines its result, as specifications.

    They leave out what is at its default, so an option added later, off by default, does not disown old records;
    who changes a default, or what an option means, raises `PROTOCOL`.
    """
    parts = {"task": run.task, "model": run.model, "method": run.method, "training": run.training}
    return run_id({**{kind: repr(part) for kind, part in parts.items()}, "seed": run.seed, "test": run.test})


def usable(record: Record, run: Run, device: str) -> bool:
    """Whether a record spares the run: it ended, on this kind of device, with the data and weights that are there."""
    here, there = environment(device), record["environment"]
    known, weights = record["provenance"], run.model.fingerprint()
    same = all(here[key] == there.get(key) for key in ("device_name", "threads"))
    same = same and (weights is None or known.get("weights_sha256") == weights)
    return same and record["status"] in DONE and known.get("data_sha256") == run.task.fingerprint()


def unsound(tuning: Record) -> str | None:
    """Why a method's trials are no budget equal to the others': one failed by accident, or none ended well."""
    if any(candidate["status"] == "failed" for candidate in tuning["candidates"]):
        return "a tuning run failed, so the budget would be smaller than the other methods'"
    if tuning["chosen"] is None:
        return f"no tuning run ended well: {', '.join(c['status'] for c in tuning['candidates'])}"
    return None


def describe(run: Run) -> Record:
    """Task, model and method as a record names them."""
    return {
        "task": description(run.task),
        "model": {"spec": repr(run.model), "name": run.model.name},
        "method": {"spec": repr(run.method), "name": type(run.method).__name__, "config": run.method.config},
    }


def attempt(run: Run, *, device: str, on_epoch: Callable[[int], None]) -> Outcome:
    """Trains; what goes wrong becomes a status and a reason, and its memory is freed. Ctrl-C goes through."""
    start, outcome = time.perf_counter(), Outcome()
    try:
        return train(run, device=device, on_epoch=on_epoch, outcome=outcome)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        first = (str(error).splitlines() or [type(error).__name__])[0]
        full = isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in first
        outcome.status = "out_of_memory" if full else "failed"
        outcome.reason = first if full else f"{type(error).__name__}: {first} ({where.name}, line {where.lineno})"
    gc.collect()
    if torch.device(device).type == "cuda":
        torch.cuda.empty_cache()
    outcome.metrics, outcome.time["total"] = {}, time.perf_counter() - start
    return outcome


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
        scores = [] if bad else [trial["metrics"]["val"] for trial in of_rate]
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
