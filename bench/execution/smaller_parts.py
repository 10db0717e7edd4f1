"""The recommended method on a quarter and on half of the training part: whether more labels would help."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.execution.launch import alone
from bench.execution.pace import only
from bench.execution.parallelism import Workers
from bench.execution.progress import line
from bench.execution.runner import Runner
from bench.execution.watcher import Watcher
from bench.methods import METHODS
from bench.records import Records
from bench.report.data.measured import Configuration
from bench.report.page.own_data import FEWER
from bench.spec import parse
from bench.study.study import Study

SHARES = (4, 2)
SEEDS = 3
LEAST = 2
"""Samples of each class, on average, that a part has at least."""


def smaller(part: Study, of: Configuration) -> Study | None:
    """The study of them: as many steps as on all, with the values that were chosen; None of too few samples."""
    task: Any = part.tasks[0]
    train, val, _ = task.sizes()
    parts = [n for share in SHARES if (n := train // share) >= LEAST * task.classes]
    if not parts:
        return None
    run = of.runs[0]
    method: Any = parse(str(run["method"]["spec"]), known=METHODS, kind="method")
    steps = math.ceil(train / part.training.batch_size)
    space = {
        name: replace(one, default=getattr(method, name, run["training"].get(name)))
        for name, one in part.tune.space(task, method).items()
    }
    return replace(
        part,
        tasks=tuple(replace(task, train=n, val=val) for n in parts),
        methods=(method,),
        training=replace(part.training, epoch_steps=steps),
        tune=replace(part.tune, trials=0, spaces={type(method).__name__: space}),
        seeds=part.seeds[:SEEDS],
    )


def measure(part: Study, of: Configuration, folder: Path, *, device: str, workers: Workers) -> None:
    """Runs what is not recorded of it, into a folder of its own: these are no rivals of the comparison.

    Args:
        part: the comparison.
        of: what is recommended.
        folder: results/<study>.
        device, workers: as for the comparison.
    """
    study = smaller(part, of)
    if study is None:
        print("too few training samples for a learning curve over data")
        return
    records = Records(folder / FEWER)
    records.prepare()
    print(f"\nwould more labels help? {of.label} on {' and '.join(f'{t.sizes()[0]:,}' for t in study.tasks)} samples")  # type: ignore[attr-defined]
    watcher = Watcher(finished=lambda run, record, fresh: print(line(run, record), flush=True) if fresh else None)
    with alone(records.folder):
        only(study, records)
        runner = Runner(study, FEWER, records, device=device, watcher=watcher)
        runner.jobs, runner.threads = workers.jobs, workers.threads
        runner()
