"""The laptop sweep by the study runner (records, MLflow, figures and all) against the same runs in a plain loop.

The plain loop does what one would write by hand: it builds the network anew, trains through frozen layers and keeps
nothing. By default both are cut down to one epoch, one learning rate, one seed and one rank; `WHOLE=1` runs the laptop
scale itself, which takes an hour.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from bench.launch import carry_out
from bench.methods import LoRA
from bench.records import Records
from bench.runner import identity
from bench.study import Study, Tune, load
from bench.train import Run, train


def cut_down(study: Study) -> Study:
    """One run of each kind."""
    methods = tuple(m for m in study.methods if not isinstance(m, LoRA) or m.rank == 8)
    short = replace(study.training, epochs=1)
    return replace(study, methods=methods, training=short, seeds=study.seeds[:1], tune=Tune(candidates=1))


def runs_of(study: Study, records: Records) -> list[Run]:
    """The runs that the runner made, trials and final ones."""
    made, done = [], {record["run_id"]: record for record in records.all()}
    for cell in study.cells():
        finals = [run for lr in study.tune.learning_rates(cell.method) for run in study.finals(cell, lr)]
        made += [run for run in (*study.trials(cell), *finals) if identity(run) in done and run not in made]
    return made


def run() -> list[tuple[str, str, str]]:
    """Rows of (what, time, ratio)."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)  # a benchmark's runs are nobody's results
    study = load("rank-sweep", "laptop")
    whole = os.environ.get("WHOLE") == "1"
    study = study if whole else cut_down(study)
    for seed in (*study.seeds, *study.tune.seeds):  # neither side pays for the download or the first decoding
        study.tasks[0].data(study.models[0].build().inputs, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        records = Records(Path(folder) / "results" / study.name / "laptop")
        records.prepare()
        start = time.perf_counter()
        carry_out(study, "laptop", records, device="cpu", mlflow=True)
        ours = time.perf_counter() - start
        runs = runs_of(study, records)
        inside = sum(record["time"]["total"] for record in records.all())
    start = time.perf_counter()
    for each in runs:
        train(each, cache=False)
    plain = time.perf_counter() - start
    what = f"{'whole laptop sweep' if whole else 'laptop sweep, cut down'}, {len(runs)} runs"
    return [
        (f"{what}: study runner", f"{ours:.0f} s", ""),
        (f"{what}: plain loop", f"{plain:.0f} s", f"{plain / ours:.2f}×"),
        (
            "of the runner's time, outside of runs (records, MLflow, figures)",
            f"{ours - inside:.1f} s",
            f"{(ours - inside) / ours:.1%}",
        ),
    ]
