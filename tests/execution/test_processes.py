"""One queue, several processes, any of which may die. Forked here with made-up training, to start at once."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import save

import bench.execution.executor
import bench.execution.parallelism
from bench.errors import BadInput
from bench.execution.executor import guarded
from bench.execution.keeping import Keeping
from bench.execution.launch import alone
from bench.execution.parallelism import MANY, Workers, share_out
from bench.execution.processes import Processes
from bench.execution.runner import Job, Watcher
from bench.execution.search import storage
from bench.methods import BitFit, LinearProbe, LoRA
from bench.records import Records
from bench.records.weights import read
from bench.study.recording import identity
from bench.study.trials import of_cells
from tests.support.tiny_study import STUDY, execute, made_up, trained, trials_of, tuned

pytestmark = pytest.mark.usefixtures("own_cache", "one_thread", "forked")


@pytest.fixture
def forked(monkeypatch):
    """A worker of its own imports for seconds; a fork of this process has all of it. See `test_jobs.py`."""
    importlib.import_module("torchmetrics.functional.classification")
    context = multiprocessing.get_context("fork")
    monkeypatch.setattr(multiprocessing, "get_context", lambda method=None: context)


def die():
    """What the system does to a process when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def accuracy(run):
    """Best with the default values, so that these are chosen whatever happens to other trials."""
    return 0.5 if run.training.lr in (1e-3, 1e-2) else 0.4


def jobs(number):
    """Runs of different seeds."""
    cell, trials = next(iter(of_cells(STUDY, "cpu").items()))
    run = trials.finals(cell, {})[0]
    return [
        Job(type(run)(run.task, run.model, run.method, run.training, seed), "final", None) for seed in range(number)
    ]


def everything(pool):
    """All that ends until nothing runs, by seed."""
    over = {}
    while ended := pool.ended():
        over |= {each.job.run.seed: each.outcome for each in ended}
    return over


def test_any_number_of_workers_gives_the_same_records(tmp_path, monkeypatch):
    made_up(monkeypatch, lambda run, epoch: run.training.lr**0.1 * (1 + run.seed % 7) / 9)
    study = tuned(LinearProbe(), LoRA(rank=1), LoRA(rank=2), sampler="random", share={"rank": 2}, trials=5)
    found = {}
    for number in (1, 2, 4):
        records = Records(tmp_path / str(number))
        _, done = execute(records, study, jobs=number, threads=1)
        assert max(Counter(map(identity, done)).values()) == 1 and len(done) == len(trained(records))
        keys = ("metrics", "curve", "phase", "seed", "training", "method", "tuning")
        found[number] = {r["run_id"]: {key: r[key] for key in keys} for r in trained(records)}
        assert {r["environment"]["jobs"] for r in trained(records)} == {number}
        assert execute(records, study, jobs=number, threads=1)[1] == []
    assert found[1] == found[2] == found[4]


def test_trials_that_draw_on_others_are_shared_out_too(records, monkeypatch):
    """Four workers on two searches with TPE and pruning: every trial once, and the whole budget."""
    said = []
    made_up(monkeypatch, lambda run, epoch: run.training.lr**0.1 / 2 + 0.01 * epoch)
    study = tuned(LinearProbe(), BitFit(), pruner="median", trials=7, epochs=3)
    finals, done = execute(records, study, jobs=4, threads=1, watcher=Watcher(said=said.append))
    assert said == [
        "--jobs 4: 2 trials at once while tuning goes on, for one depends on those before it; Tune(batch=4) in the "
        "study lets 4 of a search run side by side"
    ]
    assert {r["status"] for r in finals} == {"ok"} and max(Counter(map(identity, done)).values()) == 1
    for name in ("LinearProbe", "BitFit"):
        assert list(trials_of(records, name)) == list(range(7))
    there = storage(None, records.folder)
    for search in there.get_all_studies():
        ended = Counter(trial.state.name for trial in there.get_all_trials(search._study_id))
        assert ended["COMPLETE"] + ended["PRUNED"] == 7 == ended.total()


def test_a_run_whose_process_is_killed_begins_anew(records, monkeypatch, tmp_path):
    def score(run, epoch):
        mark = tmp_path / f"{run.seed} {run.trial.rpartition('#')[2]}"
        if not mark.exists():
            mark.touch()
            die()
        return 0.5

    made_up(monkeypatch, score)
    _, done = execute(records, tuned(LinearProbe()), jobs=2, threads=1)
    assert {r["status"] for r in records.all()} == {"ok"} and len(done) == len(trained(records)) == 4 + 2


def test_a_run_whose_process_is_killed_twice_has_failed(records, monkeypatch):
    made_up(
        monkeypatch, lambda run, epoch: die() if "LoRA" in run.trial and run.trial.endswith("#1") else accuracy(run)
    )
    study = tuned(LinearProbe(), LoRA(rank=2))
    finals, _ = execute(records, study, jobs=2, threads=1)
    assert [r["status"] for r in finals] == ["ok", "ok", "failed", "failed"]
    (failed,) = [r for r in records.all() if r["phase"] == "tune" and r["status"] != "ok"]
    assert (failed["status"], failed["trial"]["number"]) == ("failed", 1)
    assert failed["reason"].startswith("its process ended 2 times (signal 9; ")
    made_up(monkeypatch, lambda run, epoch: accuracy(run))
    again, done = execute(records, study, jobs=2, threads=1)
    assert {r["status"] for r in again} == {"ok"}
    assert len(done) == 1 + 2 + 2, "the trial that failed, those that waited for it, and the final runs"


def test_epochs_are_told_in_order_and_an_answer_ends_a_run(monkeypatch):
    made_up(monkeypatch, lambda run, epoch: 0.1 * epoch)
    told = []

    def hear(job, epoch, scores):
        told.append((job.run.seed, epoch, [round(each["top1"], 1) for each in scores]))
        return "enough" if job.run.seed == 1 else None

    study = tuned(epochs=3)
    cell, trials = next(iter(of_cells(study, "cpu").items()))
    with Processes(1, "cpu", 1, hear) as pool:
        for run in trials.finals(cell, {}):
            assert pool.free
            pool.start(Job(run, "final", None))
            assert not pool.free
            (ended,) = pool.ended()
            assert (ended.outcome.status, ended.outcome.reason) == ((("ok", None), ("pruned", "enough"))[run.seed])
    assert told == [(0, 1, [0.1]), (0, 2, [0.1, 0.2]), (0, 3, [0.1, 0.2, 0.3]), (1, 1, [0.1])]


def test_what_goes_wrong_in_a_worker_is_a_status_and_the_worker_goes_on(monkeypatch):
    def score(run, epoch):
        if run.seed == 0:
            raise MemoryError("not so much")
        return 1 / (run.seed - 1)

    made_up(monkeypatch, score)
    with Processes(1, "cpu", 1, lambda *_: None) as pool:
        over = {}
        for job in jobs(3):
            pool.start(job)
            over |= everything(pool)
        assert len(pool.workers) == 1
    assert [over[seed].status for seed in range(3)] == ["out_of_memory", "failed", "ok"]
    assert over[1].reason.startswith("ZeroDivisionError: division by zero (score, line")


def test_a_worker_that_dies_while_it_has_nothing_to_do_is_replaced(monkeypatch):
    made_up(monkeypatch, lambda run, epoch: 0.5)
    first, second = jobs(2)
    with Processes(1, "cpu", 1, lambda *_: None) as pool:
        pool.start(first)
        assert everything(pool)[0].status == "ok"
        pool.workers[0].process.kill()
        pool.workers[0].process.join()
        pool.start(second)
        assert everything(pool)[1].status == "ok"


def hold(link):
    """Starts a worker on a run without an end, and tells its process."""
    with Processes(1, "cpu", 1, lambda *_: None) as pool:
        pool.start(jobs(1)[0])
        link.send(pool.workers[0].process.pid)
        pool.ended()


def test_no_worker_outlives_the_process_that_started_it(monkeypatch):
    made_up(monkeypatch, lambda run, epoch: time.sleep(60))
    here, there = multiprocessing.Pipe()
    holder = multiprocessing.get_context().Process(target=hold, args=(there,))
    holder.start()
    worker = psutil.Process(here.recv())
    holder.kill()
    holder.join()
    with suppress(psutil.NoSuchProcess):
        worker.wait(timeout=10)
    with Processes(2, "cpu", 1, lambda *_: None) as pool:
        for job in jobs(2):
            pool.start(job)
        processes = [each.process for each in pool.workers]
    assert not any(process.is_alive() for process in processes)


def test_a_folder_is_one_commands_alone(tmp_path):
    with alone(tmp_path):
        with (
            pytest.raises(BadInput, match=f"another bench run is at work on {tmp_path}: wait") as error,
            alone(tmp_path),
        ):
            raise AssertionError
        assert len(str(error.value).splitlines()) == 1
    with alone(Path(tmp_path)):
        pass


def test_how_many_workers(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)))
    assert [share_out(n, "cpu", scale="laptop").jobs for n in (1, 3, None)] == [1, 3, 4]
    assert share_out(None, "cpu", scale="smoke") == Workers(1, 1, False), "a worker takes longer to start than the runs"
    monkeypatch.setattr(bench.execution.parallelism, "_threads", lambda: 16)
    assert share_out(None, "cpu", scale="smoke", cells=MANY).jobs == 4, "but not longer than many"
    assert share_out(None, "cpu", scale="smoke").threads == 1, "tiny networks on several threads wait for one another"
    assert share_out(2, "cpu", scale="laptop").threads == 8
    for number in (0, -2):
        with pytest.raises(BadInput, match=f"--jobs {number}: at least one run at a time"):
            share_out(number, "cpu", scale="laptop")


def test_no_more_workers_than_the_memory_bears(monkeypatch, capsys):
    monkeypatch.setattr(bench.execution.parallelism, "needed", lambda device: 3 * 2**30)
    monkeypatch.setattr(bench.execution.parallelism, "available", lambda device: 7.5 * 2**30)
    assert Workers(4, 1, asked=False).within_memory("cpu") == Workers(2, 1, asked=False)
    assert capsys.readouterr().out == "4 runs at once need about 12.0 GiB, 7.5 are free: 2 at once\n"
    assert Workers(4, 1, asked=True).within_memory("cpu") == Workers(4, 1, asked=True)
    said = "warning: 4 runs at once need about 12.0 GiB, 7.5 are free: --jobs 2 would fit\n"
    assert capsys.readouterr().out == said
    for fits in (Workers(1, 1), Workers(2, 1), Workers(2, 1, asked=True)):
        assert fits.within_memory("cpu") == fits
    monkeypatch.setattr(bench.execution.parallelism, "available", lambda device: 2**30)
    assert Workers(2, 1).within_memory("cpu").jobs == 1
    assert capsys.readouterr().out.count("\n") == 1


def test_weights_of_workers_are_kept(records, monkeypatch):
    made_up(monkeypatch, lambda run, epoch: 0.5 + run.seed / 10)
    made = bench.execution.executor.train

    def train(run, **options):
        outcome = made(run, **options)
        own = {"backbone": "{}", "preprocessing": "{}", "classes": "[]"}
        outcome.weights = save({"head.weight": torch.ones(2**18) * run.seed}, own) if run.keep else b""
        return outcome

    monkeypatch.setattr(bench.execution.executor, "train", train)
    finals, _ = execute(records, tuned(LinearProbe(), trials=2), jobs=2, threads=1, keeping=Keeping(records.folder))
    (path,) = (records.folder / "weights").glob("*")
    best = next(record for record in finals if record["seed"] == 1)
    assert read(path).about["run_id"] == path.stem == best["run_id"]
    assert path.stat().st_size > 2**20 and read(path).about["metrics"] == best["metrics"]


def test_ctrl_c_behind_another_error_is_no_failed_run():
    def work(outcome):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as interrupt:
            raise SystemError("a C function returned a result with an exception set") from interrupt

    with pytest.raises(KeyboardInterrupt):
        guarded(work, device="cpu")


def test_no_worker_waits_until_the_run_before_is_recorded(tmp_path, monkeypatch):
    made_up(monkeypatch, lambda run, epoch: 0.5)
    records, events = Records(tmp_path), []
    records.prepare()
    write = Records.write
    monkeypatch.setattr(Records, "write", lambda self, record: (events.append("recorded"), write(self, record)))
    study = tuned(LinearProbe(), BitFit(), LoRA(rank=2))  # a search whose trial has ended waits for its record
    execute(records, study, watcher=Watcher(started=lambda run: events.append("started")), jobs=2, threads=1)
    runs = events[events.index("started") :]
    assert runs[:3] == ["started"] * 3 and runs.index("recorded") == 3
