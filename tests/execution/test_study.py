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

import bench.execution.executor
from bench.cli.studies import files
from bench.errors import BadInput
from bench.execution.launch import launch
from bench.methods import LoRA
from bench.study import SCALES, Study, load, scales_of
from bench.study.plan import hours_minutes, plan
from bench.study.recording import identity, usable
from bench.study.trials import of_cells
from bench.study.tune import Tune
from bench.tasks import Images
from bench.training.loop import Outcome
from bench.training.method_checks import VIT
from bench.training.recipe import Training
from bench.training.run import Run
from tests.support.quick_bench import COMMAND as QUICK
from tests.support.tiny_study import STUDY, execute, learned

pytestmark = pytest.mark.usefixtures("own_cache")

ROOT = Path(__file__).parents[2]
RANK_SWEEP, LEARNING_RATE = (ROOT / "studies" / f"{name}.py" for name in ("rank_sweep", "learning_rate"))


def test_equal_budgets_and_one_test_per_seed(records):
    finals, done = execute(records)
    stored = records.all()
    untuned = [r for r in stored if r["phase"] == "default"]
    assert len(finals) == 6 and len(done) == 4 + 6 + len(untuned)
    assert len(stored) == len(done) + 2, "and the majority class, once for each seed"
    trials = Counter(r["method"]["name"] for r in stored if r["phase"] == "tune")
    assert trials == {"LinearProbe": 2, "LoRA": 2}, "LoRA's trials are shared over its ranks"
    for record in stored:
        assert ("test" in record["metrics"]) == (record["seed"] in STUDY.seeds) == (record["phase"] != "tune")
    first, shared = finals[0], finals[2]
    assert first["tuning"]["shared_from"] is None
    assert shared["tuning"]["shared_from"] == "LoRA(rank=2, at=('q', 'v'))"
    assert first["tuning"]["budget"] == len(first["tuning"]["trials"]) == 2
    assert first["tuning"]["on"] == "val/loss"
    best = min(trial["score"] for trial in first["tuning"]["trials"])
    chosen = first["tuning"]["chosen"]
    assert first["tuning"]["trials"][chosen["number"]]["score"] == best
    assert first["training"]["lr"] == chosen["params"]["lr"]
    assert sum(trial["best_in"] for trial in first["tuning"]["trials"]) == pytest.approx(1), "how often it would be"
    assert all(bool(r["inference"]) == (r["seed"] == 0) for r in finals), "timed once for all seeds"


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


@pytest.mark.long
def test_one_seed_gives_the_same_curve_in_another_process(records):
    finals, _ = execute(records)
    code = (
        "import json; from tests.support.tiny_study import STUDY\n"
        "from bench.training.loop import train; from bench.study.trials import of_cells\n"
        "cell, trials = list(of_cells(STUDY, 'cpu').items())[2]\n"
        f"print(json.dumps(train(trials.finals(cell, {finals[4]['tuning']['chosen']['params']})[0]).curve))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert learned(json.loads(done.stdout)) == learned(finals[4]["curve"])


def test_failures_are_statuses_and_the_study_goes_on(records, monkeypatch):
    real = bench.execution.executor.train

    def broken(run, **options):
        rank = getattr(run.method, "rank", None)
        if rank == 1 and run.seed == 0:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore")
        if rank == 1:
            raise RuntimeError("surprise")
        return real(run, **options)

    monkeypatch.setattr(bench.execution.executor, "train", broken)
    finals, _ = execute(records)
    assert [r["status"] for r in finals] == ["ok", "ok", "out_of_memory", "failed", "ok", "ok"]
    assert finals[2]["reason"] == "CUDA out of memory. Tried to allocate 2 GiB"
    assert "surprise" in finals[3]["reason"]
    monkeypatch.undo()
    finals, done = execute(records)
    assert [run.seed for run in done] == [0, 1], "what failed or ran out of memory is tried again, the rest is not"
    assert [r["status"] for r in finals] == ["ok"] * 6


def test_a_method_whose_trials_all_fail_is_reported(records, monkeypatch):
    monkeypatch.setattr(
        bench.execution.executor, "train", lambda run, **o: Outcome(status="diverged", reason="the loss is nan")
    )
    finals, _ = execute(records)
    assert [r["status"] for r in finals] == ["failed"] * 6
    assert finals[0]["phase"] == "final" and finals[0]["reason"] == "no tuning run ended well: diverged, diverged"


def test_a_failed_trial_is_no_smaller_budget(records, monkeypatch):
    real = bench.execution.executor.train

    def broken(run, **options):
        if isinstance(run.method, LoRA) and run.trial.endswith("#1"):
            raise RuntimeError("surprise")
        return real(run, **options)

    monkeypatch.setattr(bench.execution.executor, "train", broken)
    finals, _ = execute(records)
    assert [r["status"] for r in finals] == ["ok", "ok", *["failed"] * 4]
    assert "budget" in finals[2]["reason"]


def test_a_failed_trial_loses_no_sound_final_run(records, monkeypatch):
    finals, _ = execute(records)
    trials = [r for r in records.all() if r["phase"] == "tune" and r["method"]["name"] == "LoRA"]
    chosen = finals[2]["tuning"]["chosen"]["number"]
    other = next(r for r in trials if r["trial"]["number"] != chosen)
    (records.runs / f"{other['run_id']}.json").unlink()
    monkeypatch.setattr(
        bench.execution.executor, "train", lambda run, **o: (_ for _ in ()).throw(RuntimeError("surprise"))
    )
    again, _ = execute(records)
    assert [r["status"] for r in again] == ["ok", "ok", *["failed"] * 4]
    assert len(list(records.retired.glob("*.json"))) == len(finals) - 2


def test_a_changed_study_retires_what_it_outdates(records):
    execute(records)
    old = {r["run_id"] for r in records.all() if r["phase"] != "reference"}  # which training does not change
    new, done = execute(records, replace(STUDY, training=Training(epochs=2)))
    assert len(done) + 2 == len(records.all()) >= 12
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
    cell, trials = next(iter(of_cells(STUDY, "cpu").items()))
    run = trials.finals(cell, finals[0]["tuning"]["chosen"]["params"])[0]
    assert usable(finals[0], run, "cpu")
    assert not usable(finals[0] | {"environment": {"device_name": "another", "threads": 1}}, run, "cpu")
    assert not usable(finals[0] | {"provenance": {"data_sha256": "0"}}, run, "cpu")


def test_identity_tells_runs_apart():
    base = Run(STUDY.tasks[0], VIT, LoRA(), Training(), 0)
    others = [
        Run(Images("digits"), VIT, LoRA(), Training(), 0),
        Run(STUDY.tasks[0], VIT, LoRA(alpha=1), Training(), 0),
        Run(STUDY.tasks[0], VIT, LoRA(), Training(batch_size=8), 0),
        Run(STUDY.tasks[0], VIT, LoRA(), Training(), 1),
        Run(STUDY.tasks[0], VIT, LoRA(), Training(), 0, test=False),
        Run(STUDY.tasks[0], VIT, LoRA(), Training(), 0, test=False, trial="tiny #1"),
        Run(STUDY.tasks[0], VIT, LoRA(), Training(), 0, test=False, trial="tiny #2"),
    ]
    assert len({identity(run) for run in (base, *others)}) == 8
    assert identity(base) == identity(Run(STUDY.tasks[0], VIT, LoRA(), Training(), 0))


def test_plan_counts_what_is_left(records, monkeypatch):
    rows = plan(STUDY, records, timed=False)
    assert [(row.backbone, row.trials, row.finals, row.done) for row in rows] == [
        (0, 2, 2 + 2, 0),  # two trials, two final runs, two with the default values
        (1536, 2, 2, 0),
        (3072, 0, 2 + 2, 0),  # its trials are counted where they are met first
    ]
    _, done = execute(records)
    assert sum(row.done for row in plan(STUDY, records, timed=False)) == len(done)
    monkeypatch.setattr("bench.study.plan.assemble", None)  # what is recorded need not be built to be counted
    again = plan(STUDY, records)
    assert all(row.seconds == row.todo == 0 for row in again)
    assert [row.backbone for row in again] == [0, 1536, 3072]


@pytest.mark.parametrize(
    ("build", "told"),
    [
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
    for name, file in files(ROOT / "studies").items():
        for scale in SCALES:
            if scale not in scales_of(file):
                with pytest.raises(BadInput, match=f"{name} is not declared at scale '{scale}': it has smoke"):
                    load(file, scale)
                continue
            parts = load(file, scale)
            assert {part.name for part in parts} == {name}
            for one in (part for part in parts if part.tune.trials):
                for cell in one.cells():
                    one.tune.check(cell.task, one.tune.representative(cell.method), one.training)
            for family in {part.family for part in parts}:
                assert load(file, scale, family=family) == tuple(part for part in parts if part.family == family)
            if scale == "overnight":
                assert {part.training.precision for part in parts} == {"fp32"}, "every CPU may add to it"
                judged = {
                    (task.metric, one.tune.target(task)) for one in parts if one.tune.trials for task in one.tasks
                }
                assert all(metric == target for metric, target in judged), "no night chooses by the loss"
    with pytest.raises(BadInput, match="did you mean 'laptop'"):
        load(RANK_SWEEP, "labtop")
    with pytest.raises(BadInput, match="did you mean 'text'"):
        load(RANK_SWEEP, "laptop", family="texts")


@pytest.mark.parametrize("name", ["methods", "initialisation", "quantised"])
def test_studies_of_methods_run(name, records):
    """The last cell of their smallest scale on pictures, untuned: a trial more of the same is another test's."""
    (part,) = load(ROOT / "studies" / f"{name}.py", "smoke", family="images")
    models, methods = part.models[-1:], part.methods[-1:]
    (final,), _ = execute(records, replace(part, models=models, methods=methods, seeds=(0,), tune=Tune(trials=0)))
    assert (final["status"], final["method"]["spec"]) == ("ok", repr(methods[0]))


def test_a_tuning_seed_cannot_be_a_final_seed():
    with pytest.raises(BadInput, match="both tunes and is reported"):
        Study("x", "?", STUDY.tasks, STUDY.models, STUDY.methods, seeds=(0, 1000))


@pytest.mark.slow
@pytest.mark.long
def test_killed_in_the_middle_it_goes_on(tmp_path, monkeypatch):
    """SIGKILL in mid-study, then the same command: no finished run is repeated, no record lost."""
    command = [*QUICK, "run", "learning-rate", "--scale", "smoke", "--family", "images"]
    command += ["--no-mlflow", "--results", str(tmp_path)]
    runs = tmp_path / "learning-rate" / "smoke" / "runs"
    killed = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(9000):
        if len(list(runs.glob("*.json"))) >= 5:
            break
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    before = {path.name: path.read_bytes() for path in runs.glob("*.json")}
    assert 5 <= len(before) < 20
    monkeypatch.chdir(ROOT)
    launch(LEARNING_RATE, "smoke", results=tmp_path, device=None, mlflow=False, family="images")
    after = {path.name: path.read_bytes() for path in runs.glob("*.json")}
    assert len(after) == 18 + 2 and all(after[name] == content for name, content in before.items())
    assert (tmp_path / "learning-rate" / "smoke" / "table.csv").exists()
