"""What stands beside a study while it runs: the bar, MLflow, the figures."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from bench.errors import scrubbed
from bench.execution.progress import Progress, baseline_line
from bench.execution.status import Status
from bench.execution.watcher import Watcher
from bench.records import Records
from bench.report import redraw
from bench.study import Cell, Study
from bench.study.plan import Row
from bench.study.recording import Record
from bench.training.run import Run

DRAWING = 0.02
"""Largest share of a growing study's time that goes into redrawing its figures."""
FIRST = 60.0
"""Seconds before which nothing is drawn: a study that is over by then is drawn once."""


Paced = Callable[[float, float], None]
"""Hears after every run of the seconds left, and how many times as long as foreseen the runs took; it may raise."""


def never(left: float, pace: float) -> None:
    """Whatever the pace, goes on."""


class Callbacks:
    """What accompanies a study: the bar, MLflow, the figures."""

    def __init__(
        self, study: Study, records: Records, rows: Sequence[Row], *, mlflow: bool, jobs: int = 1, paced: Paced = never
    ) -> None:
        self.study, self.records, self.jobs, self.paced = study, records, jobs, paced
        self.first = self.next_drawing = time.monotonic() + FIRST
        self.drawing: threading.Thread | None = None
        self.stale = False
        self.tracker: Any = None
        if mlflow:
            self.tracker = tracker(study, records)
        self.progress = Progress(rows, jobs=jobs)
        self.told: set[str] = set()
        self.status = Status(records.folder, study.name, sum(row.todo for row in rows))

    def watcher(self) -> Watcher:
        """What the runner tells."""
        progress = self.progress
        return Watcher(
            progress.started,
            progress.epoch,
            self.finished,
            self.cell,
            self.baseline,
            progress.spared,
            progress.say_line,
            self.status.places,
        )

    def finished(self, run: Run, record: Record, fresh: bool) -> None:
        """A run is recorded. A shared trial is met again at every rank, and counts once."""
        if record["run_id"] in self.told:
            return
        self.told.add(record["run_id"])
        self.stale = True
        self.status.done += fresh
        self.progress.finished(run, record, fresh)
        if self.tracker is not None:
            self.tracker.log(record)
        if fresh:
            self.paced(self.progress.seconds_left(), self.progress.pace)

    def baseline(self, record: Record, fresh: bool) -> None:
        """A baseline is measured, or was."""
        self.told.add(record["run_id"])
        self.stale = True
        if fresh:
            self.progress.say_line(baseline_line(record))
        if self.tracker is not None:
            self.tracker.log(record)

    def cell(self, cell: Cell, records: list[Record]) -> None:
        """All seeds of a cell are done: draw, unless that was a moment ago."""
        if time.monotonic() > self.next_drawing:
            self.draw_beside()

    def family(self) -> None:
        """A part of several is done: its figures are there at once."""
        if time.monotonic() > self.first:
            self.draw_beside()

    def draw_beside(self) -> None:
        """Draws while runs go on in processes of their own, which must not wait for this one's answers."""
        if self.jobs == 1:
            self.draw()
        elif self.drawing is None or not self.drawing.is_alive():
            self.drawing = threading.Thread(target=self.draw)
            self.drawing.start()

    def draw(self) -> None:
        """Table, figures and page from the records so far. What goes wrong there does not end the study."""
        start, self.stale = time.monotonic(), False
        try:
            redraw(self.records.folder, question=self.study.question)
        except Exception as error:  # a picture is no reason to lose the runs after it
            print(f"figures are not drawn now ({scrubbed(error)}); later: bench figures {self.study.name}")
        now = time.monotonic()
        self.next_drawing = now + (now - start) / DRAWING

    def close(self) -> None:
        """Draws once more, gives the figures to MLflow, takes the bar away; also after Ctrl-C."""
        self.progress.close()
        self.status.close()
        if self.drawing is not None:
            self.drawing.join()
        if self.told:
            if self.stale:
                self.draw()
            if self.tracker is not None:
                self.tracker.artefacts(self.records.folder, self.study.question)


def tracker(study: Study, records: Records) -> Any:
    """MLflow's side of a study; None, with a word, where MLflow is not installed."""
    try:
        from bench.tracking import Tracker, uri  # slow to import, and not needed without

        return Tracker(study.name, uri(records.folder.parent.parent))
    except ImportError as error:
        print(f"no MLflow ({error}): pip install 'lora-bench[mlflow]'; bench mlflow sync logs the records later")
        return None
