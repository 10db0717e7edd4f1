from __future__ import annotations

from types import SimpleNamespace

import pytest

from bench.execution.console import _cramped, _stacked
from bench.execution.progress import Progress

HEAD = ("method", "peak", "weights")
ROWS = [("LoRA(rank=8, at=('q', 'v'))", "3.48 GiB", "328 MiB"), ("LinearProbe()", "660 MiB", "327 MiB")]


def test_names_stand_above_their_numbers_where_a_terminal_is_narrow(capsys: pytest.CaptureFixture[str]) -> None:
    assert _cramped(HEAD, ROWS, 40) and not _cramped(HEAD, ROWS, 44)
    _stacked(HEAD, ROWS, 40)
    shown = capsys.readouterr().out.splitlines()
    assert shown[:4] == ["method", "      peak  weights", "LoRA(rank=8, at=('q', 'v'))", "  3.48 GiB  328 MiB"]
    _stacked(HEAD, ROWS[1:], 17)
    assert capsys.readouterr().out.splitlines() == ["LinearProbe()", "  peak 660 MiB,", "  weights 327 MiB"]


def test_the_pace_of_runs_leaves_out_what_each_worker_reads_once() -> None:
    speed = SimpleNamespace(run=lambda *, test: 10.0)
    cell = SimpleNamespace(task="t", model="m", method="x")
    progress = Progress([SimpleNamespace(cell=cell, speed=speed, todo=2, done=0, seconds=20.0)])
    progress.say_line = lambda text: None
    training = SimpleNamespace(lr=0.1)
    task = type("Named", (), {"name": "t"})()
    run = SimpleNamespace(task=task, model="m", method="x", test=False, seed=0, training=training)
    record = {"phase": "costs", "model": {"name": "m"}, "method": {"spec": "x"}, "status": "ok"}
    progress.speeds = {(run.task, "m", "x"): speed}
    progress.finished(run, record | {"time": {"total": 212.0, "data": 200.0}}, True)
    assert progress.pace == pytest.approx(1.2) and progress.seconds_left() == pytest.approx(12.0)
