"""What goes wrong on a Ray cluster, for longer than the suite has time: `make test-cluster`, some minutes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from bench.errors import BadInput
from bench.execution.ray_cluster import Wanted
from bench.execution.ray_launch import on_ray
from bench.execution.runner import Watcher
from bench.records import Records
from bench.study.trials import of_cells
from bench.training.run import Run
from tests.support.local_cluster import MEMORY, found, local_cluster, node_of
from tests.support.tiny_study import STUDY, execute, tuned

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.xdist_group("ray"),
    pytest.mark.usefixtures("one_thread"),
]
NODE = {"num_cpus": 1, "object_store_memory": MEMORY, "include_log_monitor": False, "wait": False}


@dataclass
class Job:
    """A run as an executor is given it."""

    run: Run
    expected: float = 0.0


def long_run(epochs=100_000):
    """A run that goes on until it is ended."""
    cell, trials = next(iter(of_cells(tuned(epochs=epochs), "cpu").items()))
    return trials.finals(cell, {})[0]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with local_cluster(tmp_path_factory.mktemp("cache")) as cluster:
        yield cluster


def test_two_hundred_runs_and_five_kills(cluster, tmp_path):
    """Two nodes and three workers die, two nodes join: nothing lost, nothing twice, ids and scores equal."""
    study = replace(STUDY, seeds=tuple(range(49)))
    alone, records = Records(tmp_path / "alone"), Records(tmp_path / "ray")
    for each in (alone, records):
        each.prepare()
    _, by_one = execute(alone, study)
    killed, said, ended = [], [], []

    def epoch(run, number):
        if len(ended) < 25 * (len(killed) + 1) or len(killed) == 5:
            return
        node = node_of(on, cluster, run)
        if node is None:
            return
        member = next(m for m in on.crew.ready if m.task is not None and m.task.job.run == run)
        if len(killed) % 2:
            killed.append("node")
            cluster.remove_node(node, allow_graceful=False)
            cluster.add_node(**NODE)
        else:
            killed.append("worker")
            os.kill(member.report.process, signal.SIGKILL)
        ended.append(run)

    with on_ray([study], Wanted(cluster.address), scale="smoke", said=said.append) as on:
        watcher = Watcher(epoch=epoch, started=ended.append)
        begun = time.monotonic()
        _, done = execute(records, study, executor=on, watcher=watcher)
        took = time.monotonic() - begun
    print(f"\n{len(done)} runs, killed: {', '.join(killed)}; {took:.0f} s on four workers; said: {said}")
    assert Counter(killed) == {"worker": 3, "node": 2} and len(by_one) == 200
    assert len(done) == len(by_one) and max(Counter(map(repr, done)).values()) == 1
    assert found(records) == found(alone)


def test_a_node_of_another_version_is_left_out_by_name(cluster, tmp_path):
    other = tmp_path / "torchmetrics-99.9.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: torchmetrics\nVersion: 99.9\n")
    odd = cluster.add_node(**NODE, env_vars={"PYTHONPATH": str(tmp_path)})
    said = []
    try:
        with on_ray([STUDY], Wanted(cluster.address), scale="smoke", said=said.append) as on:
            assert {member.report.node for member in on.crew.ready} == {
                each.node_id for each in [cluster.head_node, *cluster.worker_nodes] if each is not odd
            }
        (line,) = said
        assert re.fullmatch(
            rf"left out is \S+ \(node {odd.node_id[:6]}\): torchmetrics 99.9, where the study has [\d.]+", line
        )
    finally:
        cluster.remove_node(odd)


def test_a_run_without_an_end_is_tried_once_elsewhere(cluster):
    with on_ray([STUDY], Wanted(cluster.address), scale="smoke", jobs=2) as on:
        on.least, where = 3.0, []
        on.told = lambda job, epoch, scores: where.append(next(p.where for p in on.places() if p.where)) and None
        on.start(Job(long_run(), expected=0.01))
        (ended,) = on.ended()
    assert ended.outcome.status == "failed"
    assert re.match(r"tried 2 times: it came to no end in \d+ s, where 0 were expected", ended.outcome.reason)
    assert len({place.split(",")[0] for place in where}) == 2, "on two machines"


def test_memory_pressure_is_out_of_memory(tmp_path):
    """Ray's own monitor, on a node that may use hardly more than is used already."""
    near = psutil.virtual_memory().percent / 100 + 0.04
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_memory_usage_threshold", f"{near:.3f}")
        patch.setenv("RAY_memory_monitor_refresh_ms", "100")
        with (
            local_cluster(tmp_path / "cache", nodes=0) as cluster,
            on_ray([STUDY], Wanted(cluster.address), scale="smoke") as on,
        ):
            held = []

            def hoards(job, epoch, scores):
                """Takes memory of the machine until the monitor ends the worker; gives it back for its successor."""
                held.append(bytearray(os.urandom(1)) * 300 * 2**20)

            def gone(member, why, **more):
                held.clear()
                return ends(member, why, **more)

            ends, on._gone, on.told = on._gone, gone, hoards
            on.start(Job(long_run()))
            (ended,) = on.ended()
    assert ended.outcome.status == "out_of_memory" and "low on memory" in ended.outcome.reason


def command(cluster, results):
    """`bench run` on the cluster."""
    own = {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell's background job, as which tests may run, has none
    line = [sys.executable, "-m", "bench", "run", "learning-rate", "--scale", "smoke", "--family", "images"]
    line += ["--no-mlflow", "--launcher", "ray", "--address", cluster.address, "--results", str(results)]
    return subprocess.Popen(
        line, cwd=ROOT, env=os.environ | own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_command_that_is_ended_leaves_no_worker_and_what_is_recorded(cluster, tmp_path, how):
    records = Records(tmp_path / "learning-rate" / "smoke")
    first = command(cluster, tmp_path)
    while len([r for r in records.all() if r["phase"] != "reference"]) < 3:
        assert first.poll() is None, first.stdout.read()
        time.sleep(0.05)
    first.send_signal(how)
    said = first.communicate(timeout=60)[0]
    assert first.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL)
    if how == signal.SIGINT:
        assert "interrupted; what is recorded stays" in said
    there = found(records)
    end = time.monotonic() + 30
    while working() and time.monotonic() < end:
        time.sleep(0.2)
    assert not working(), "a worker has outlived its study"
    second = command(cluster, tmp_path)
    said = second.communicate(timeout=300)[0]
    assert second.returncode == 0, said
    assert there.items() <= found(records).items() and len(found(records)) == 18 + 2


def working():
    """Actors of studies that still live on this machine's clusters."""
    names = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            names.append(" ".join(process.cmdline()))
    return [name for name in names if name.startswith("ray::Worker")]


def test_a_cluster_that_no_machine_of_can_take_part_is_said(tmp_path):
    other = tmp_path / "torchmetrics-0.1.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: torchmetrics\nVersion: 0.1\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        with (
            local_cluster(tmp_path / "cache", nodes=0) as cluster,
            pytest.raises(BadInput, match=r"no node of the cluster can take part: \S+ \(node \w+\): torchmetrics 0.1"),
            on_ray([STUDY], Wanted(cluster.address), scale="smoke"),
        ):
            raise AssertionError
