"""A study in small: tiny random networks on a few digits, a second or less. And a training that is made up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

import bench.execution.executor
from bench.execution.runner import Runner, Watcher
from bench.methods import LinearProbe, LoRA
from bench.records import Records
from bench.study import Study
from bench.study.tune import Tune
from bench.tasks import Images
from bench.training.loop import Outcome
from bench.training.method_checks import VIT
from bench.training.recipe import Training
from bench.training.run import Run

STUDY = Study(
    name="tiny",
    question="Does it run?",
    tasks=(Images("digits", train=40, val=20, test=30),),
    models=(VIT,),
    methods=(LinearProbe(), LoRA(rank=1), LoRA(rank=2)),
    training=Training(epochs=1),
    seeds=(0, 1),
    tune=Tune(trials=2, pruner="none", share={"rank": 2}),
)
Score = Callable[[Run, int], float | None]


def tuned(*methods: Any, epochs: int = 1, **tune: Any) -> Study:
    """The tiny study with other methods, epochs and tuning, by accuracy; nothing is pruned or shared, unless said."""
    options = {"trials": 4, "pruner": "none", "on": "val/top1"} | tune
    return replace(
        STUDY, methods=methods or (LoRA(rank=2),), training=Training(epochs=epochs), tune=Tune(**options), seeds=(0, 1)
    )


def execute(records: Records, study: Study = STUDY, **options: Any) -> tuple[list[dict[str, Any]], list[Run]]:
    """Runs the study. Returns its final records and the runs that were really done."""
    done: list[Run] = options.pop("done", [])
    watcher = options.pop("watcher", None) or Watcher()
    watcher.finished = lambda run, record, fresh: done.append(run) if fresh else None
    return Runner(study, "smoke", records, watcher=watcher, **options)(), done


def made_up(monkeypatch: pytest.MonkeyPatch, score: Score) -> None:
    """Puts in place of training an accuracy for each run and epoch, in no time; None diverges."""

    def epochs(run: Run, outcome: Outcome) -> Iterator[dict[str, float]]:
        for epoch in range(1, run.training.epochs + 1):
            top1 = score(run, epoch)
            if top1 is None:
                outcome.status, outcome.reason, outcome.metrics = "diverged", "the training loss is nan", {}
                return
            scores = {"top1": top1, "loss": 1 - top1}
            outcome.curve.append({"epoch": epoch, "lr": 0.0, "train_loss": 1.0, "val": scores})
            best = max(outcome.curve, key=lambda row: row["val"]["top1"])
            outcome.best_epoch, outcome.metrics = best["epoch"], {"val": best["val"]}
            yield scores

    def train(run: Run, *, device: str, on_epoch: Any, outcome: Outcome) -> Outcome:
        outcome.provenance, outcome.time = {"data_sha256": run.task.fingerprint()}, {"total": 0.0}
        for epoch, scores in enumerate(epochs(run, outcome), 1):
            if (stop := on_epoch(epoch, scores)) and epoch < run.training.epochs:
                outcome.status, outcome.reason = "pruned", stop
                return outcome
        if run.test and outcome.status == "ok":
            outcome.metrics["test"] = outcome.metrics["val"]
        return outcome

    monkeypatch.setattr(bench.execution.executor, "train", train)


def trials_of(records: Records, method: str = "") -> dict[int, dict[str, Any]]:
    """The values of every trial that is recorded, by number."""
    found = [r["trial"] for r in records.all() if r["phase"] == "tune" and method in r["trial"]["search"]]
    return {trial["number"]: trial["params"] for trial in sorted(found, key=lambda trial: trial["number"])}


def trained(records: Records) -> list[Any]:
    """What is recorded of runs; of baselines nothing."""
    return [record for record in records.all() if record["phase"] != "reference"]


def learned(curve: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A learning curve without its seconds, which differ from run to run."""
    return [{key: value for key, value in row.items() if key not in ("seconds", "cpu")} for row in curve]
