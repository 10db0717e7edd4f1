"""What a study runs and how long each run takes, from its records or, where there are none, from the plan."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import reduce

from bench.errors import BadInput
from bench.study.plan import Row
from bench.study.recording import Record, of_method
from bench.study.simulation import CellRuns, Schedule, SearchRuns
from bench.study.study import Study
from bench.study.trials import of_cells

Seconds = dict[tuple[str, str, str, bool], list[float]]
"""Of the runs of a task, a model and a method, trials and others apart."""


def schedule(study: Study, known: Iterable[Record], rows: Sequence[Row] = (), *, device: str = "cpu") -> Schedule:
    """All runs of a study, whether they are recorded or not.

    Args:
        study: which.
        known: records of it; of several protocols the newest of each method counts.
        rows: a plan of it with times, for what has no record.
        device: torch device of the plan.

    Raises:
        BadInput: of a method nothing is recorded and nothing estimated.
    """
    if study.costs:
        raise BadInput(f"{study.name} measures what runs cost, one at a time: more workers do not help it")
    took, speeds = recorded(known), {row.cell: row.speed for row in rows if row.speed is not None}
    numbers: dict[int, int] = {}
    searches, cells, counted = list[SearchRuns](), list[CellRuns](), 0
    for cell, trials in of_cells(study, device).items():
        where, tune = (repr(cell.task), repr(cell.model)), study.tune
        if id(trials) not in numbers:
            numbers[id(trials)] = len(searches)
            tuned = took.get((*where, repr(trials.method), True), [])
            guess = _typical(tuned, speeds.get(cell), test=False, what=f"{trials.method!r} on {cell.task.name}")
            runs = _filled(tuned, tune.trials * len(tune.seeds), guess)
            counted += min(len(tuned), len(runs))
            each = len(tune.seeds)
            batch = max(1, tune.trials if tune.independent else tune.batch)
            by_trial = tuple(tuple(runs[at : at + each]) for at in range(0, len(runs), each))
            searches.append(SearchRuns(f"{trials.method!r} on {cell.task.name}", by_trial, batch))
        own = took.get((*where, repr(cell.method), False), [])
        guess = _typical(own, speeds.get(cell), test=True, what=f"{cell.method!r} on {cell.task.name}")
        runs = own or [guess] * trials.planned(cell)
        counted += len(own)
        cells.append(CellRuns(numbers[id(trials)], tuple(runs)))
    return Schedule(tuple(searches), tuple(cells), counted)


def of_parts(
    parts: Sequence[Study], known: Sequence[Record], rows: Sequence[Sequence[Row]], *, device: str = "cpu"
) -> Schedule:
    """The schedule of all parts of a study, one behind the other; `rows` has the plan of each."""
    each = (schedule(part, known, planned, device=device) for part, planned in zip(parts, rows, strict=True))
    return reduce(Schedule.beside, each)


def recorded(known: Iterable[Record]) -> Seconds:
    """The seconds of recorded runs; of several protocols those of the newest."""
    by_protocol: dict[tuple[str, str, str, bool], dict[int, list[tuple[int, str, float]]]] = defaultdict(dict)
    for record in known:
        total = (record.get("time") or {}).get("total")
        if not total or record["phase"] in ("reference", "costs"):
            continue
        of, tuned = of_method(record), record["phase"] == "tune"
        key = (str(record["task"].get("spec")), str(record["model"].get("spec")), of, tuned)
        trial = (record.get("trial") or {}).get("number", 0)
        started = str((record.get("provenance") or {}).get("started"))
        by_protocol[key].setdefault(record["protocol"], []).append((trial, started, total))
    return {
        key: [seconds for *_, seconds in sorted(found[max(found)])] for key, found in by_protocol.items()
    }  # trial by trial, seed by seed


def _filled(known: list[float], wanted: int, guess: float) -> list[float]:
    return (known + [guess] * wanted)[:wanted]


def _typical(known: list[float], speed: object, *, test: bool, what: str) -> float:
    if known:
        return statistics.fmean(known)
    if speed is None:
        raise BadInput(f"{what}: no run is recorded, and none can be timed here: run the study first, if only in part")
    seconds: float = speed.run(test=test)  # type: ignore[attr-defined]
    return seconds
