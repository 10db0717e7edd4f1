"""MLflow, the real one, on a SQLite file made once: what it shows is what the records say."""

from __future__ import annotations

import copy
import json
import logging
import math
import socket
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
from bench.tracking import Experiment, Tracker, chosen, server, sync, uri
from bench.tracking.entries import run_name
from bench.tracking.experiment import brief, shown

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
    assert names == {"LoRA · elpv · laptop · vit_small", "LoRA · mnist · laptop · vit_small"}
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
    assert run.info.run_name == "rank=4 seed 0 · LoRA(rank=4, at=('q', 'v'))"
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
    metrics = {"test/top1": 0.75, "val/top1": 0.76, "parameters/backbone": 36_864, "time/train": 12.1}
    assert metrics.items() <= run.data.metrics.items()


def test_a_trial_is_shown_as_one(database: str) -> None:
    entry = trial(3, 0.00213)
    logged(database, "trial", entry)
    (run,) = runs(database, "trial", "tags.trial = '3' and tags.phase = 'tune'")
    assert run.info.run_name == "rank=8 trial 3 · lr 0.00213 · seed 1000 · LoRA(rank=8, at=('q', 'v'))"
    assert run.data.tags["search"] == entry["trial"]["search"]
    params = {"trial.number": "3", "trial.params.lr": "0.00213", "trial.search": entry["trial"]["search"],
              "lr": "0.00213", "training.lr": "0.00213"}  # fmt: skip
    assert params.items() <= run.data.params.items()
    (parent,) = runs(database, "trial", "tags.kind = 'parent'")
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id


def test_the_names_of_runs() -> None:
    spec = {"spec": "AdaptFormer(width=64, scale=0.3)", "name": "AdaptFormer", "config": {"width": 64, "scale": 0.3}}
    about = {"search": "s", "number": 12, "params": {"lr": 0.01, "scale": 0.3}, "of": "AdaptFormer(width=64)"}
    searched = record(phase="tune", method=spec, trial=about, tuning=None)
    assert run_name(searched) == "width=64 trial 12 · lr 0.01 · scale 0.3 · seed 0 · AdaptFormer(width=64, scale=0.3)"
    bare = {"spec": "BitFit(dropout=0.17)", "name": "BitFit", "config": {"dropout": 0.17}}
    assert run_name(record(method=bare, tuning={"of": "BitFit()"})) == "seed 0 · BitFit(dropout=0.17)"
    assert run_name(record(phase="default")) == "rank=8 default seed 0 · LoRA(rank=8, at=('q', 'v'))"
    old = record(phase="tune", tuning=None)
    assert run_name(old) == "rank=8 lr 0.001 tuning seed 0 · LoRA(rank=8, at=('q', 'v'))"
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
    assert untuned.info.run_name.startswith("rank=8 default seed 0 · ")


def parent_of(database: str, study: str) -> tuple[dict[str, str], dict[str, float]]:
    """What a study's only parent says of what was chosen: tags and metrics."""
    (parent,) = runs(database, study, "tags.kind = 'parent'")
    tags = {key: value for key, value in parent.data.tags.items() if key.startswith("chosen.")}
    return tags, parent.data.metrics


def test_the_parent_holds_what_was_chosen(database: str) -> None:
    from mlflow import MlflowClient

    spec = "LoRA(rank=8, at=('q', 'v'))"
    first = [trial(3, 0.0021), final(3, 0.0021), final(3, 0.0021, seed=1), final(3, 0.0021, rank=1)]
    logged(database, "chosen", *first, final(3, 1e-3, phase="default", score=0.1))
    expected = {"chosen.lr": "0.0021", "chosen.trial": "3", "chosen.method": spec, "chosen.on": "val/top1",
                "chosen.score": "0.8"}  # fmt: skip
    assert parent_of(database, "chosen") == (expected, {"chosen/val_top1": 0.8})
    logged(database, "chosen", *first)
    (parent,) = runs(database, "chosen", "tags.kind = 'parent'")
    history = MlflowClient(tracking_uri=database).get_metric_history(parent.info.run_id, "chosen/val_top1")
    assert len(history) == 1, "the second time changed nothing"

    logged(database, "chosen", final(3, 0.009, score=0.77))  # a lower score, at the same moment
    changed = expected | {"chosen.lr": "0.009", "chosen.score": "0.77", "chosen.edge": "lr"}
    assert parent_of(database, "chosen") == (changed, {"chosen/val_top1": 0.77})

    logged(database, "chosen", final(None, 0.001))
    tags, metrics = parent_of(database, "chosen")
    assert tags == {"chosen.trial": "none", "chosen.method": spec, "chosen.on": "val/top1"}
    assert math.isnan(metrics["chosen/val_top1"])


def test_searches_under_one_parent_are_told_apart(database: str) -> None:
    small, large = final(3, 0.004, rank=1, tuned=1), final(4, 0.0021, rank=64, tuned=64)
    logged(database, "searches", small, large)
    tags, metrics = parent_of(database, "searches")
    assert tags["chosen.rank 1.lr"] == "0.004" and tags["chosen.rank 1.trial"] == "3"
    assert tags["chosen.rank 64.lr"] == "0.0021" and tags["chosen.rank 64.trial"] == "4"
    assert not {"chosen.lr", "chosen.trial", "chosen.method"} & set(tags)
    assert metrics == {"chosen/val_top1": 0.8}
    logged(database, "searches", small, large)
    assert parent_of(database, "searches") == (tags, metrics)
    logged(database, "sehcraes", large, small)
    assert parent_of(database, "sehcraes") == (tags, metrics), "in any order"


def test_what_is_chosen_is_read_back_from_its_tags() -> None:
    shown = {"trial": "3", "on": "val/loss", "lr": "0.1"}
    specs = ("LoRA(rank=8, at=('q', 'v'), dropout=0.1)", "LoRA(rank=8, at=('q',), dropout=0.1)", "LoRA()", "no spec")
    for count in range(1, 5):
        choices = {spec: shown | {"method": spec, "score": str(at)} for at, spec in enumerate(specs[:count])}
        assert chosen.read(chosen.write(choices)) == choices
        assert chosen.best(choices, "val/loss") == 0 and chosen.best(choices, "val/top1") is None
    tags = chosen.write({spec: {"lr": "0.1"} for spec in specs[:2]})
    assert set(tags) == {"chosen.at q v.lr", "chosen.at q.lr"}


def test_a_reference_is_shown_as_one(database: str) -> None:
    bare = {"model": {"spec": "none", "name": "none"}, "training": {}, "parameters": {}, "time": {"total": 3.5}}
    method = {"spec": "Counts(texts='all')", "name": "Counts", "config": {"texts": "all"}, "label": "word counts"}
    tuning = {"candidates": [{"C": 0.1}, {"C": 1.0}], "chosen": {"C": 1.0}}
    gone = {"curve": [], "best_epoch": None, "phase": "reference"}
    logged(database, "reference", record(method=method, tuning=tuning, **bare, **gone))
    (parent,) = runs(database, "reference", "tags.kind = 'parent'")
    (run,) = runs(database, "reference", "tags.kind = 'run'")
    assert parent.info.run_name == "Counts · elpv · laptop · reference"
    assert run.info.run_name == "reference seed 0 · Counts(texts='all')"
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
    }


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
    assert not Experiment("report", database).artefacts(folder), "nothing had changed"


def test_sync_shows_all_that_is_in_the_results_once(database: str, tmp_path: Path) -> None:
    for study, scale, seed in (
        ("s1", "smoke", 0),
        ("s1", "laptop", 0),
        ("s1", "laptop", 1),
        ("s2", "smoke", 0),
    ):
        Records(tmp_path / study / scale).write(record(seed=seed, scale=scale, study=study))
    (tmp_path / "s1" / "laptop" / "table.csv").write_text("run_id\n")
    assert sync(tmp_path, database) == {"logged": 4, "present": 0, "reports": 1}
    assert sync(tmp_path, database) == {"logged": 0, "present": 4, "reports": 0}
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
def test_a_server_that_never_answers_is_given_up_in_time(silent_server: str) -> None:
    begin = time.monotonic()
    assert not Tracker("ranks", silent_server).enabled
    assert time.monotonic() - begin < 8


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
        for seed in range(6):
            tracker.log(record(seed=seed))
    assert len(calls) == 3 and not tracker.enabled, "given up after three errors in a row"
    assert [entry.getMessage() for entry in caplog.records if "disk full" in entry.getMessage()]
    assert len(caplog.records) == 1


def test_messages_hide_passwords_and_tracebacks() -> None:
    assert shown("postgresql://me:secret@host/db") == "postgresql://me:***@host/db"
    assert shown("http://127.0.0.1:5000") == "http://127.0.0.1:5000"
    assert brief(ValueError("HTTPConnection(...): Connection refused " + "x" * 500)) == "connection refused"
    assert len(brief(ValueError("y\n" * 500))) <= 120


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
def test_the_page_is_served_and_ends_with_the_command(database: str) -> None:
    port = server.free_port("127.0.0.1", 5400)
    program = f"from bench.tracking.server import serve; serve({database!r}, port={port}, studies=dict(ranks='7'))"
    page = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    watchdog = threading.Timer(90, page.terminate)
    watchdog.start()
    try:
        assert page.stdout is not None
        assert f"http://127.0.0.1:{port}" in page.stdout.readline()
        assert f"ranks: http://127.0.0.1:{port}/#/experiments/7?" in page.stdout.readline()
        answer = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search",
            data=json.dumps({"max_results": 100}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(answer, timeout=20) as reply:
            names = {experiment["name"] for experiment in json.load(reply)["experiments"]}
        assert names
    finally:
        watchdog.cancel()
        page.terminate()
        page.communicate()
    assert page.returncode == 0
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
