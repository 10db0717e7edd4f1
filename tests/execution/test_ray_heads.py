"""A cluster as a lab has it, whose head `ray start` has started: by Ray's client, and what becomes of a study when the
head is gone. For longer than the suite has time: `make test-cluster`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.records import Records
from tests.support.local_cluster import found
from tests.support.ray_head import OPEN, free_ports, head

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.xdist_group("ray")]
RUNS = 18 + 2
"""Of the study below, with the majority class on two seeds."""


def command(results, *more):
    """`bench run` of a study in small."""
    line = [sys.executable, "-m", "bench", "run", "learning-rate", "--scale", "smoke", "--family", "images"]
    line += ["--no-mlflow", "--results", str(results), *more]
    own = os.environ | OPEN | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(line, cwd=ROOT, env=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def on(where, kind):
    """Options that name a cluster, by its own port or by that of Ray's client."""
    address = f"ray://127.0.0.1:{where.client}" if kind == "client" else f"127.0.0.1:{where.port}"
    return "--launcher", "ray", "--address", address


def test_by_rays_client_the_records_are_those_of_this_machine(tmp_path, monkeypatch):
    alone = command(tmp_path / "alone", "--jobs", "1")
    assert alone.wait(timeout=300) == 0, alone.stdout.read()
    with head(tmp_path / "cache", ports=free_ports(2)) as there:
        monkeypatch.setenv("RAY_ADDRESS", f"ray://127.0.0.1:{there.client}")
        ran = command(tmp_path / "ray", "--launcher", "ray")
        assert ran.wait(timeout=300) == 0, ran.stdout.read()
    each = [found(Records(tmp_path / name / "learning-rate" / "smoke")) for name in ("alone", "ray")]
    assert len(each[0]) == RUNS and each[0] == each[1]


@pytest.mark.parametrize(("kind", "status"), [("itself", 1), ("client", 2)])
def test_a_head_that_dies_and_comes_back(tmp_path, kind, status):
    """It is said within seconds; Ray gives up after a minute. The same command goes on once there is a head again."""
    ports, records = free_ports(2), Records(tmp_path / "learning-rate" / "smoke")
    with head(tmp_path / "cache", ports=ports) as there:
        first = command(tmp_path, *on(there, kind))
        while len([r for r in records.all() if r["phase"] != "reference"]) < 3:
            assert first.poll() is None, first.stdout.read()
            time.sleep(0.05)
        there.kill()
        said = first.communicate(timeout=120)[0]
    assert first.returncode == status and "does not answer any more" in said and "the same command goes on" in said
    before = found(records)
    with head(tmp_path / "cache", ports=ports) as there:
        second = command(tmp_path, *on(there, kind))
        said = second.communicate(timeout=300)[0]
    assert second.returncode == 0, said
    assert before.items() <= found(records).items() and len(found(records)) == RUNS
