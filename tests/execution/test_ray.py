"""Runs on a real Ray cluster, a head and three nodes, two of which die: the same runs and scores as in one process.

One cluster and its four workers serve all tests here; what takes longer is in `test_ray_faults.py` (`make
test-cluster`).
"""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from bench.execution.ray_cluster import Wanted
from bench.execution.ray_launch import on_ray
from bench.execution.runner import Watcher
from bench.records import Records
from tests.support.local_cluster import found, local_cluster, node_of
from tests.support.tiny_study import STUDY, execute

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray"), pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with local_cluster(tmp_path_factory.mktemp("cache")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def said():
    return []


@pytest.fixture(scope="module")
def on(cluster, said):
    """Four workers, kept over the tests."""
    with on_ray([STUDY], Wanted(cluster.address), scale="smoke", said=said.append) as on:
        yield on


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The study in this process."""
    import torch

    torch.set_num_threads(1)
    records = Records(tmp_path_factory.mktemp("alone") / "tiny" / "smoke")
    records.prepare()
    execute(records)
    return found(records)


def test_four_workers_find_what_one_process_finds(on, alone, records):
    assert len(on.crew.ready) == 4 and on.workers.jobs == 4
    places = []
    _, done = execute(records, executor=on, watcher=Watcher(places=places.append))
    assert found(records) == alone
    assert len({place.where for now in places for place in now if place.where}) == 4, "each has a part in it"
    assert {r["environment"]["threads"] for r in records.all() if r["phase"] != "reference"} == {1}
    assert execute(records, executor=on)[1] == [] and len(done) == 12


def test_two_nodes_die_in_the_middle_and_nothing_is_lost_or_done_twice(on, cluster, alone, records, said):
    lost = []

    def epoch(run, number):
        node = node_of(on, cluster, run) if len(lost) < 2 else None
        if node is not None:
            lost.append(run)
            cluster.remove_node(node, allow_graceful=False)

    _, done = execute(records, executor=on, watcher=Watcher(epoch=epoch))
    assert len(lost) == 2 and found(records) == alone
    assert max(Counter(map(repr, done)).values()) == 1 and len(done) == 12
    assert {r["status"] for r in records.all()} == {"ok"} and said == []


def test_two_studies_at_once_share_a_cluster(on, cluster, alone, records, tmp_path):
    other, ready, told = Records(tmp_path / "other" / "smoke"), threading.Event(), []
    other.prepare()

    def beside():
        with on_ray([STUDY], Wanted(cluster.address), scale="smoke", said=told.append) as second:
            ready.set()
            execute(other, executor=second)

    thread = threading.Thread(target=beside)
    thread.start()
    while not ready.wait(0.1):
        assert thread.is_alive(), "the second study has ended early"
        on.crew.staff()
    execute(records, executor=on)
    thread.join(60)
    assert found(records) == found(other) == alone and told == []
