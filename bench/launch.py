"""Runs a study for a person: the plan first, then the runs, with MLflow, figures and a bar beside them."""

from __future__ import annotations

import contextlib
import pickle
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from tqdm import tqdm

from bench import show
from bench.environment import choose_device
from bench.errors import BadInput
from bench.hands import Hands, available, hands
from bench.ledger import DONE, Record
from bench.plan import Row, estimated, plan
from bench.progress import Progress, reference_line
from bench.records import Records
from bench.report import redraw
from bench.run import Run
from bench.runner import Runner, Watcher
from bench.search import storage as open_storage
from bench.study import Cell, Study, load

DRAWING = 0.02
"""Largest share of a growing study's time that goes into redrawing its figures."""


def launch(
    name: str,
    scale: str,
    *,
    results: Path,
    device: str | None,
    mlflow: bool,
    family: str | None = None,
    jobs: int | None = None,
    storage: str | None = None,
) -> bool:
    """Plans, runs and reports a study, one family after the other.

    Args:
        name, scale, family: what to run (`bench.study.load`).
        results: folder of the records.
        device: torch device; by default a GPU if there is one.
        mlflow: whether to log to MLflow.
        jobs: runs at once; by default as many as pay (`bench.hands`).
        storage: URL of Optuna's storage; by default a file beside the records.

    Returns:
        Whether no final run failed or ran out of memory. (Diverging is a finding.)

    Raises:
        BadInput: anything that can be known to be wrong before training.
    """
    parts, where = load(name, scale, family=family), choose_device(device)
    records = Records(results / parts[0].name / scale)
    crew = hands(jobs, where, scale=scale, known=records.all())
    records.prepare()
    if crew.jobs > 1:
        check_portable(parts)
    with alone(records.folder):
        open_storage(storage, records.folder)  # now, not after an hour of downloads
        return run(parts, scale, records, device=where, mlflow=mlflow, crew=crew, storage=storage)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Holds a results folder: two processes at once would do every run twice.

    Raises:
        BadInput: another one is at work there.
    """
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise BadInput(
            f"another bench run is at work on {folder}: wait for its end, or stop it and say --jobs N for more workers"
        ) from None
    try:
        yield
    finally:
        lock.release()


def run(
    parts: Sequence[Study],
    scale: str,
    records: Records,
    *,
    device: str,
    mlflow: bool,
    crew: Hands,
    storage: str | None,
) -> bool:
    """What `launch` does once the folder is its own."""
    where = device
    print(f"{parts[0].name}, {scale}: fetching what is not cached, then timing a few steps of each method", flush=True)
    rows = []
    for part in parts:
        fetch(part)
        rows.append(planned(part, records, where)[0])
        show.plan(part, scale, rows[-1], device=where, jobs=crew.jobs)
    show.families(parts, rows, scale, jobs=crew.jobs)
    every = [row for part in rows for row in part]
    advise(records, rows)
    crew = crew.within_memory(where)
    print(f"records, table and figures: {records.folder}\n", flush=True)
    finals = carry_out(parts, scale, records, device=where, mlflow=mlflow, rows=every, crew=crew, storage=storage)
    bad = [record for record in finals if record["status"] != "ok"]
    for record in bad:
        what = f"{record['task']['name']} {record['method']['spec']} seed {record['seed']}"
        print(f"{record['status']}: {what}: {record['reason']}")
    print(f"\n{len(finals) - len(bad)} of {len(finals)} final runs are sound; read {records.folder / 'README.md'}")
    retried = [record for record in bad if record["status"] not in DONE]
    if retried:
        print("the same command tries again what failed or ran out of memory")
    return not retried


def carry_out(
    parts: Sequence[Study],
    scale: str,
    records: Records,
    *,
    device: str,
    mlflow: bool,
    rows: Sequence[Row] = (),
    crew: Hands | None = None,
    storage: str | None = None,
) -> list[Record]:
    """Runs the parts of a study with MLflow, figures and a bar beside it. Returns the records of the final runs."""
    crew = crew or Hands()
    desk = Desk(parts[0], records, rows, mlflow=mlflow, jobs=crew.jobs)
    finals = []
    try:
        for part in parts:
            runner = Runner(part, scale, records, device=device, watcher=desk.watcher(), storage=storage)
            runner.jobs, runner.threads = crew.jobs, crew.threads
            finals += runner()
            if len(parts) > 1:
                desk.draw_beside()  # a family's figures are there as soon as it is done
        return finals
    finally:
        desk.close()


def check_portable(parts: Sequence[Study]) -> None:
    """Refuses what cannot be handed to a worker process.

    Raises:
        BadInput: a task, model or method that is defined inside a function.
    """
    for part in parts:
        for cell in part.cells():
            try:
                pickle.dumps(cell)
            except (pickle.PicklingError, AttributeError, TypeError) as error:
                raise BadInput(
                    f"{cell.method!r} on {cell.task!r} cannot be handed to another process ({error}): define its class "
                    "at the top of its file, or run it with --jobs 1"
                ) from None


def advise(records: Records, parts: Sequence[Sequence[Row]]) -> None:
    """Says what records that are there already mean for this call, given the plan of each part."""
    if not sum(row.todo for rows in parts for row in rows):
        print(
            "everything is recorded for this device already; "
            "to measure again, name another folder: RESULTS=mine, --results mine"
        )
        return
    specs = [(record["task"].get("spec"), record["model"].get("spec")) for record in records.all()]
    for rows in parts:
        about = {(repr(row.cell.task), repr(row.cell.model)) for row in rows}
        there = sum(spec in about for spec in specs)
        if there and not sum(row.done for row in rows):
            print(
                f"the {there} records of {rows[0].cell.task.name} in {records.folder} are of another device, of other "
                "data or of an older study; this run puts its own in their place: RESULTS=mine keeps them"
            )


def planned(study: Study, records: Records, device: str) -> tuple[list[Row], str]:
    """The plan, with a bar while steps are timed, and why it has no times, if the data cannot be had for them."""
    rows = plan(study, records, device=device, timed=False)
    with tqdm(total=len(rows), desc="timing", leave=False, delay=1, unit="cell", disable=None) as bar:
        try:
            told = lambda row: bar.update() and None  # noqa: E731
            return estimated(study, rows, device=device, told=told, limit=available(device)), ""
        except BadInput as error:  # the cells fit, as the plan without times has shown
            return rows, str(error)


def fetch(study: Study) -> None:
    """Brings weights and data before the first run, and splits the data of every seed, so that trouble comes early."""
    for task in study.tasks:
        for model in study.models:
            backbone = model.build(output=task.output)
            for seed in (*study.tune.seeds, *study.seeds):
                task.data(backbone.inputs, seed=seed)


class Desk:
    """What accompanies a study: the bar, MLflow, the figures."""

    def __init__(self, study: Study, records: Records, rows: Sequence[Row], *, mlflow: bool, jobs: int = 1) -> None:
        self.study, self.records, self.jobs, self.next_drawing = study, records, jobs, 0.0
        self.drawing: threading.Thread | None = None
        self.stale = False
        self.tracker: Any = None
        if mlflow:
            self.tracker = tracker(study, records)
        self.progress = Progress(rows, jobs=jobs)
        self.told: set[str] = set()

    def watcher(self) -> Watcher:
        """What the runner tells."""
        progress = self.progress
        return Watcher(
            progress.started,
            progress.epoch,
            self.finished,
            self.cell,
            self.reference,
            progress.spared,
            progress.say_line,
        )

    def finished(self, run: Run, record: Record, fresh: bool) -> None:
        """A run is recorded. A shared trial is met again at every rank, and counts once."""
        if record["run_id"] in self.told:
            return
        self.told.add(record["run_id"])
        self.stale = True
        self.progress.finished(run, record, fresh)
        if self.tracker is not None:
            self.tracker.log(record)

    def reference(self, record: Record, fresh: bool) -> None:
        """A reference is measured, or was."""
        self.told.add(record["run_id"])
        self.stale = True
        if fresh:
            self.progress.say_line(reference_line(record))
        if self.tracker is not None:
            self.tracker.log(record)

    def cell(self, cell: Cell, records: list[Record]) -> None:
        """All seeds of a cell are done: draw, unless that was a moment ago."""
        if time.monotonic() > self.next_drawing:
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
            print(f"figures are not drawn now ({error}); later: bench figures {self.study.name}")
        now = time.monotonic()
        self.next_drawing = now + (now - start) / DRAWING

    def close(self) -> None:
        """Draws once more, hands the figures to MLflow, takes the bar away; also after Ctrl-C."""
        self.progress.close()
        if self.drawing is not None:
            self.drawing.join()
        if self.told:
            if self.stale:
                self.draw()
            if self.tracker is not None:
                self.tracker.artefacts(self.records.folder)


def tracker(study: Study, records: Records) -> Any:
    """MLflow's side of a study; None, with a word, where MLflow is not installed."""
    try:
        from bench.tracking import Tracker, uri  # slow to import, and not needed without

        return Tracker(study.name, uri(records.folder.parent.parent))
    except ImportError as error:
        print(f"no MLflow ({error}): pip install 'lora-bench[mlflow]'; bench mlflow sync logs the records later")
        return None
