"""Runs a study for a person: the plan first, then the runs, with MLflow, figures and a bar beside them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bench import show
from bench.environment import choose_device
from bench.errors import BadInput
from bench.plan import Row, plan
from bench.progress import Progress
from bench.records import Records
from bench.report import redraw
from bench.runner import Record, Runner, Watcher
from bench.study import Cell, Study, load
from bench.train import Run

REDRAW_AFTER = 120.0
"""Seconds between two drawings of a growing study's figures, so that drawing stays a small part of the time."""


def launch(name: str, scale: str, *, results: Path, device: str | None, mlflow: bool) -> None:
    """Plans, runs and reports a study.

    Raises:
        BadInput: anything that can be known to be wrong before training.
    """
    study, where = load(name, scale), choose_device(device)
    records = Records(results / study.name / scale)
    records.prepare()
    rows = planned(study, records, where)
    show.plan(study, scale, rows, device=where)
    fetch(study)
    desk = Desk(study, scale, records, rows, mlflow=mlflow)
    print(f"records, table and figures: {records.folder}\n", flush=True)
    try:
        finals = Runner(study, scale, records, device=where, watcher=desk.watcher())()
    finally:
        desk.close()
    bad = [record for record in finals if record["status"] != "ok"]
    for record in bad:
        print(f"{record['status']}: {record['method']['spec']} seed {record['seed']}: {record['reason']}")
    print(f"\n{len(finals) - len(bad)} of {len(finals)} final runs are sound; read {records.folder / 'README.md'}")
    if bad:
        print("run the same command again to retry what failed")


def planned(study: Study, records: Records, device: str) -> list[Row]:
    """The plan, with a bar while steps are timed."""
    cells = len(list(study.cells()))
    with tqdm(total=cells, desc="timing a few steps of each method", leave=False, delay=1, unit="cell") as bar:
        return plan(study, records, device=device, told=lambda cell: bar.update() and None)


def fetch(study: Study) -> None:
    """Brings weights and data before the first run, and splits the data of every seed, so that trouble comes early."""
    for model in study.models:
        backbone = model.build()
        for task in study.tasks:
            for seed in (*study.tune.seeds, *study.seeds):
                task.data(backbone.inputs, seed=seed)


class Desk:
    """What accompanies a study: the bar, MLflow, the figures."""

    def __init__(self, study: Study, scale: str, records: Records, rows: list[Row], *, mlflow: bool) -> None:
        todo = sum(row.todo for row in rows)
        runs = todo + sum(row.done for row in rows)
        self.study, self.records, self.drawn = study, records, 0.0
        self.tracker: Any = None
        if mlflow:
            from bench.tracking import Tracker, uri  # slow to import, and not needed without

            self.tracker = Tracker(study.name, uri(records.folder.parent.parent))
        self.progress = Progress(runs=runs, todo=todo, seconds=sum(row.seconds or 0.0 for row in rows))
        self.told: set[str] = set()

    def watcher(self) -> Watcher:
        """What the runner tells."""
        return Watcher(self.progress.started, self.progress.epoch, self.finished, self.cell)

    def finished(self, run: Run, record: Record, fresh: bool) -> None:
        """A run is recorded. A shared trial is met again at every rank, and counts once."""
        if record["run_id"] in self.told:
            return
        self.told.add(record["run_id"])
        self.progress.finished(run, record, fresh)
        if self.tracker is not None:
            self.tracker.log(record)

    def cell(self, cell: Cell, records: list[Record]) -> None:
        """All seeds of a cell are done: draw, unless that was a moment ago."""
        if time.monotonic() - self.drawn > REDRAW_AFTER or not self.drawn:
            self.draw()

    def draw(self) -> None:
        """Table, figures and page from the records so far. A full disk or the like does not end the study."""
        try:
            redraw(self.records.folder, question=self.study.question)
        except (OSError, BadInput) as error:
            print(f"figures are not drawn now: {error}; later: bench figures {self.study.name}")
        self.drawn = time.monotonic()

    def close(self) -> None:
        """Draws once more, hands the figures to MLflow, takes the bar away; also after Ctrl-C."""
        self.progress.close()
        if self.told:
            self.draw()
            if self.tracker is not None:
                self.tracker.artefacts(self.records.folder)
