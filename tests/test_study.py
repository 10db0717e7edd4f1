"""A whole study in small: tuning, records, resuming, and what stops it from starting."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import bench.runner
from bench.conformance import VIT
from bench.errors import BadInput
from bench.methods import METHODS, FullFineTuning, LinearProbe, LoRA
from bench.plan import hours_minutes, plan
from bench.records import Records
from bench.runner import Runner, Watcher, choose, identity, usable
from bench.study import Cell, Study, Tune, load, names
from bench.tasks import Images
from bench.train import Outcome, Run
from bench.training import Training

ROOT = Path(__file__).parent.parent
STUDY = Study(
    name="tiny",
    question="Does it run?",
    tasks=(Images("digits", train=40, val=20, test=30),),
    models=(VIT,),
    methods=(LinearProbe(), LoRA(rank=1), LoRA(rank=2)),
    training=Training(epochs=1),
    seeds=(0, 1),
    tune=Tune(candidates=2, share={"rank": 2}),
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("LORA_BENCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def records(tmp_path):
    found = Records(tmp_path / "tiny" / "smoke")
    found.prepare()
    return found


def execute(records, study=STUDY):
    """Runs the study. Returns its final records and the runs that were really done."""
    done = []
    watcher = Watcher(finished=lambda run, record, fresh: done.append(run) if fresh else None)
    return Runner(study, "smoke", records, watcher=watcher)(), done


def test_equal_budgets_and_one_test_per_seed(records):
    finals, done = execute(records)
    stored = records.all()
    assert len(finals) == 6 and len(done) == len(stored) == 4 + 6  # LoRA's trials are shared over its ranks
    trials = Counter(r["method"]["name"] for r in stored if r["phase"] == "tune")
    assert trials == {"LinearProbe": 2, "LoRA": 2}
    for record in stored:
        assert ("test" in record["metrics"]) == (record["phase"] == "final")
        assert (record["seed"] in STUDY.seeds) == (record["phase"] == "final")
    first, shared = finals[0], finals[2]
    assert first["tuning"]["shared_from"] is None
    assert shared["tuning"]["shared_from"] == "LoRA(rank=2, at=('q', 'v'))"
    best = max(c["score"] for c in first["tuning"]["candidates"])
    chosen = first["tuning"]["chosen"]["lr"]
    assert next(c["score"] for c in first["tuning"]["candidates"] if c["lr"] == chosen) == best
    assert first["training"]["lr"] == chosen


def test_a_second_call_runs_nothing_and_a_damaged_record_is_done_again(records):
    finals, _ = execute(records)
    again, done = execute(records)
    assert done == [] and json.dumps(again) == json.dumps(finals)
    victim = records.runs / f"{finals[3]['run_id']}.json"
    victim.write_text(victim.read_text()[:100])
    repaired, done = execute(records)
    assert [identity(run) for run in done] == [finals[3]["run_id"]]
    assert repaired[3]["metrics"] == finals[3]["metrics"]
    assert list(records.runs.glob("*.corrupt*"))


def test_one_seed_gives_the_same_curve_in_another_process(records):
    finals, _ = execute(records)
    code = (
        "import sys, json; sys.path.insert(0, 'tests'); from test_study import STUDY; from bench.train import train\n"
        "cell = list(STUDY.cells())[2]\n"
        f"print(json.dumps(train(STUDY.finals(cell, {finals[4]['training']['lr']})[0]).curve))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == finals[4]["curve"]


def test_failures_are_statuses_and_the_study_goes_on(records, monkeypatch):
    real = bench.runner.train

    def broken(run, **options):
        if run.method == LoRA(rank=1) and run.seed == 0:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore")
        if run.method == LoRA(rank=1):
            raise RuntimeError("surprise")
        return real(run, **options)

    monkeypatch.setattr(bench.runner, "train", broken)
    finals, _ = execute(records)
    assert [r["status"] for r in finals] == ["ok", "ok", "out_of_memory", "failed", "ok", "ok"]
    assert finals[2]["reason"] == "CUDA out of memory. Tried to allocate 2 GiB"
    assert "surprise" in finals[3]["reason"]
    monkeypatch.undo()
    finals, done = execute(records)
    assert [run.seed for run in done] == [0, 1], "what failed or ran out of memory is tried again, the rest is not"
    assert [r["status"] for r in finals] == ["ok"] * 6


def test_a_method_whose_trials_all_fail_is_reported(records, monkeypatch):
    monkeypatch.setattr(bench.runner, "train", lambda run, **o: Outcome(status="diverged", reason="the loss is nan"))
    finals, _ = execute(records)
    assert [r["status"] for r in finals] == ["failed"] * 6
    assert finals[0]["phase"] == "final" and finals[0]["reason"] == "no tuning run ended well: diverged, diverged"


def test_a_failed_trial_is_no_smaller_budget(records, monkeypatch):
    real = bench.runner.train

    def broken(run, **options):
        if not run.test and isinstance(run.method, LoRA) and run.training.lr == 1e-4:
            raise RuntimeError("surprise")
        return real(run, **options)

    monkeypatch.setattr(bench.runner, "train", broken)
    finals, _ = execute(records)
    assert [r["status"] for r in finals] == ["ok", "ok", *["failed"] * 4]
    assert "budget" in finals[2]["reason"]


def test_a_failed_trial_loses_no_sound_final_run(records, monkeypatch):
    finals, _ = execute(records)
    trial = next(r for r in records.all() if r["phase"] == "tune" and r["method"]["name"] == "LoRA")
    (records.runs / f"{trial['run_id']}.json").unlink()
    monkeypatch.setattr(bench.runner, "train", lambda run, **o: (_ for _ in ()).throw(RuntimeError("surprise")))
    again, _ = execute(records)
    assert [r["status"] for r in again] == ["ok", "ok", *["failed"] * 4]
    assert len(list(records.retired.glob("*.json"))) == len(finals) - 2


def test_a_changed_study_retires_what_it_outdates(records):
    execute(records)
    old = {r["run_id"] for r in records.all()}
    new, done = execute(records, replace(STUDY, training=Training(epochs=2)))
    assert len(done) == 10
    finals = {r["run_id"] for r in records.all() if r["phase"] == "final"}
    assert finals == {r["run_id"] for r in new}
    assert {path.stem for path in records.retired.glob("*.json")} == old


def test_a_record_of_another_device_is_kept_when_this_one_makes_its_own(records):
    finals, _ = execute(records)
    theirs = finals[0] | {"environment": finals[0]["environment"] | {"device_name": "another"}}
    records.write(theirs)
    _, done = execute(records)
    assert [identity(run) for run in done] == [theirs["run_id"]]
    kept = json.loads((records.retired / f"{theirs['run_id']}.json").read_text())
    assert kept["environment"]["device_name"] == "another"


def test_records_of_another_device_or_other_data_are_not_taken_for_ones_own(records, monkeypatch):
    finals, _ = execute(records)
    run = next(iter(STUDY.finals(next(STUDY.cells()), finals[0]["training"]["lr"])))
    assert usable(finals[0], run, "cpu")
    assert not usable(finals[0] | {"environment": {"device_name": "another", "threads": 1}}, run, "cpu")
    assert not usable(finals[0] | {"provenance": {"data_sha256": "0"}}, run, "cpu")


def trial(lr, score, loss=1.0, status="ok"):
    return {"training": {"lr": lr}, "status": status, "metrics": {"val": {"top1": score, "loss": loss}}}


def test_choosing():
    cell = Cell(STUDY.tasks[0], VIT, LinearProbe())
    picked = choose([trial(1e-3, 0.7), trial(1e-2, 0.8, 0.5), trial(1e-1, 0.8, 0.4)], cell=cell, study=STUDY)
    assert picked["chosen"] == {"lr": 1e-1} and picked["edge"] is True
    picked = choose([trial(1e-3, 0.7), trial(1e-2, 0.8), trial(1e-1, 0, status="diverged")], cell=cell, study=STUDY)
    assert picked["chosen"] == {"lr": 1e-2} and picked["edge"] is False
    assert picked["candidates"][2] == {"lr": 1e-1, "score": None, "loss": None, "status": "diverged"}


def test_choosing_takes_the_mean_over_tuning_seeds():
    cell = Cell(STUDY.tasks[0], VIT, LinearProbe())
    trials = [trial(1e-3, 0.9), trial(1e-3, 0.1), trial(1e-2, 0.6), trial(1e-2, 0.6)]
    assert choose(trials, cell=cell, study=STUDY)["chosen"] == {"lr": 1e-2}


def test_learning_rates_are_spread_and_equal_in_number():
    for candidates in (1, 2, 3, 5):
        counts = {len(Tune(candidates=candidates).learning_rates(cls())) for cls in METHODS.values()}
        assert counts == {candidates}
    assert Tune(candidates=3).learning_rates(FullFineTuning()) == (3e-6, 3e-5, 3e-4)
    with pytest.raises(BadInput, match="declares 5 learning rates"):
        Tune(candidates=9).learning_rates(LoRA())


def test_identity_tells_runs_apart():
    base = Run(STUDY.tasks[0], VIT, LoRA(), Training(), 0)
    others = [
        Run(Images("digits"), VIT, LoRA(), Training(), 0),
        Run(STUDY.tasks[0], VIT, LoRA(alpha=1), Training(), 0),
        Run(STUDY.tasks[0], VIT, LoRA(), Training(batch_size=8), 0),
        Run(STUDY.tasks[0], VIT, LoRA(), Training(), 1),
        Run(STUDY.tasks[0], VIT, LoRA(), Training(), 0, test=False),
    ]
    assert len({identity(run) for run in (base, *others)}) == 6
    assert identity(base) == identity(Run(STUDY.tasks[0], VIT, LoRA(), Training(), 0))


def test_plan_counts_what_is_left(records):
    rows = plan(STUDY, records, timed=False)
    assert [(row.backbone, row.todo, row.done) for row in rows] == [(0, 4, 0), (1536, 4, 0), (3072, 2, 0)]
    execute(records)
    assert sum(row.todo for row in plan(STUDY, records, timed=False)) == 0
    assert all(row.seconds == 0 for row in plan(STUDY, records))


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (lambda: Tune(candidates=0), "at least one of each"),
        (lambda: Tune(seeds=()), "at least one of each"),
        (lambda: replace(STUDY, seeds=(1, 1)), "twice"),
        (lambda: replace(STUDY, methods=()), "no methods"),
        (lambda: replace(STUDY, tune=Tune(share={"rnak": 8})), "did you mean 'rank'"),
    ],
)
def test_bad_studies(build, told):
    with pytest.raises(BadInput, match=told):
        build()


def test_times_for_people():
    assert [hours_minutes(s) for s in (5, 89, 1500, 12000)] == ["5 s", "89 s", "25 min", "3 h 20 min"]


def test_studies_load_at_every_scale():
    for name in names(ROOT / "studies"):
        for scale in ("smoke", "laptop", "full"):
            parts = load(name, scale, folder=ROOT / "studies")
            assert {part.name for part in parts} == {name}
            for part in parts:
                assert load(name, scale, family=part.family, folder=ROOT / "studies") == (part,)
    with pytest.raises(BadInput, match="did you mean 'rank-sweep'"):
        load("rank-sweeep", "smoke", folder=ROOT / "studies")
    with pytest.raises(BadInput, match="did you mean 'laptop'"):
        load("rank-sweep", "labtop", folder=ROOT / "studies")
    with pytest.raises(BadInput, match="did you mean 'text'"):
        load("rank-sweep", "laptop", family="texts", folder=ROOT / "studies")


def test_a_tuning_seed_cannot_be_a_final_seed():
    with pytest.raises(BadInput, match="both tunes and is reported"):
        Study("x", "?", STUDY.tasks, STUDY.models, STUDY.methods, seeds=(0, 1000))


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on(tmp_path):
    """SIGKILL in mid-study, then the same command: no finished run is repeated, no record lost."""
    command = [
        sys.executable,
        "-m",
        "bench",
        "run",
        "rank-sweep",
        "--scale",
        "smoke",
        "--family",
        "images",
        "--no-mlflow",
        "--results",
        str(tmp_path),
    ]
    runs = tmp_path / "rank-sweep" / "smoke" / "runs"
    killed = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(1800):
        if len(list(runs.glob("*.json"))) >= 5:
            break
        time.sleep(0.1)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    before = {path.name: path.read_bytes() for path in runs.glob("*.json")}
    assert 5 <= len(before) < 34
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    after = {path.name: path.read_bytes() for path in runs.glob("*.json")}
    assert len(after) == 34 and all(after[name] == content for name, content in before.items())
    assert (tmp_path / "rank-sweep" / "smoke" / "table.csv").exists()


def test_a_study_may_say_a_methods_rates():
    mine = Tune(candidates=2, rates={"LinearProbe": (1e-4, 3e-4, 1e-3)})
    assert mine.learning_rates(LinearProbe()) == (1e-4, 1e-3)
    assert mine.learning_rates(LoRA()) == Tune(candidates=2).learning_rates(LoRA())
    with pytest.raises(BadInput, match="did you mean 'LinearProbe'"):
        replace(STUDY, tune=Tune(rates={"LinearPorbe": (1e-3,)}))
