"""The same study for any number of workers and after any kills: the same runs, values and scores.

Forked here with made-up training, to start at once; `test_jobs.py` kills real ones.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import random
import signal
import time
from functools import partial

import pytest

from bench.execution.runner import Runner, Watcher
from bench.methods import LinearProbe, LoRA
from bench.records import Records
from tests.support.tiny_study import execute, made_up, tuned

pytestmark = pytest.mark.usefixtures("own_cache", "one_thread", "forked")

KILLS = 5


@pytest.fixture
def forked(monkeypatch):
    """A worker of its own imports for seconds; a fork of this process has all of it."""
    importlib.import_module("torchmetrics.functional.classification")
    context = multiprocessing.get_context("fork")
    monkeypatch.setattr(multiprocessing, "get_context", lambda method=None: context)


SCORES = (0.5, 0.6, 0.4, 0.7, 0.3, None, 0.65, 0.2)
"""By a trial's number, as values are drawn by the name of the processor too; where there is none, it diverges."""


def accuracy(run, epoch):
    score = SCORES[int(run.trial.rpartition("#")[2] or 0)]
    return score and score + 0.02 * epoch + 0.01 * (run.seed % 2)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def disturbed(score, marks):
    """Training of uneven length, in which some runs are killed, each at most once; none without a folder for marks."""

    def killed(run, epoch):
        time.sleep(random.random() / 100)
        if marks is not None and epoch == 2 and random.random() < 0.4 and len(list(marks.iterdir())) < KILLS:
            mark = marks / f"{type(run.method).__name__} {run.seed} {run.trial.rpartition('#')[2]}"
            if not mark.exists():
                mark.touch()
                die()
        return score(run, epoch)

    return killed


def all_of_it(folder, study, jobs, stop):
    """A process that runs the study, and is killed as soon as it has recorded so many runs, if any."""
    fresh, records = [], Records(folder)

    def finished(run, record, new):
        fresh.append(new)
        if stop and sum(fresh) == stop:
            die()

    Runner(study, "smoke", records, watcher=Watcher(finished=finished), jobs=jobs, threads=1)()
    os._exit(0)


def until_done(folder, study, jobs):
    """Runs it in processes, one after another, of which the first five are killed. Returns how many it took."""
    for times in range(1, 40):
        stop = 2 if times <= KILLS else 0
        process = multiprocessing.get_context().Process(target=partial(all_of_it, folder, study, jobs, stop))
        process.start()
        process.join(60)
        if process.exitcode == 0:
            return times
        assert process.exitcode == -signal.SIGKILL
    raise AssertionError("it comes to no end")


def found(folder):
    """What must be the same."""
    keys = ("status", "metrics", "curve", "phase", "seed", "training", "method", "tuning", "trial")
    return {r["run_id"]: {key: r.get(key) for key in keys} for r in Records(folder).all()}


ONE_BY_ONE = {"sampler": "tpe", "pruner": "median", "trials": 6}
BATCHES = {"sampler": "tpe", "pruner": "median", "batch": 3, "trials": 8}
STATE = {"sampler": "cmaes", "pruner": "hyperband", "batch": 2, "seeds": (1000, 1001)}
GRID = {"sampler": "grid", "pruner": "median", "batch": 2, "over": ("lr",)}


@pytest.mark.parametrize(
    ("jobs", "tune"),
    [
        (4, BATCHES),
        *(pytest.param(jobs, BATCHES, marks=pytest.mark.long) for jobs in (1, 2)),
        *(pytest.param(2, tune, marks=pytest.mark.long) for tune in (ONE_BY_ONE, STATE, GRID)),
    ],
    ids=lambda given: str(given) if isinstance(given, int) else given["sampler"],
)
def test_the_same_for_any_number_of_workers_and_after_any_kills(tmp_path, monkeypatch, jobs, tune):
    methods = (LoRA(rank=2), LinearProbe())[: 2 if tune is ONE_BY_ONE else 1]  # else one search for all workers
    study = tuned(*methods, epochs=3, **{"trials": 6} | tune)
    made_up(monkeypatch, accuracy)
    execute(Records(tmp_path / "alone"), study, threads=1)
    wanted = found(tmp_path / "alone")
    if tune["pruner"] == "median":  # Hyperband's brackets are by the search's name, which names the processor
        assert "pruned" in {r["status"] for r in wanted.values()}, "or else nothing is tried"
    if jobs > 1:
        made_up(monkeypatch, disturbed(accuracy, None))
        execute(Records(tmp_path / "undisturbed"), study, jobs=jobs, threads=1)
        assert found(tmp_path / "undisturbed") == wanted
    (tmp_path / "marks").mkdir()
    made_up(monkeypatch, disturbed(accuracy, tmp_path / "marks"))
    assert until_done(tmp_path / "killed", study, jobs) > KILLS
    assert found(tmp_path / "killed") == wanted
