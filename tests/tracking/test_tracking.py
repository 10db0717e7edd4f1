"""MLflow, the real one, on a SQLite file made once: what it shows is what the records say."""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BadInput
from bench.records import Records, run_id
from bench.tracking import Experiment, Tracker, entries, server, sync, synchronise, uri
from bench.tracking import tracker as tracker_module
from bench.tracking.client import brief
from bench.tracking.entries import group_name, run_name
from bench.tracking.names import allowed

pytestmark = pytest.mark.xdist_group("mlflow")  # one worker: the database takes seconds to make


def record(*, rank: int = 8, seed: int = 0, task: str = "elpv", **changes: Any) -> dict[str, Any]:
    spec = f"LoRA(rank={rank}, at=('q', 'v'))"
    names = run_id({"spec": spec, "seed": seed, "task": task, "changes": repr(changes)})
    curve = [
        {"epoch": e, "lr": 1e-3 / e, "train_loss": 1 / e, "val": {"top1": 0.7 + e / 50, "loss": 0.5 / e}}
        for e in (1, 2, 3)
    ]
    return {
        "protocol": 1, "run_id": names, "study": "ranks", "scale": "laptop", "phase": "final",
        "task": {"spec": f"Images('{task}', train=400)", "name": task, "family": "images", "metric": "top1"},
        "model": {"spec": "Timm('vit_small', image_size=56)", "name": "vit_small", "parameters": 21_600_000},
        "method": {"spec": spec, "name": "LoRA",
                   "config": {"rank": rank, "alpha": 16.0, "at": ["q", "v"], "blocks": -2, "dropout": None}},
        "training": {"lr": 1e-3, "epochs": 3, "batch_size": 32, "precision": "bf16"},
        "seed": seed, "status": "ok", "reason": None,
        "metrics": {"val": {"top1": 0.76, "loss": 0.16}, "test": {"top1": 0.75, "loss": 0.2}},
        "curve": curve, "best_epoch": 3,
        "parameters": {"backbone": 9216 * rank, "head": 770, "total": 9216 * rank + 770},
        "time": {"data": 0.3, "train": 12.1, "eval": 2.0, "total": 14.4, "samples_per_second": 99.0},
        "tuning": {"candidates": [{"lr": 1e-3, "score": 0.7, "status": "ok"}], "chosen": {"lr": 1e-3}},
        "memory": {"peak": 193_781_632, "kind": "foretold"},
        "environment": {"device": "cpu", "device_name": "a CPU", "threads": 2},
        "provenance": {"git_sha": "0" * 40, "git_dirty": False,
                       "started": "2026-01-01T10:00:00+00:00", "ended": "2026-01-01T10:00:14+00:00"},
        **changes,
    }  # fmt: skip


SPACE = {"lr": {"low": 1e-4, "high": 1e-2, "log": True}, "rank_stabilised": {"choices": [False, True]}}


def trial(number: int, lr: float, *, rank: int = 8, **changes: Any) -> dict[str, Any]:
    """A record of a trial, as tuning writes it."""
    made = record(rank=rank, seed=1000, phase="tune", tuning=None)
    spec = made["method"]["spec"]
    about = {"search": f"elpv vit_small {spec} 1f3a9c20", "number": number, "params": {"lr": lr}, "seeds": [1000]}
    own = {"trial": about, "training": made["training"] | {"lr": lr}, "metrics": {"val": made["metrics"]["val"]}}
    return made | {"run_id": run_id({"trial": about, "changes": repr(changes)})} | own | changes


def final(number: int | None, lr: float, *, rank: int = 8, tuned: int = 8, score: float = 0.8, **changes: Any) -> Any:
    """A record of a run with what trial `number` of a search found."""
    made = record(rank=rank, **changes)
    spec = f"LoRA(rank={tuned}, at=('q', 'v'))"
    ends = [("ok", 0.7), ("diverged", None), ("pruned", 0.5), ("ok", score), ("ok", 0.6)]
    tuning = {
        "search": f"elpv vit_small {spec} 1f3a9c20", "of": made["method"]["spec"], "method": spec,
        "shared_from": None if tuned == rank else spec,
        "sampler": "tpe", "pruner": "median", "on": "val/top1", "seeds": [1000], "budget": 5, "epochs": 3,
        "space": SPACE, "default": {"lr": 1e-3},
        "trials": [{"number": at, "params": {"lr": lr}, "status": status, "score": score, "loss": None, "epochs": 3,
                    "seconds": 15.2} for at, (status, score) in enumerate(ends)],
        "chosen": None if number is None else {"number": number, "params": {"lr": lr}},
        "edge": ["lr"] if lr > 5e-3 else [],
    }  # fmt: skip
    return made | {"tuning": tuning, "training": made["training"] | {"lr": lr}}


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return uri(tmp_path_factory.mktemp("mlflow") / "results")


def runs(database: str, study: str, query: str = "") -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=database, registry_uri=database)
    experiment = client.get_experiment_by_name(study)
    return list(client.search_runs([experiment.experiment_id], query))


def logged(database: str, study: str, *records: dict[str, Any]) -> list[Any]:
    tracker = Tracker(study, database)
    assert tracker.enabled
    for entry in records:
        tracker.log(entry)
    assert not tracker._warned
    return runs(database, study)


def test_parents_are_methods_on_tasks_and_children_are_runs(database: str) -> None:
    found = logged(database, "family", record(), record(rank=1), record(seed=1), record(task="mnist"))
    parents = {run.info.run_id: run for run in found if run.data.tags["kind"] == "parent"}
    children = [run for run in found if run.data.tags["kind"] == "run"]
    names = {run.info.run_name for run in parents.values()}
    assert names == {
        "r=8 q+v · LoRA · elpv, train=400 · vit_small · laptop",
        "r=1 q+v · LoRA · elpv, train=400 · vit_small · laptop",
        "r=8 q+v · LoRA · mnist, train=400 · vit_small · laptop",
    }
    assert len(children) == 4
    for child in children:
        parent = parents[child.data.tags["mlflow.parentRunId"]]
        assert parent.data.params["task"] == child.data.tags["task"]
        assert parent.data.params.items() <= child.data.params.items(), "filters would drop the child"


def test_a_parent_spans_children_that_come_out_of_order(database: str) -> None:
    tracker = Tracker("order", database)
    for seed, hour in ((0, 12), (1, 9)):
        day = f"2026-11-01T{hour:02}"
        spans = {"started": f"{day}:00:00+00:00", "ended": f"{day}:05:00+00:00"}
        made = record(seed=seed)
        tracker.log(made | {"study": "order", "provenance": made["provenance"] | spans})
    (parent,) = [run for run in runs(database, "order") if run.data.tags.get("kind") == "parent"]
    assert parent.info.end_time - parent.info.start_time == 5 * 60 * 1000


def test_a_run_shows_its_record(database: str) -> None:
    entry = record(rank=4)
    logged(database, "one", entry)
    (run,) = runs(database, "one", "tags.kind = 'run'")
    assert run.info.run_name == "r=4 q+v · seed 0 · LoRA · elpv, train=400"
    assert run.info.status == "FINISHED"
    assert run.info.end_time - run.info.start_time == 14_000
    tags = {"study": "ranks", "task": "elpv", "model": "vit_small", "family": "images", "method": "LoRA",
            "rank": "4", "placement": "q v · blocks -2", "seed": "0", "scale": "laptop", "phase": "final",
            "device": "cpu", "git_sha": "0" * 40, "status": "ok", "protocol": "1", "run_id": entry["run_id"],
            }  # fmt: skip
    assert tags.items() <= run.data.tags.items()
    params = {"lr": "0.001", "seed": "0", "method.alpha": "16.0", "method.at": "q v", "training.epochs": "3",
              "method.spec": "LoRA(rank=4, at=('q', 'v'))", "tuning.candidates": "1"}  # fmt: skip
    assert params.items() <= run.data.params.items()
    assert "method.dropout" not in run.data.params
    metrics = {"test/top1": 0.75, "val/top1": 0.76, "parameters/backbone": 36_864, "time/train": 12.1,
               "score": 0.75, "validation score": 0.76, "memory MiB": 184.8}  # fmt: skip
    assert metrics.items() <= run.data.metrics.items()


def test_a_trial_is_shown_as_one(database: str) -> None:
    entry = trial(3, 0.00213)
    logged(database, "trial", entry)
    (run,) = runs(database, "trial", "tags.trial = '3' and tags.phase = 'tune'")
    assert run.info.run_name == "r=8 q+v · trial 3 lr 0.00213 seed 1000 · LoRA · elpv, train=400"
    assert "score" not in run.data.metrics and run.data.metrics["validation score"] == 0.76
    assert run.data.tags["search"] == entry["trial"]["search"]
    params = {"trial.number": "3", "trial.params.lr": "0.00213", "trial.search": entry["trial"]["search"],
              "lr": "0.00213", "training.lr": "0.00213"}  # fmt: skip
    assert params.items() <= run.data.params.items()
    (parent,) = runs(database, "trial", "tags.kind = 'parent'")
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id


def test_names_begin_with_what_differs() -> None:
    spec = {"spec": "AdaptFormer(width=64, scale=0.3)", "name": "AdaptFormer", "config": {"width": 64, "scale": 0.3}}
    about = {"search": "s", "number": 12, "params": {"lr": 0.01, "scale": 0.3}, "of": "AdaptFormer(width=64)"}
    searched = record(phase="tune", method=spec, trial=about, tuning=None)
    assert run_name(searched) == "width 64 · trial 12 lr 0.01 scale 0.3 seed 0 · AdaptFormer · elpv, train=400"
    bare = {"spec": "BitFit(dropout=0.17)", "name": "BitFit", "config": {"dropout": 0.17}}
    tuned = record(method=bare, tuning={"of": "BitFit()"})
    assert run_name(tuned) == "BitFit · seed 0 · elpv, train=400"
    assert group_name(tuned) == "BitFit · elpv, train=400 · vit_small · laptop"
    assert run_name(record(phase="default")) == "r=8 q+v · untuned seed 0 · LoRA · elpv, train=400"
    old = record(phase="tune", tuning=None)
    assert run_name(old) == "r=8 q+v · lr 0.001 tuning seed 0 · LoRA · elpv, train=400"
    last = {"spec": "LoRA(at=('up', 'down'), blocks=-2, init=PiSSA())", "name": "LoRA", "config": {"rank": 4}}
    assert group_name(record(method=last)).startswith("r=4 MLP last 2 blocks init PiSSA() · LoRA · ")
    many = about | {"params": {f"name_{at}": at for at in range(40)}}
    assert len(run_name(record(phase="tune", method=spec, trial=many, tuning=None))) == 250


def test_tuning_is_summed_up(database: str) -> None:
    logged(database, "tuning", final(3, 0.0021, rank=1), final(3, 1e-3, phase="default"))
    (run,) = runs(database, "tuning", "tags.phase = 'final'")
    about = {key: value for key, value in run.data.params.items() if key.startswith("tuning.")}
    spec = "LoRA(rank=8, at=('q', 'v'))"
    assert about == {
        "tuning.search": f"elpv vit_small {spec} 1f3a9c20", "tuning.method": spec, "tuning.shared_from": spec,
        "tuning.of": "LoRA(rank=1, at=('q', 'v'))", "tuning.sampler": "tpe", "tuning.pruner": "median",
        "tuning.on": "val/top1", "tuning.seeds": "1000", "tuning.budget": "5", "tuning.epochs": "3",
        "tuning.space": "lr 0.0001..0.01 log, rank_stabilised False or True", "tuning.default.lr": "0.001",
        "tuning.trials": "3 ok, 1 diverged, 1 pruned", "tuning.chosen.trial": "3", "tuning.chosen.lr": "0.0021",
    }  # fmt: skip
    assert run.data.tags["search"] == about["tuning.search"] and "trial" not in run.data.tags
    (untuned,) = runs(database, "tuning", "tags.phase = 'default'")
    assert untuned.info.run_name.startswith("r=8 q+v · untuned seed 0 · ")


def parents_of(database: str, study: str) -> dict[str, Any]:
    """A study's parents by their configuration, as MLflow has them."""
    return {run.data.params["configuration"]: run for run in runs(database, study, "tags.kind = 'parent'")}


def shown_whole(database: str, folder: Path, *records: dict[str, Any]) -> dict[str, Any]:
    """The parents of a study whose records stand in `folder`, once it is over."""
    for entry in records:
        Records(folder).write(entry)
    study = folder.parent.name
    tracker = Tracker(study, database)
    for entry in records:
        tracker.log(entry)
    tracker.artefacts(folder)
    assert not tracker._warned
    return parents_of(database, study)


def test_a_parent_shows_mean_interval_cost_and_choice(database: str, tmp_path: Path) -> None:
    low, high = final(3, 0.0021, rank=1), final(3, 0.0021, rank=1, seed=1)
    high["metrics"] = {"test": {"top1": 0.85}, "val": {"top1": 0.9}}
    untuned = final(3, 1e-3, phase="default", score=0.1, rank=1)
    folder = tmp_path / "whole" / "laptop"
    found = shown_whole(database, folder, low, high, untuned, trial(3, 0.0021))
    one, searched = found["LoRA(rank=1, at=('q', 'v'))"].data, found["LoRA(rank=8, at=('q', 'v'))"].data
    # 0.8 ± t(0.975, 1 degree of freedom) · s/√2 = ± 12.706 · 0.05, and no accuracy is above 1.
    assert one.metrics == {
        "score": 0.8, "score low": 0.164690, "score high": 1.0, "seeds": 2, "memory MiB": 184.8, "time/train": 12.1,
        "parameters/backbone": 9216, "parameters/head": 770, "validation score": 0.8,
    }  # fmt: skip
    params = {"score": "0.800 (0.165 to 1.000)", "seeds": "0 1", "memory": "184.8 MiB, estimated", "metric": "top1",
              "parameters.backbone": "9,216", "chosen.lr": "0.0021", "chosen.trial": "3", "chosen.on": "val/top1",
              "chosen.of": "LoRA(rank=8, at=('q', 'v'))"}  # fmt: skip
    assert params.items() <= one.params.items()
    assert "score" not in searched.metrics and "chosen.lr" not in searched.params, "its final runs are still to come"
    assert (
        shown_whole(database, folder, low)[one.params["configuration"]].info.run_id
        == found[one.params["configuration"]].info.run_id
    ), "the second time changed nothing"


def test_a_parent_shows_its_mean_while_the_study_runs(database: str) -> None:
    low, high = record(), record(seed=1, metrics={"test": {"top1": 0.85}, "val": {"top1": 0.9}})
    logged(database, "meanwhile", low)
    (parent,) = parents_of(database, "meanwhile").values()
    assert (parent.data.metrics["score"], parent.data.metrics["seeds"]) == (0.75, 1)
    assert "score low" not in parent.data.metrics and "score" not in parent.data.params
    logged(database, "meanwhile", low, high)
    (parent,) = parents_of(database, "meanwhile").values()
    assert (parent.data.metrics["score"], parent.data.metrics["seeds"]) == (0.8, 2)


def test_a_parent_whose_parameters_change_is_made_anew_with_its_children(database: str, tmp_path: Path) -> None:
    folder = tmp_path / "changed" / "laptop"
    first = shown_whole(database, folder, final(3, 0.0021, score=0.9))
    (before,) = first.values()
    (after,) = shown_whole(database, folder, final(3, 0.009, score=0.77, seed=1), final(3, 0.009, score=0.77)).values()
    assert after.info.run_id != before.info.run_id and after.info.run_name == before.info.run_name
    assert (after.data.params["chosen.lr"], after.data.params["chosen.edge"]) == ("0.009", "lr")
    assert after.data.metrics["validation score"] == 0.77
    children = runs(database, "changed", "tags.kind = 'run'")
    assert {child.data.tags["mlflow.parentRunId"] for child in children} == {after.info.run_id}
    assert all(entries.group(record()).items() <= run.data.params.items() for run in (after, before))


def test_what_is_averaged_is_alike_in_all_that_matters(database: str) -> None:
    other = record()["environment"] | {"device_name": "another CPU"}
    longer = record()["training"] | {"epochs": 9}
    alike = [record(), record(seed=1), record(seed=2, training=record()["training"] | {"lr": 0.1})]
    found = logged(database, "alike", *alike, record(environment=other), record(protocol=2), record(training=longer))
    assert sum(run.data.tags["kind"] == "parent" for run in found) == 4


def test_what_an_older_version_wrote_is_shown_anew(database: str) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=database)
    number = Experiment("older", database).number
    old = client.create_run(number, tags={"kind": "parent", "group": "0" * 16}, run_name="LoRA · elpv · laptop")
    tags = {"kind": "run", "mlflow.parentRunId": old.info.run_id, "run_id": record()["run_id"], "scale": "laptop"}
    child = client.create_run(number, tags={**tags, "record": "0" * 16})
    client.set_terminated(child.info.run_id)
    found = logged(database, "older", record())
    assert {run.info.run_name for run in found} == {
        "r=8 q+v · seed 0 · LoRA · elpv, train=400",
        "r=8 q+v · LoRA · elpv, train=400 · vit_small · laptop",
    }


def test_a_reference_is_shown_as_one(database: str) -> None:
    bare = {"model": {"spec": "none", "name": "none"}, "training": {}, "parameters": {}, "time": {"total": 3.5}}
    method = {"spec": "Counts(texts='all')", "name": "Counts", "config": {"texts": "all"}, "label": "word counts"}
    tuning = {"candidates": [{"C": 0.1}, {"C": 1.0}], "chosen": {"C": 1.0}}
    gone = {"curve": [], "best_epoch": None, "phase": "reference"}
    logged(database, "reference", record(method=method, tuning=tuning, **bare, **gone, memory=None))
    (parent,) = runs(database, "reference", "tags.kind = 'parent'")
    (run,) = runs(database, "reference", "tags.kind = 'run'")
    assert parent.info.run_name == "word counts · baseline · elpv, train=400 · laptop"
    assert run.info.run_name == "word counts · seed 0 · baseline · elpv, train=400"
    assert {
        "phase": "reference",
        "label": "word counts",
        "mlflow.note.content": "word counts",
    }.items() <= run.data.tags.items()
    assert {
        "method.texts": "all",
        "tuning.chosen.C": "1.0",
        "tuning.candidates": "2",
    }.items() <= run.data.params.items()
    assert "lr" not in run.data.params
    assert run.data.metrics == {
        "val/top1": 0.76,
        "val/loss": 0.16,
        "test/top1": 0.75,
        "test/loss": 0.2,
        "time/total": 3.5,
        "score": 0.75,
        "validation score": 0.76,
    }
    assert parent.data.metrics == {"score": 0.75, "seeds": 1}


def test_curves_have_a_value_for_each_epoch(database: str) -> None:
    from mlflow import MlflowClient

    logged(database, "curves", record())
    (run,) = runs(database, "curves", "tags.kind = 'run'")
    history = MlflowClient(tracking_uri=database).get_metric_history(run.info.run_id, "epoch/val_top1")
    assert [(point.step, round(point.value, 3)) for point in history] == [(1, 0.72), (2, 0.74), (3, 0.76)]
    moments = [point.timestamp for point in history]
    assert moments == sorted(moments)
    assert run.info.start_time < moments[0] and moments[-1] <= run.info.end_time


def test_logging_twice_changes_nothing(database: str) -> None:
    first = logged(database, "twice", record(), record(seed=1))
    again = logged(database, "twice", record(seed=1), record())
    assert {run.info.run_id for run in first} == {run.info.run_id for run in again}


def test_two_trackers_of_one_study_make_each_run_once(database: str) -> None:
    one, other = Tracker("both", database), Tracker("both", database)
    one.log(record())
    other.log(record())
    assert len(runs(database, "both")) == 2


def test_a_pruned_trial_was_ended_and_is_no_failure(database: str) -> None:
    pruned = trial(4, 0.003, status="pruned", reason="after epoch 2 of 4: below the median of earlier trials")
    before = logged(database, "pruned", pruned)
    (run,) = runs(database, "pruned", "tags.status = 'pruned'")
    assert (run.info.status, run.data.metrics["val/top1"]) == ("KILLED", 0.76)
    assert run.data.tags["mlflow.note.content"] == pruned["reason"]
    assert {run.info.run_id for run in logged(database, "pruned", pruned)} == {run.info.run_id for run in before}


def test_a_changed_record_replaces_what_was_shown(database: str) -> None:
    failed = record(seed=7)
    done = copy.deepcopy(failed)
    failed |= {
        "status": "failed",
        "reason": "RuntimeError: no",
        "metrics": {},
        "curve": [],
        "best_epoch": None,
    }
    logged(database, "redone", failed)
    logged(database, "redone", done)
    (run,) = runs(database, "redone", "tags.kind = 'run'")
    assert (run.info.status, run.data.metrics["test/top1"]) == ("FINISHED", 0.75)


def test_a_run_cut_short_is_made_anew(database: str) -> None:
    from mlflow import MlflowClient

    entry = record()
    logged(database, "cut", entry)
    (run,) = runs(database, "cut", "tags.kind = 'run'")
    MlflowClient(tracking_uri=database).update_run(run.info.run_id, status="RUNNING")
    logged(database, "cut", entry)
    (again,) = runs(database, "cut", "tags.kind = 'run'")
    assert again.info.run_id != run.info.run_id and again.info.status == "FINISHED"


@pytest.mark.parametrize("status", ["diverged", "out_of_memory", "failed"])
def test_a_failure_is_shown_as_one(database: str, status: str) -> None:
    gone = {"metrics": {}, "best_epoch": None, "tuning": None, "parameters": None}
    curve = [{"epoch": 1, "lr": 1.0, "train_loss": None, "val": {"top1": float("nan")}}]
    logged(database, status, record(status=status, reason="loss is NaN", curve=curve, **gone))
    (run,) = runs(database, status, "tags.kind = 'run'")
    assert (run.info.status, run.data.tags["status"]) == ("FAILED", status)
    assert run.data.tags["reason"] == run.data.tags["mlflow.note.content"] == "loss is NaN"
    assert not any(key.startswith(("test/", "val/", "epoch/val")) for key in run.data.metrics)


def test_the_report_replaces_the_one_before(database: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    folder = tmp_path / "report" / "laptop"
    (folder / "figures").mkdir(parents=True)
    Records(folder).write(record())
    Records(folder).keep_picture(b"a picture: the figures show it")
    for name in ("table.csv", "figures/a.png", "figures/a.svg", "figures/.a.png.tmp.png"):
        (folder / name).write_text("first")
    (folder.parent / "README.md").write_text("# page")
    tracker = Tracker("report", database)
    tracker.artefacts(folder)
    (folder / "figures/a.svg").unlink()
    (folder / "table.csv").write_text("second")
    tracker.artefacts(folder)
    client = MlflowClient(tracking_uri=database)
    (run,) = runs(database, "report", "tags.kind = 'report'")
    assert run.info.run_name == "report · laptop"
    paths = [item.path for at in ("", "figures") for item in client.list_artifacts(run.info.run_id, at)]
    assert sorted(paths) == ["README.md", "figures", "figures/a.png", "table.csv"]
    local = client.download_artifacts(run.info.run_id, "table.csv", str(tmp_path))
    assert Path(local).read_text() == "second"
    steps = Experiment("report", database).report(folder, Records(folder).all())
    assert not any(step() for step in steps), "nothing had changed"


def test_the_experiment_opens_on_scores_parameters_and_memory(database: str) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=database)
    number = client.create_experiment("view")  # as an older version, or another tool, made it
    assert Experiment("view", database).number == number
    tags = client.get_experiment(number).tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    view = json.loads(tags["mlflow.sharedViewState.lora-bench"])
    state = json.loads(view["state"])
    assert set(view) == {"name", "createdAt", "updatedAt", "state"}, "what MLflow's page expects of a saved view"
    first = ["metrics.`score`", "metrics.`score low`", "metrics.`score high`", "metrics.`parameters/backbone`"]
    assert state["selectedColumns"][:4] == first and "metrics.`memory MiB`" in state["selectedColumns"]
    logged(database, "view", final(3, 0.0021))
    (run,) = client.search_runs([number], state["searchFilter"], order_by=[f"{state['orderByKey']} DESC"])
    metrics = {column.split("`")[1] for column in state["selectedColumns"] if column.startswith("metrics.")}
    assert metrics - set(run.data.metrics) == {"score low", "score high"}, "one seed has no interval"


def test_what_the_study_asks_and_finds_stands_above_its_runs(database: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=database)
    for scale, score in (("laptop", 0.75), ("smoke", 0.25)):
        folder = tmp_path / "results" / "said" / scale
        for entry in (record(scale=scale), record(scale=scale, seed=1, metrics={"test": {"top1": score}, "val": {}})):
            Records(folder).write(entry)
        (folder / "README.md").write_text("# said\n\n> How much rank?\n")
        Tracker("said", database).artefacts(folder)
    text = client.get_experiment_by_name("said").tags["mlflow.note.content"]
    assert text.startswith("How much rank?\n\nScale laptop: ") and "Scale smoke: " in text
    assert "elpv" in text and "0.750" in text and "0.500" in text, "the answer of the page"
    assert "results/said/laptop/README.md" in text and "results/said/smoke/README.md" in text
    reports = runs(database, "said", "tags.kind = 'report'")
    assert len(reports) == 2 and all(
        f"/runs/{run.info.run_id}/artifacts/README.md?workflowType=machine_learning)" in text for run in reports
    )


def test_a_parent_has_the_figures_of_its_task_and_of_all(database: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    folder = tmp_path / "drawn" / "laptop"
    (folder / "figures" / "column").mkdir(parents=True)
    names = ("overview.png", "overview.svg", "search.elpv.png", "search.mnist.png", "column/overview.pdf")
    for name in names:
        (folder / "figures" / name).write_text(name)
    for task in ("elpv", "mnist"):
        Records(folder).write(record(task=task))
    for _ in range(2):
        assert sync(tmp_path, database)["refused"] == 0
        for parent in runs(database, "drawn", "tags.kind = 'parent'"):
            found = MlflowClient(tracking_uri=database).list_artifacts(parent.info.run_id, "figures")
            assert [one.path for one in found] == [
                "figures/overview.png",
                f"figures/search.{parent.data.tags['task']}.png",
            ]
        (folder / "figures" / "overview.png").write_text("drawn anew")


def test_progress_is_said_through_a_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    monkeypatch.setattr(synchronise, "EVERY", 0.0)
    progress = synchronise._Progress(1200)
    for _ in range(1200):
        progress.step("ranks (laptop)")
    lines = capfd.readouterr().err.splitlines()
    assert lines[299] == "MLflow: 300 of 1,200 runs (25%), ranks (laptop)"
    monkeypatch.setattr(synchronise, "EVERY", 60.0)
    quick = synchronise._Progress(3)
    for _ in range(3):
        quick.step("ranks (laptop)")
    assert capfd.readouterr().err == "MLflow: 3 of 3 runs (100%), ranks (laptop)\n", "the last one always"


def test_the_server_is_started_without_a_password_on_its_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    url, seen = "postgresql://me:hunter2@host/runs?password=tr0ub4dor", {}

    def start(command: list[str], *, env: dict[str, str], **_: Any) -> Any:
        seen.update(command=command, env=env)
        raise OSError("enough")

    monkeypatch.setattr(server.subprocess, "Popen", start)
    with pytest.raises(OSError, match="enough"):
        server.serve(url, port=5600)
    assert not [word for word in ("hunter2", "tr0ub4dor") if word in " ".join(seen["command"])]
    assert seen["env"]["MLFLOW_BACKEND_STORE_URI"] == url


def test_sync_shows_all_that_is_in_the_results_once(database: str, tmp_path: Path) -> None:
    for study, scale, seed in (
        ("s1", "smoke", 0),
        ("s1", "laptop", 0),
        ("s1", "laptop", 1),
        ("s2", "smoke", 0),
    ):
        Records(tmp_path / study / scale).write(record(seed=seed, scale=scale, study=study))
    (tmp_path / "s1" / "laptop" / "table.csv").write_text("run_id\n")
    assert sync(tmp_path, database) == {"logged": 4, "present": 0, "refused": 0, "reports": 1}
    assert sync(tmp_path, database) == {"logged": 0, "present": 4, "refused": 0, "reports": 0}
    assert len(runs(database, "s1", "tags.kind = 'run'")) == 3
    assert sync(tmp_path / "missing", database).total() == 0


@pytest.fixture
def silent_server() -> Any:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_an_unreachable_server_costs_one_line(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    begin = time.monotonic()
    for address in ("http://127.0.0.1:9", "ftp://nowhere", "postgresql://me:secret@127.0.0.1:9/x"):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "bench"):
            tracker = Tracker("ranks", address)
            tracker.log(record())
            tracker.artefacts(tmp_path)
        assert not tracker.enabled
        (line,) = [entry.getMessage() for entry in caplog.records if entry.name.startswith("bench")]
        assert line.endswith("the study runs on, `bench mlflow sync` logs it later")
        assert "\n" not in line and len(line) < 260 and "secret" not in line
    assert time.monotonic() - begin < 5
    Records(tmp_path / "ranks" / "smoke").write(record())
    with pytest.raises(BadInput, match="cannot be used"):
        sync(tmp_path, "http://127.0.0.1:9")


@pytest.mark.slow
@pytest.mark.long
def test_a_server_that_never_answers_is_given_up_in_time(silent_server: str) -> None:
    begin = time.monotonic()
    assert not Tracker("ranks", silent_server).enabled
    assert time.monotonic() - begin < 8


@pytest.fixture
def dripping_server() -> Any:
    """A server that answers every request, at a byte a tenth of a second, without an end."""
    over = threading.Event()

    def drip(taken: socket.socket) -> None:
        with taken, contextlib.suppress(OSError):
            taken.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{")
            while not over.wait(0.1):
                taken.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=drip, args=listener.accept()[:1], daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        over.set()


def test_a_server_that_drips_is_given_up_at_the_deadline(
    dripping_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(tracker_module.OPENING, False, 0.7)
    begin = time.monotonic()
    with caplog.at_level(logging.WARNING, "bench"):
        tracker = Tracker("ranks", dripping_server)
        tracker.log(record())
        tracker.artefacts(tmp_path)
    assert not tracker.enabled and time.monotonic() - begin < 3
    (line,) = [entry.getMessage() for entry in caplog.records]
    assert "no answer within 0.7 s" in line
    Records(tmp_path / "ranks" / "smoke").write(record())
    with pytest.raises(BadInput, match=r"cannot be used: no answer within 0\.7 s"):
        sync(tmp_path, dripping_server)


def test_what_hangs_later_is_given_up_too(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    tracker = Tracker("hangs", database)
    monkeypatch.setattr(tracker_module, "CALL", 0.2)
    monkeypatch.setattr(Experiment, "log", lambda *_: over.wait(20))
    begin = time.monotonic()
    for seed in range(5):
        tracker.log(record(seed=seed))
    over.set()
    assert not tracker.enabled and time.monotonic() - begin < 2


@pytest.mark.parametrize("broken", ["text", "cut", "folder"])
def test_a_broken_database_is_said_at_once(tmp_path: Path, broken: str, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "mlflow.db"
    if broken == "folder":
        file.mkdir()
    elif broken == "text":
        file.write_bytes(b"no database")
    else:
        with contextlib.closing(sqlite3.connect(file)) as connection:
            connection.execute("CREATE TABLE runs (name)")
            connection.executemany("INSERT INTO runs VALUES (?)", [("x" * 1000,)] * 100)
            connection.commit()
        file.write_bytes(file.read_bytes()[:50_000])
    begin = time.monotonic()
    with caplog.at_level(logging.WARNING, "bench"):
        assert not Tracker("ranks", f"sqlite:///{file}").enabled
    assert time.monotonic() - begin < 5
    (line,) = [entry.getMessage() for entry in caplog.records if entry.name.startswith("bench")]
    assert "mlflow.db cannot be used" in line and "the study runs on" in line


def test_an_error_in_mid_study_never_stops_it(
    database: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = Tracker("broken", database)
    calls: list[int] = []

    def refuse(*_: Any) -> bool:
        calls.append(1)
        raise OSError("disk full")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, "bench"):
        patch.setattr(Experiment, "log", refuse)
        patch.setattr(Experiment, "answers", refuse)
        for seed in range(6):
            tracker.log(record(seed=seed))
    assert len(calls) == 6 and not tracker.enabled, "given up after three errors in a row, each asked about once"
    assert [entry.getMessage() for entry in caplog.records if "disk full" in entry.getMessage()]
    assert len(caplog.records) == 1


def unreadable(seed: int) -> dict[str, Any]:
    """A record that the schema lets pass and MLflow cannot show."""
    made = record(seed=seed)
    return made | {"provenance": made["provenance"] | {"started": "the day before"}}


def test_one_bad_record_costs_one_record(database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for entry in (record(rank=1), *map(unreadable, range(1, 5))):
        Records(tmp_path / "bad" / "laptop").write(entry)
    odd = record(seed=6, metrics={"test": {"top1": 10**400}})
    for entry in (odd, record(provenance=["none"], seed=7)):  # no records: set aside as they are read
        (tmp_path / "bad" / "laptop" / "runs" / f"{entry['run_id']}.json").write_text(json.dumps(entry))
    with caplog.at_level(logging.WARNING, "bench"):
        counts = sync(tmp_path, database)
    assert (counts["logged"], counts["refused"]) == (1, 4)
    lines = [entry.getMessage() for entry in caplog.records if entry.name.startswith("bench")]
    for seed in range(1, 5):
        assert sum(f"run {record(seed=seed)['run_id']} is not shown in MLflow" in line for line in lines) == 1
    assert len(runs(database, "bad", "tags.kind = 'run'")) == 1
    known = parents_of(database, "bad")
    assert known["LoRA(rank=1, at=('q', 'v'))"].data.params["score"] == "0.750 (one seed: no interval)"


def test_one_bad_record_does_not_end_a_tracker(database: str, caplog: pytest.LogCaptureFixture) -> None:
    tracker = Tracker("bad-run", database)
    with caplog.at_level(logging.WARNING, "bench"):
        for entry in (*map(unreadable, range(1, 6)), record()):
            tracker.log(entry)
    assert tracker.enabled and len(runs(database, "bad-run", "tags.kind = 'run'")) == 1
    assert len(caplog.records) == 1


def test_names_that_mlflow_refuses_are_shown_under_others(database: str) -> None:
    odd = {"top1": 0.7, "map@50": 0.5, "map#50": 0.4, "map_50": 0.3, "rank@q": 0.2, "a//b": 0.1, "é=1": 0.6}
    method = record()["method"] | {"config": {"rank": 8, "rank@q": 4, "weights": {"100%": 1}}}
    logged(database, "odd", record(metrics={"test": odd, "val": {}}, method=method))
    (run,) = runs(database, "odd", "tags.kind = 'run'")
    found = {key: value for key, value in run.data.metrics.items() if key.startswith("test/")}
    assert sorted(found.values()) == sorted(odd.values()), "no two names became one"
    assert found["test/map_50"] == 0.3 and found["test/top1"] == 0.7
    assert sum(key.startswith("method.rank_q-") for key in run.data.params) == 1


@pytest.mark.parametrize("name", ["map@50", "../up", "/etc", "a//b", "a/./b", ".", "", "x" * 300, "a/", "ü=\n", "a\0b"])
def test_a_name_that_is_made_is_one_that_mlflow_takes(name: str) -> None:
    from mlflow.utils.validation import _validate_metric_name, _validate_tag

    made = allowed(name)
    assert made != name
    _validate_metric_name(made)
    _validate_tag(made, "")
    assert len({allowed(name), allowed(name + "@"), allowed("#" + name)}) == 3


def test_a_name_that_mlflow_takes_stays() -> None:
    for name in ("test/top1", "epoch/val_loss", "method.at", "memory MiB", "größe-1"):
        assert allowed(name) == name


def test_messages_hide_secrets_and_tracebacks() -> None:
    url = "postgresql://me:hunter2@host/db?sslpassword=tr0ub4dor"
    long = f"cannot connect {'x' * 90} with {url}, token=abcdefgh12345678"
    for text in (long, f"no user 'me' with hunter2 {'y' * 200}", "rejected tr0ub4dor"):
        said = brief(ValueError(text), url)
        assert not {word for word in ("hunter2", "tr0ub4dor", "abcdefgh") if word in said}
        assert len(said) <= 120
    assert brief(ValueError("HTTPConnection(...): Connection refused " + "x" * 500)) == "connection refused"


def test_the_default_stands_in_the_results_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert uri(tmp_path / "results") == f"sqlite:///{tmp_path}/results/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert uri(tmp_path / "results") == "http://127.0.0.1:5000"


def test_the_first_start_is_quiet(tmp_path: Path) -> None:
    program = (
        "import sys; from bench.tracking import Tracker, uri\n"
        "assert 'mlflow' not in sys.modules and 'torch' not in sys.modules\n"
        f"assert Tracker('quiet', {uri(tmp_path)!r}).enabled\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {path.name for path in tmp_path.iterdir()} <= {"mlflow.db", "mlflow.db.lock"}, "no ./mlruns"


def test_a_taken_port_gives_the_next_and_bad_ones_a_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert port < server.free_port("127.0.0.1", port) <= port + 19
    with pytest.raises(BadInput, match="no free port"):
        server.free_port("127.0.0.1", 65536)


@pytest.mark.slow
@pytest.mark.long
def test_the_page_is_served_and_ends_with_the_command(database: str, tmp_path: Path) -> None:
    installed = tmp_path / "lora_bench-0.dist-info"  # as the package's own installation says it, which may be older
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: lora-bench\nVersion: 0\n")
    (installed / "entry_points.txt").write_text("[mlflow.app]\nlora-bench = bench.tracking.browser_defaults:app\n")
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    port = server.free_port("127.0.0.1", 5400)
    program = f"from bench.tracking.server import serve; serve({database!r}, port={port}, studies=dict(ranks='7'))"
    environment = os.environ | {"PYTHONPATH": path}
    page = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment)
    watchdog = threading.Timer(90, page.terminate)
    watchdog.start()
    try:
        assert page.stdout is not None
        assert f"http://127.0.0.1:{port}" in page.stdout.readline()
        assert (
            f"ranks: http://127.0.0.1:{port}/#/experiments/7/runs?workflowType=machine_learning&view"
            in page.stdout.readline()
        )
        answer = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search",
            data=json.dumps({"max_results": 100}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(answer, timeout=20) as reply:
            names = {experiment["name"] for experiment in json.load(reply)["experiments"]}
        assert names
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as reply:
            start = reply.read().decode()
        assert "mlflow.workflowType_v1" in start and 'ExperimentPage-[\\"7\\"]' in start and "</html>" in start
    finally:
        watchdog.cancel()
        page.terminate()
        page.communicate()
    assert page.returncode == 0
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
