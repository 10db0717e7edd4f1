"""Memory of a plan's cells, estimated by two processes: what they find, and what becomes of a plan if one dies."""

from __future__ import annotations

import os
import signal
import time
import warnings
from dataclasses import replace

import pytest

from bench.execution import forecasts
from bench.execution.forecasts import Beside
from bench.methods import LoRA
from bench.study.plan import run_of
from bench.training.memory_forecast import KNOWN, alike, forecast_once
from tests.support.tiny_study import STUDY

CELL = next(iter(STUDY.cells()))
RUNS = [run_of(STUDY, replace(CELL, method=LoRA(rank=rank))) for rank in range(1, 7)]


@pytest.fixture
def done_here(monkeypatch):
    """Which runs this process has estimated itself, beginning with none."""
    done = []
    KNOWN.clear()

    def noted(run, *, device):
        done.append(run)
        return forecast_once(run, device=device)

    monkeypatch.setattr(forecasts, "forecast_once", noted)
    return done


def started(beside):
    beside.starting.join(60)
    assert beside.link is not None
    return beside


def test_another_process_estimates_the_same_from_the_end(done_here):
    with Beside("cpu", jobs=2, soon=True) as beside:
        started(beside).ask(RUNS)
        first = beside.forecast(RUNS[0], device="cpu")
        assert beside.link.poll(60)  # the last one has come
        found = [first, *(beside.forecast(run, device="cpu") for run in RUNS[1:])]
    assert RUNS[0] in done_here and RUNS[-1] not in done_here
    assert forecast_once(RUNS[-1], device="cpu") is found[-1], "records need not estimate it once more"
    KNOWN.clear()
    assert found == [forecast_once(run, device="cpu") for run in RUNS]


def test_with_one_run_at_a_time_there_is_no_other_process(done_here):
    with Beside("cpu", jobs=1) as beside:
        beside.ask(RUNS)
        assert beside.process is None and beside.forecast(RUNS[-1], device="cpu").peak > 0
    assert done_here == [RUNS[-1]]


def test_nothing_is_started_for_nothing(done_here):
    with Beside("cpu", jobs=2) as beside:
        beside.ask(RUNS[:2])
        assert beside.process is None and not beside.starting.is_alive()
        beside.ask(RUNS)
        started(beside)


def test_where_the_other_process_is_killed_all_is_done_here(done_here):
    with Beside("cpu", jobs=2, soon=True) as beside:
        started(beside).ask(RUNS)
        os.kill(beside.process.pid, signal.SIGKILL)
        beside.process.join(10)
        assert all(beside.forecast(run, device="cpu").peak > 0 for run in RUNS)
    assert done_here == RUNS


def test_what_cannot_be_handed_to_another_process_is_done_here(done_here):
    class Local(LoRA):
        """Of a class that no other process can find."""

    runs = [replace(run, method=Local(rank=rank)) for rank, run in enumerate(RUNS, 1)]
    with Beside("cpu", jobs=2, soon=True) as beside:
        started(beside).ask(runs)
        assert all(beside.forecast(run, device="cpu").peak > 0 for run in runs)
    assert done_here == runs


def test_its_warnings_are_said_here_and_once():
    texts = ["first", "second"]

    class Link:
        """A pipe in which two estimates have come."""

        def poll(self):
            return bool(texts)

        def recv(self):
            return 1, len(texts), None, [texts.pop(0), "first"]

    beside = Beside("cpu", jobs=2)
    beside.number = 1
    beside.places = {alike(run): n for n, run in enumerate(RUNS)}
    beside.link = Link()
    stamp = str(time.time())
    texts[:] = [f"{text} {stamp}" for text in texts]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        beside._hear(-1)
    assert [str(each.message) for each in said if stamp in str(each.message)] == [f"first {stamp}", f"second {stamp}"]
