"""Four workers on a study, in real processes, one of which is killed in the middle."""

from __future__ import annotations

import re
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from bench.errors import BadInput
from bench.execution.launch import launch
from bench.execution.runner import Runner, Watcher
from bench.execution.search import storage
from bench.records import Records
from bench.study import load
from tests.support.quick_bench import COMMAND as QUICK

ROOT = Path(__file__).parents[2]
LEARNING_RATE = ROOT / "studies" / "learning_rate.py"
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


def wait_for(what, running):
    """Looks until something is there, as long as the command runs."""
    while not (found := what()):
        assert running.poll() is None, "the command ended early"
        time.sleep(0.01)
    return found


def workers(running):
    """The command's worker processes: spawned by it, or forked by a server that it spawned."""
    below = psutil.Process(running.pid).children(recursive=True)
    found = []
    for process in below:
        with suppress(psutil.NoSuchProcess):  # as `git`, asked for the commit and gone
            if re.search("spawn_main|forkserver", " ".join(process.cmdline())) and not process.children():
                found.append(process)
    return found


def run_alone(study, records):
    """Runs a study in this process. Returns how many runs were done that were not recorded."""
    fresh = []
    Runner(study, "smoke", records, watcher=Watcher(finished=lambda run, record, new: fresh.append(new)))()
    return sum(fresh)


@pytest.mark.long
def test_a_killed_worker_loses_nothing_and_nothing_is_done_twice(tmp_path, monkeypatch):
    """SIGKILL to one of four: every run once, and every search with its whole budget.

    That the runs are those of one process is tested in `test_kills.py` and `test_processes.py`.
    """
    folder = tmp_path / "learning-rate" / "smoke"
    records = Records(folder)
    command = [*QUICK, "run", "learning-rate", "--scale", "smoke", "--family", "images"]
    command += ["--jobs", "4", "--no-mlflow", "--results", str(tmp_path)]
    with open(tmp_path / "said", "w") as said:
        running = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said)
    wait_for(lambda: len(list(records.runs.glob("*.json"))) >= 3, running)
    workers(running)[0].kill()
    monkeypatch.chdir(ROOT)
    with pytest.raises(BadInput, match="another bench run is at work on"):
        launch(LEARNING_RATE, "smoke", results=tmp_path, device=None, mlflow=False, family="images")
    assert running.wait(timeout=120) == 0, (tmp_path / "said").read_text()

    (study,) = load(LEARNING_RATE, "smoke", family="images")
    methods, trials = len(study.methods), study.tune.trials
    phases = {"tune": methods * trials, "final": methods * len(study.seeds), "default": methods * len(study.seeds)}
    recorded = Counter(r["phase"] for r in records.all())
    assert recorded == {**phases, "reference": len(study.seeds)}, "no point of the grid is a default"
    assert {r["status"] for r in records.all()} == {"ok"}
    lines = re.findall(r"^digits +(.+?) +(trial \d|final|default) +seed (\d+) ", (tmp_path / "said").read_text(), re.M)
    assert len(lines) == sum(phases.values()) == len(set(lines)), "a line for every run, and only one"

    there = storage(None, folder)
    ended = [Counter(t.state.name for t in there.get_all_trials(s._study_id)) for s in there.get_all_studies()]
    assert [count["COMPLETE"] for count in ended] == [trials] * methods

    assert run_alone(study, records) == 0, "nothing is left to do"
