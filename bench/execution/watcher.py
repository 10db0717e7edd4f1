"""Who is told how a study goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.execution.executor import Place
from bench.study import Cell
from bench.study.recording import Record
from bench.training.run import Run


@dataclass
class Watcher:
    """What wants to know how a study goes on. Each may be replaced: progress bar, MLflow, figures, tests."""

    started: Callable[[Run], None] = lambda run: None
    epoch: Callable[[Run, int], None] = lambda run, epoch: None
    finished: Callable[[Run, Record, bool], None] = lambda run, record, fresh: None
    cell: Callable[[Cell, list[Record]], None] = lambda cell, records: None
    baseline: Callable[[Record, bool], None] = lambda record, fresh: None
    spared: Callable[[Cell], None] = lambda cell: None
    """The default values were chosen: a run that was planned need not be."""
    said: Callable[[str], None] = lambda line: None
    places: Callable[[list[Place]], None] = lambda running: None
    """What runs now, and where."""
