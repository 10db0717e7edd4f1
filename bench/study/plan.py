"""What a study would run, what it would train, and how long that would take here. Nothing is trained."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from bench.errors import BadInput, say_once
from bench.methods import Method
from bench.models import NeedsValues
from bench.records import Records
from bench.study.plugins import refuse_failing
from bench.study.recording import identity, usable
from bench.study.speed import Speed
from bench.study.study import Cell, Study
from bench.study.trials import of_cells
from bench.training.memory_forecast import Forecast, forecast_once
from bench.training.recipe import Training
from bench.training.run import Run, assemble, counted


@dataclass(frozen=True)
class Row:
    """One cell of a plan.

    Args:
        cell: what runs.
        backbone, head: exact trainable parameters.
        trials, finals: runs that are not recorded yet.
        done: runs that are.
        speed: what an estimate is made of; None where none was asked for, or nothing is to do.
        memory: estimated for its training; None likewise, or where it cannot be estimated.
        unknown: why time or memory is not known where it was asked for; "" where it is.
        refused: why the cell cannot run; "" where it can.
    """

    cell: Cell
    backbone: int
    head: int
    trials: int
    finals: int
    done: int
    speed: Speed | None = None
    memory: Forecast | None = None
    unknown: str = ""
    refused: str = ""

    @property
    def todo(self) -> int:
        """Runs, of tuning and final, that are not recorded yet."""
        return self.trials + self.finals

    def fits(self, limit: float) -> bool:
        """Whether its training fits into so many bytes, as far as is known."""
        return self.memory is None or self.memory.peak <= limit

    @property
    def seconds(self) -> float | None:
        """Estimated time of what is to do; None where it is not known."""
        if self.speed is None:
            return None if self.todo else 0.0
        return self.trials * self.speed.run(test=False) + self.finals * self.speed.run(test=True)


def plan(
    study: Study,
    records: Records,
    *,
    device: str = "cpu",
    timed: bool = True,
) -> list[Row]:
    """Every cell with its exact counts and, if `timed`, an estimate from a few timed steps on random weights.

    Args:
        study: what would run.
        records: what is there already.
        device: torch device to time on.
        timed: estimate the time; the sizes of the data must be known for it, so they may be fetched.

    Returns:
        A row a cell. One that could not run (a role that the model does not have, a rank above a layer's width, an
        error in the method) is refused alone, and says why.

    Raises:
        BadInput: none of the cells could run.
    """
    rows, known, seen = list[Row](), records.all(), set[int]()
    for cell, trials in of_cells(study, device).items():
        first = id(trials) not in seen
        seen.add(id(trials))
        runs = _runs(study, records, cell, trials, device=device, known=known if first else None)
        try:
            counts = _counts(study, records, cell, trials, left=any(runs[:2]))
            if first and any(runs[:2]) and trials.method != cell.method:
                trainable(replace(cell, method=trials.method), study.training)  # tuned in the place of others
        except Exception as error:  # whatever its author has written: the other cells are sound
            rows.append(Row(cell, 0, 0, 0, 0, 0, refused=first_line(error)))
            continue
        rows.append(Row(cell, *counts, *runs))
    if rows and all(row.refused for row in rows):
        raise BadInput(rows[0].refused)
    return estimated(study, rows, device=device) if timed else rows


def _runs(study: Study, records: Records, cell: Cell, trials: Any, *, device: str, known: Any) -> tuple[int, int, int]:
    """Trials and final runs of a cell to do, and runs done; the trials with the first cell that has them, `known`."""
    todo = done = 0
    if known is not None:
        with contextlib.suppress(BadInput):  # data that are not there yet: then nothing is recorded of them
            trials.recall(known)
        todo = trials.left
        done = sum(len(trial.records) for trial in trials.found.values())
    total = finals = trials.planned(cell)
    if not trials.open:
        tested = trials.tested(cell)
        total, finals = len(tested), sum(not recorded(records, run, device) for _, run in tested)
    return todo, finals, done + total - finals


def _counts(study: Study, records: Records, cell: Cell, trials: Any, *, left: bool) -> tuple[int, int]:
    """Trainable parameters of backbone and head; with nothing left to run, as recorded: nothing need be built then."""
    for _, run in trials.tested(cell)[:1] if not left else ():
        counts = (records.read(identity(run)) or {}).get("parameters") or {}
        if {"backbone", "head"} <= counts.keys():
            return counts["backbone"], counts["head"]
    refuse_failing(cell.method, cell.task.family)
    return trainable(cell, study.training)


def first_line(error: Exception) -> str:
    """The first line of an error, with its kind where it is no refusal in so many words."""
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    return said if isinstance(error, BadInput) else f"{type(error).__name__}: {said}"


def estimated(
    study: Study,
    rows: list[Row],
    *,
    device: str,
    told: Callable[[Row], None] = lambda row: None,
    limit: float = math.inf,
    forecast: Callable[..., Forecast] = forecast_once,
) -> list[Row]:
    """The rows with speeds and memory, where something is to do.

    Args:
        study: what would run.
        rows: a plan of it.
        device: torch device to time on.
        told: called when a row is done.
        limit: bytes that are free: what needs more is not timed.
        forecast: what estimates the memory of a run, as `forecast_once` does.

    Raises:
        BadInput: the data cannot be had, or are fewer than the split needs.
    """
    speeds, found = dict[tuple[Any, Any, Any], Speed](), list[Row]()
    for row in rows:
        if row.todo:
            key = (row.cell.task, row.cell.model, _of_any_rank(row.cell.method))
            memory, unknown = memory_of(run_of(study, row.cell), device=device, forecast=forecast)
            row = replace(row, memory=memory, unknown=unknown)
            if key not in speeds and row.fits(limit):
                try:
                    speeds[key] = Speed.measure(study, row.cell, device=device)
                except BadInput:
                    raise
                except Exception as error:  # so will its runs; the other cells are sound
                    row = replace(row, unknown=f"a step cannot be timed: {first_line(error)}")
            row = replace(row, speed=speeds.get(key))
        found.append(row)
        told(row)
    return found


def run_of(study: Study, cell: Cell) -> Run:
    """A run of a cell, whose memory is that of all of them."""
    return Run(cell.task, cell.model, cell.method, study.training, seed=0)


def memory_of(
    run: Run, *, device: str, forecast: Callable[..., Forecast] = forecast_once
) -> tuple[Forecast | None, str]:
    """Memory of a run, or why it is not known."""
    try:
        return forecast(run, device=device), ""
    except Exception as error:  # whatever a network does on tensors without bytes: it may well train
        return None, f"memory is not estimated: {first_line(error)}"


def _of_any_rank(method: Method) -> Method:
    """The method at one rank for all: a step's time hardly depends on it, and timing every rank takes long."""
    return replace(method, rank=1) if any(f.name == "rank" for f in fields(method)) else method  # type: ignore[arg-type, type-var, call-arg]


def trainable(cell: Cell, training: Training | None = None) -> tuple[int, int]:
    """Exact trainable parameters of backbone and head, as `parameters` counts them."""
    found = parameters(cell, training)
    return found["backbone"], found["head"]


def parameters(cell: Cell, training: Training | None = None) -> dict[str, int]:
    """Exact trainable parameters (`bench.training.run.counted`) from shapes alone: no weights, no data.

    A method that cannot do with shapes alone is counted on random weights, which is said.

    Raises:
        BadInput: the method does not fit the model, or the training asks for what does nothing there.
    """
    run = Run(cell.task, cell.model, cell.method, training or Training(), seed=0)
    try:
        backbone, network = assemble(run, device="meta")
    except NeedsValues as error:
        backbone, network = assemble(replace(run, model=cell.model.untrained()), device="cpu")
        say_once(f"{error}; counted on real tensors with random weights instead")
    return counted(run, backbone, network)


def recorded(records: Records, run: Run, device: str) -> bool:
    """Whether the run need not be done again."""
    record = records.read(identity(run))
    return record is not None and usable(record, run, device)


def hours_minutes(seconds: float) -> str:
    """A time for people: "40 s", "12 min", "3 h 20 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
