"""Carries a study out: tunes, trains, tests, records; goes on where an earlier call stopped."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import torch

from bench.execution.baseline_runs import measure, retire
from bench.execution.executor import Ended, Executor, InProcess
from bench.execution.keeping import Keeping
from bench.execution.optuna_storage import Mirror
from bench.execution.processes import Processes
from bench.execution.search import Search, storage
from bench.execution.watcher import Watcher
from bench.records import PROTOCOL, Records
from bench.study import Cell, Study
from bench.study.recording import DONE, Record, describe, identity, keep, made, of_method, retire_older, usable
from bench.study.trials import Trial, of_cells
from bench.training.loop import Outcome
from bench.training.run import Run


@dataclass
class Job:
    """A run that is to be done, and why: as a trial of a search, or as a cell's "final" or "default" run."""

    run: Run
    phase: str
    work: Work
    trial: Trial | None = None
    expected: float = 0.0
    """Seconds that it should take; 0 where that is not known."""
    epoch: int = 0
    """So many have ended."""


@dataclass
class Work:
    """What there is to do for a cell: the trials that its values come from, then its own runs."""

    cell: Cell
    search: Search
    runs: list[tuple[str, Run]] | None = None
    """Phase and run of what is to be tested; None while the trials go on."""
    taken: int = 0
    records: dict[str, Record] = field(default_factory=dict)
    """Of the tested runs, by id."""
    over: bool = False


@dataclass
class Runner:
    """Runs a study's cells.

    Args:
        study: what to run.
        scale: for the records.
        records: where they are kept.
        device: torch device.
        watcher: who is told.
        jobs: runs at once; above one, each in a process of its own with `threads` threads.
        threads: of each process; 0 for those that torch has here.
        storage: URL of Optuna's storage; a journal file beside the records without.
        left_out: cells that the plan refused.
        executor: what trains, held by the caller; without, processes, or this one where `jobs` is one.
        expects: seconds that a run should take; 0 where that is not known.
        keeping: which weights are kept; None for none.
    """

    study: Study
    scale: str
    records: Records
    device: str = "cpu"
    watcher: Watcher = field(default_factory=Watcher)
    jobs: int = 1
    threads: int = 0
    storage: str | None = None
    left_out: Collection[Cell] = ()
    executor: Executor | None = None
    expects: Callable[[Run], float] = lambda run: 0.0
    keeping: Keeping | None = None

    def __call__(self) -> list[Record]:
        """Runs what is not recorded yet. Returns the records of all final runs, failed ones too."""
        self.baselines()
        works = self.works()
        with self.trained_by() as self.executor:
            self.executor.told = self.epoch
            while True:
                self.hand_out(self.executor, works)
                self.watcher.places(self.executor.places())
                ended = self.executor.ended()
                if not ended:
                    break
                for each in ended:
                    if not isinstance(self.executor, InProcess):
                        self.hand_out(self.executor, works)  # no worker waits until this one's run is recorded
                    self.ended(each)
        self.retire_older(works)
        return [record for work in works for record in work.records.values() if record["phase"] == "final"]

    def hand_out(self, executor: Executor, works: list[Work]) -> None:
        """Gives the executor as much as it takes of what can begin now."""
        while executor.free and (job := self.next(works)) is not None:
            self.watcher.started(job.run)
            executor.start(job)

    def retire_older(self, works: list[Work]) -> None:
        """Moves aside the records of older protocols of what is measured again as a whole."""
        left = {w.cell for w in works if not w.over or any(r["status"] not in DONE for r in w.records.values())}
        undone = {(cell.task, cell.model) for cell in left}
        retire_older(self.records, (w.cell for w in works if (w.cell.task, w.cell.model) not in undone))

    def trained_by(self) -> AbstractContextManager[Executor]:
        """What trains: an executor that is there already, processes, or, one run at a time, this one."""
        if self.executor is not None:
            return nullcontext(self.executor)
        if self.jobs == 1:
            return InProcess(self.device, self.epoch)
        return Processes(self.jobs, self.device, self.threads or torch.get_num_threads(), self.epoch)

    def baselines(self) -> None:
        """Measures what the tasks' figures are read against, on the seeds of the final runs."""
        for task in self.study.tasks:
            for baseline in task.baselines:
                for seed in self.study.seeds:
                    record, fresh = measure(self.study, self.scale, self.records, task, baseline, seed)
                    self.watcher.baseline(record, fresh)
            retire(self.records, task)

    def works(self) -> list[Work]:
        """Every cell with its search, as far as both are recorded already."""
        self.records.folder.mkdir(parents=True, exist_ok=True)
        optuna, known = storage(self.storage, Path(self.records.folder)), self.records.all()
        mirror = Mirror(optuna, place=self.place, said=self.watcher.said)
        searches: dict[str, Search] = {}
        works = []
        for cell, trials in of_cells(self.study, self.device).items():
            if cell in self.left_out:
                continue
            if trials.name not in searches:
                trials.recall(known)
                searches[trials.name] = Search(trials, mirror)
                self.say_changed(cell, trials.name, known)
                for trial in list(trials.found.values()):
                    for seed, record in trial.records.items():
                        self.watcher.finished(trials.run(trial, seed), record, False)
            works.append(Work(cell, searches[trials.name]))
        self.say_idle(list(searches.values()))
        return works

    def say_idle(self, searches: list[Search]) -> None:
        """Says of workers that will have nothing to do while the searches go on."""
        most = sum(search.at_once for search in searches if search.trials.open)
        if 0 < most < self.jobs:
            self.watcher.said(
                f"--jobs {self.jobs}: {most} trial{'s' * (most != 1)} at once while tuning goes on, for one depends on "
                f"those before it; Tune(batch={self.jobs}) in the study lets {self.jobs} of a search run side by side"
            )

    @property
    def place(self) -> str:
        """What tells this results folder from others in a storage that they may share."""
        if self.storage is None:
            return ""
        return hashlib.sha256(f"{platform.node()} {self.records.folder.resolve()}".encode()).hexdigest()[:6]

    def say_changed(self, cell: Cell, search: str, known: list[Record]) -> None:
        """Says that trials which are there are of another space, budget, device or of other data."""
        tuned = repr(self.study.tune.representative(cell.method))
        here = (repr(cell.task), repr(cell.model), tuned)
        trials = [record for record in known if record["phase"] == "tune" and record["protocol"] == PROTOCOL]
        of_it = [r for r in trials if (r["task"].get("spec"), r["model"].get("spec"), of_method(r)) == here]
        searches = {(record.get("trial") or {}).get("search") for record in of_it}
        if of_it and search not in searches:
            self.watcher.said(
                f"{tuned} on {cell.task.name}: its {len(of_it)} trials are of another space, budget, "
                "device or of other data; it is tuned anew"
            )

    def next(self, works: list[Work]) -> Job | None:
        """The first run in the order of the study that can begin now."""
        for work in works:
            if not work.over and (job := self.of_cell(work)) is not None:
                job.expected = self.expects(job.run)
                return job
        return None

    def of_cell(self, work: Work) -> Job | None:
        """A cell's next run that is not recorded; None if it must wait for trials, or has none left."""
        search = work.search
        if not search.done:
            trial = search.take()
            if trial is None:
                return None
            return Job(search.trials.run(trial, search.seed(trial)), "tune", work, trial)
        if work.runs is None:
            self.decide(work)
        assert work.runs is not None
        while work.taken < len(work.runs):
            phase, run = work.runs[work.taken]
            work.taken += 1
            record = self.known(run, phase, search.trials.summary(work.cell))
            if record is None:
                keep = self.keeping is not None and self.keeping.wants(phase)
                return Job(replace(run, keep=keep), phase, work)
            self.took(work, run, record, fresh=False)
        return None

    def decide(self, work: Work) -> None:
        """From here on the cell's values are chosen: what is tested, and which records are of an older study."""
        trials, cell, reason = work.search.trials, work.cell, work.search.trials.unsound
        work.runs = trials.tested(cell)
        spared = trials.planned(cell) - len(work.runs) + trials.left * (trials.method == cell.method)
        for _ in range(spared):  # and trials that wait for one that failed
            self.watcher.spared(cell)
        of_trials = (r["run_id"] for trial in trials.found.values() for r in trial.records.values())
        self.retire(cell, {*(identity(run) for _, run in work.runs), *of_trials})
        if reason is not None:
            finals = [run for phase, run in work.runs if phase == "final"]
            for run in finals:
                outcome = Outcome(status="failed", reason=reason)
                self.took(work, run, self.keep(Job(run, "final", work), outcome), fresh=True)
            work.runs = work.runs[len(finals) :]

    def known(self, run: Run, phase: str, tuning: Record) -> Record | None:
        """The record that spares a tested run, with how its values were chosen brought up to date."""
        record = self.records.read(identity(run))
        if record is None or not usable(record, run, self.device):
            return None
        if record.get("tuning") != tuning or record["phase"] != phase:  # other trials led to the same choice
            self.records.write(record := record | {"tuning": tuning, "phase": phase})
        return record

    def epoch(self, job: Job, epoch: int, scores: list[dict[str, float]]) -> str | None:
        """An epoch of a run has ended. Returns why the run should, if it should."""
        job.epoch = epoch
        self.watcher.epoch(job.run, epoch)
        if self.executor is not None:
            self.watcher.places(self.executor.places())
        return job.work.search.report(job.trial, job.run.seed, epoch, scores) if job.trial else None

    def ended(self, over: Ended) -> None:
        """A run is over: recorded first, then told."""
        job: Job = over.job
        record = self.keep(job, over.outcome, over.started, over.environment)
        if job.trial is None:
            if self.keeping is not None:
                others = [each for each in job.work.records.values() if each["phase"] == "final"]
                self.keeping.took(record, over.outcome.weights, others)
            self.took(job.work, job.run, record, fresh=True)
            return
        self.watcher.finished(job.run, record, True)
        job.work.search.ended(job.trial, record)

    def took(self, work: Work, run: Run, record: Record, *, fresh: bool) -> None:
        """A tested run is recorded; with the last one its cell is over."""
        work.records[record["run_id"]] = record
        self.watcher.finished(run, record, fresh)
        if work.runs is not None and {identity(run) for _, run in work.runs} <= set(work.records):
            work.over = True
            self.watcher.cell(work.cell, list(work.records.values()))

    def keep(
        self, job: Job, outcome: Outcome, started: datetime | None = None, environment: Record | None = None
    ) -> Record:
        """Makes the record of a run and writes it."""
        trials = job.work.search.trials
        of_trial = {"trial": trials.about(job.trial)} if job.trial else {}
        record = made(
            self.study, self.scale, self.records, job.run, outcome,
            phase=job.phase, started=started or datetime.now(UTC), device=self.device, jobs=self.jobs,
            where=environment,
        )  # fmt: skip
        record |= {"tuning": None if job.trial else trials.summary(job.work.cell), **of_trial}
        keep(self.records, record)
        return record

    def retire(self, cell: Cell, current: set[str]) -> None:
        """Runs of the cell that the study as it is now would not make: other values, another budget, other epochs, …"""
        about = describe(Run(cell.task, cell.model, cell.method, self.study.training, seed=0))
        tuned = repr(self.study.tune.representative(cell.method))
        self.records.retire(
            record["run_id"]
            for record in self.records.all()
            if record["run_id"] not in current and record["protocol"] == PROTOCOL
            if all(record[part].get("spec") == about[part]["spec"] for part in ("task", "model"))
            if of_method(record) == (tuned if record["phase"] == "tune" else repr(cell.method))
        )
