"""The laptop sweep by the study runner (records, MLflow, figures and all) against the same runs in a plain loop.

The plain loop (`plain`) is what one would write by hand: one run after the other, with all threads. Both do the same
runs: every trial and every final run of a third of the cells, of pictures and of texts; `WHOLE=1` takes all cells. The
runner does as many at once as it does by default. About twenty minutes on two idle cores.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from bench.execution.launch import carry_out
from bench.execution.parallelism import share_out
from bench.records import Records
from bench.study import Study, load
from bench.study.recording import identity
from bench.study.trials import of_cells
from bench.training.run import Run
from tests.benchmarks import plain

FAMILIES = ("images", "text")


def third(study: Study, begin: int) -> Study:
    """Every third method."""
    return replace(study, methods=study.methods[begin::3])


def runs_of(study: Study, records: Records) -> list[Run]:
    """The runs that the runner made, trials and tested ones; a shared trial once."""
    made, known = dict[str, Run](), records.all()
    for cell, trials in of_cells(study, "cpu").items():
        trials.recall(known)
        runs = [trials.run(trial, seed) for trial in trials.found.values() for seed in study.tune.seeds]
        made |= {identity(run): run for run in [*runs, *(run for _, run in trials.tested(cell))]}
    return [run for key, run in made.items() if records.read(key)]


def run() -> list[tuple[str, str, str]]:
    """Rows of (what, time, ratio to the plain loop)."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)  # a benchmark's runs are nobody's results
    parts = [load(Path("studies/rank_sweep.py"), "laptop", family=family)[0] for family in FAMILIES]
    if os.environ.get("WHOLE") != "1":
        parts = [third(part, at) for at, part in enumerate(parts)]
    for part in parts:
        for seed in (*part.seeds, *part.tune.seeds):  # neither side pays for the download or the first decoding
            part.tasks[0].data(part.models[0].build().inputs, seed=seed)
    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        records = Records(Path(folder) / "results" / parts[0].name / "laptop")
        records.prepare()
        start = time.perf_counter()
        carry_out(parts, "laptop", records, device="cpu", mlflow=True, workers=share_out(None, "cpu", scale="laptop"))
        ours = time.perf_counter() - start
        runs = [run for part in parts for run in runs_of(part, records)]
        found = {identity(run): (records.read(identity(run)) or {})["metrics"] for run in runs}
    torch.set_num_threads(threads)
    start, scores = time.perf_counter(), dict[str, float]()
    for each in runs:
        scores[identity(each)] = plain.train(each)
    by_hand = time.perf_counter() - start
    tested = [run for run in runs if run.test]
    apart = [scores[identity(run)] - found[identity(run)]["test"][run.task.metric] for run in tested]
    what = f"laptop sweep, {len(runs)} runs of pictures and texts"
    return [
        (f"{what}: plain loop, peft", f"{by_hand / 60:.1f} min", ""),
        (f"{what}: study runner", f"{ours / 60:.1f} min", f"{ours / by_hand:.2f}×"),
        ("mean score on test, plain less runner, in points", f"{100 * sum(apart) / len(apart):+.1f}", ""),
    ]
