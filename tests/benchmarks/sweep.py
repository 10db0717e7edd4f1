"""The laptop sweep by the study runner (records, MLflow, figures and all) against the same runs in a plain loop.

The plain loop does what one would write by hand: it builds the network anew, trains through frozen layers and keeps
nothing. By default every kind of run (method, trial or final) is done once by each side, at the laptop scale's own
settings, and the whole is reckoned from how often each kind occurs; `WHOLE=1` really runs the whole: an hour.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from bench.execution.launch import carry_out
from bench.methods import LoRA
from bench.records import Records
from bench.study import Study, load
from bench.study.recording import identity
from bench.study.trials import Trial, of_cells
from bench.study.tune import Tune
from bench.training.loop import train
from bench.training.run import Run


def one_of_each(study: Study) -> Study:
    """One trial, of the default values, and one final run of each method, LoRA at one rank."""
    methods = tuple(m for m in study.methods if not isinstance(m, LoRA) or m.rank == 8)
    return replace(study, methods=methods, seeds=study.seeds[:1], tune=Tune(trials=1, pruner="none"))


def kind(run: Run) -> tuple[str, bool]:
    """What tells how long a run takes."""
    return type(run.method).__name__, run.test


def occurrences(study: Study) -> Counter[tuple[str, bool]]:
    """How many runs of each kind a study has, if none is pruned; a shared trial counts once."""
    count: Counter[tuple[str, bool]] = Counter()
    for cell, trials in of_cells(study, "cpu").items():
        name, tuned = type(cell.method).__name__, trials.method == cell.method
        count[name, False] += tuned * study.tune.trials * len(study.tune.seeds)
        count[name, True] += (1 + tuned) * len(study.seeds)
    return count


def runs_of(study: Study, records: Records) -> list[Run]:
    """The runs that the runner made, trials and tested ones."""
    possible, known = [], records.all()
    for cell, trials in of_cells(study, "cpu").items():
        trials.recall(known)
        for trial in trials.found.values():
            possible += [trials.run(trial, seed) for seed in study.tune.seeds]
        for trial in (Trial(0, trials.default), trials.chosen):
            possible += trials.finals(cell, trial.params) if trial else []
    return list({identity(run): run for run in possible if records.read(identity(run))}.values())


def run() -> list[tuple[str, str, str]]:
    """Rows of (what, time, ratio)."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)  # a benchmark's runs are nobody's results
    whole = load(Path("studies/rank_sweep.py"), "laptop", family="images")[0]
    study = whole if os.environ.get("WHOLE") == "1" else one_of_each(whole)
    for seed in (*study.seeds, *study.tune.seeds):  # neither side pays for the download or the first decoding
        study.tasks[0].data(study.models[0].build().inputs, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        records = Records(Path(folder) / "results" / study.name / "laptop")
        records.prepare()
        start = time.perf_counter()
        carry_out([study], "laptop", records, device="cpu", mlflow=True)
        wall = time.perf_counter() - start
        runs = runs_of(study, records)
        ours = [(records.read(identity(each)) or {})["time"]["total"] for each in runs]
    plain = []
    for each in runs:
        start = time.perf_counter()
        train(each, cache=False)
        plain.append(time.perf_counter() - start)
    beside = (wall - sum(ours)) / wall
    total = reckon(runs, ours, whole) / (1 - beside), reckon(runs, plain, whole)
    how = "measured" if study is whole else f"reckoned from {len(runs)} runs"
    count = occurrences(whole).total()
    return [
        (f"laptop sweep, {count} runs, {how}: study runner", f"{total[0] / 60:.1f} min", ""),
        (f"laptop sweep, {count} runs, {how}: plain loop", f"{total[1] / 60:.1f} min", f"{total[1] / total[0]:.2f}×"),
        (
            "of the runner's time, beside the runs (records, MLflow, figures)",
            f"{wall - sum(ours):.1f} s",
            f"{beside:.1%}",
        ),
    ]


def reckon(runs: list[Run], seconds: list[float], whole: Study) -> float:
    """Seconds of the whole study, from the mean time of each kind of run."""
    kinds = [kind(run) for run in runs]
    taken = Counter(kinds)
    return sum(s * occurrences(whole)[k] / taken[k] for k, s in zip(kinds, seconds, strict=True))
