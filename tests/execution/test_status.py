"""What `bench status` shows: the runs of a study that goes on, and of one that was killed."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.execution.callbacks import Callbacks
from bench.execution.launch import alone
from bench.execution.runner import Runner
from tests.support.tiny_study import STUDY, made_up

pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")


def shown(records):
    return CliRunner().invoke(app, ["status", "--results", str(records.folder.parent.parent)]).output


def test_what_runs_is_shown_while_it_does(records, monkeypatch):
    callbacks, seen = Callbacks(STUDY, records, (), mlflow=False), []

    def score(run, epoch):
        seen.append(shown(records))
        callbacks.status.written = 0.0
        return 0.5

    made_up(monkeypatch, score)
    with alone(records.folder):
        Runner(STUDY, "smoke", records, watcher=callbacks.watcher())()
        seen.append(shown(records))
        callbacks.status.written = 0.0
        callbacks.status.places([])
    assert "1 of 0 runs done, running" in "".join(seen)
    assert any("trial 1" in each and "this process" in each and "epoch 1 of 1" in each for each in seen)
    assert "interrupted; the same command goes on" in shown(records)
    callbacks.status.close()
    assert "nothing runs under" in shown(records)
