"""A study on paper takes what the runner really does on so many workers, by a clock of its own."""

from __future__ import annotations

import heapq
from datetime import UTC, datetime

import pytest

from bench.errors import BadInput
from bench.execution.executor import Ended, attempt
from bench.execution.runner import Runner
from bench.methods import BitFit, LinearProbe, LoRA
from bench.records import Records
from bench.study.schedule import schedule
from bench.study.simulation import CellRuns, Schedule, SearchRuns, simulate, up_to
from tests.support.tiny_study import made_up, tuned

pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")


class Clocked:
    """So many workers whose runs take made-up seconds, in no time."""

    def __init__(self, workers, seconds):
        self.workers, self.seconds, self.now, self.running, self.count = workers, seconds, 0.0, [], 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    @property
    def free(self):
        return len(self.running) < self.workers

    def start(self, job):
        self.count += 1
        heapq.heappush(self.running, (self.now + self.seconds(job.run), self.count, job))

    def ended(self):
        if not self.running:
            return []
        self.now, _, job = heapq.heappop(self.running)
        found = attempt(job.run, device="cpu", on_epoch=lambda epoch, scores: None)
        found.time["total"] = self.seconds(job.run)
        return [Ended(job, found, datetime.fromtimestamp(self.count, UTC))]

    def places(self):
        return []


def seconds(run):
    """Of a run: each another."""
    number = int(run.trial.rpartition("#")[2] or 0)
    return 1 + len(repr(run.method)) % 7 + 2.5 * number + (run.seed % 3) / 4 + run.test


@pytest.mark.parametrize("tune", [{"sampler": "tpe", "batch": 2}, {"sampler": "random", "seeds": (1000, 1001)}])
def test_the_makespan_is_that_of_the_runner(tmp_path, monkeypatch, tune):
    made_up(monkeypatch, lambda run, epoch: 0.5)
    study = tuned(LinearProbe(), LoRA(rank=1), LoRA(rank=2), BitFit(), share={"rank": 2}, trials=5, **tune)
    really = {}
    for workers in (1, 3, 8):
        records, clock = Records(tmp_path / str(workers)), Clocked(workers, seconds)
        records.prepare()
        Runner(study, "smoke", records, executor=clock)()
        really[workers] = clock.now
    planned = schedule(study, Records(tmp_path / "1").all())
    found = {workers: simulate(planned, workers) for workers in really}
    assert planned.recorded == len(planned.seconds)
    assert {workers: each.makespan for workers, each in found.items()} == pytest.approx(really)
    assert found[1].idle == 0 and found[8].makespan >= planned.chains[0][0] - 1e-9
    for workers, each in found.items():
        assert each.busy + each.bound + each.tail == pytest.approx(workers * each.makespan)


def test_batches_bind_and_say_which():
    one = Schedule((SearchRuns("a", ((3.0,), (4.0,), (5.0,)), 1),), (CellRuns(0, (2.0, 2.0)),))
    assert [simulate(one, workers).makespan for workers in (1, 2, 64)] == [16, 14, 14]
    assert (simulate(one, 2).bound, simulate(one, 2).tail) == (12, 0)
    assert one.chains == [(14.0, "a")]
    wide = Schedule((SearchRuns("a", ((3.0,), (4.0,), (5.0,)), 3),), (CellRuns(0, (2.0, 2.0)),))
    assert simulate(wide, 64).makespan == 7
    assert simulate(one.beside(wide), 1).makespan == 32 and simulate(one.beside(wide), 64).makespan == 14
    assert [up_to(most) for most in (1, 2, 8, 9)] == [[1], [1, 2], [1, 2, 4, 8], [1, 2, 4, 8, 9]]


def test_what_is_neither_recorded_nor_timed_is_said():
    with pytest.raises(BadInput, match=r"LoRA\(rank=2.* on digits: no run is recorded, and none can be timed here"):
        schedule(tuned(), [])
