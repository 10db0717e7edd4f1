"""A Ray cluster in small: a head and nodes, each with processes of its own, on this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.execution.ray_executor import OnRay
from bench.records import Records

MEMORY = 80 * 2**20
"""Bytes of every node's object store: the least that Ray takes."""
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_raylet_start_wait_time_s": "120", "OMP_NUM_THREADS": "1"}


@contextlib.contextmanager
def local_cluster(cache: Path, *, nodes: int = 3, cpus: int = 1) -> Iterator[Any]:
    """A head and so many nodes, with `cpus` each. Their cache of assets is `cache`."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**QUIET, "LORA_BENCH_CACHE": str(cache)}.items():
            patch.setenv(name, value)
        patch.setattr("bench.assets.cache._asked", {})  # what earlier tests asked for, the nodes need not have
        patch.setattr("bench.execution.ray_executor.PATIENCE", 300.0)  # nodes start late on a machine that others use
        own = {"num_cpus": cpus, "object_store_memory": MEMORY, "include_log_monitor": False}
        cluster = Cluster(initialize_head=True, head_node_args=own | {"include_dashboard": False})
        try:
            for _ in range(nodes):
                cluster.add_node(wait=False, **own)
            yield cluster
        finally:
            cluster.shutdown()


def node_of(on: OnRay, cluster: Any, run: Any) -> Any:
    """The node on which a run goes on; None where that is the head, which is not to be lost."""
    for member in on.crew.ready:
        if member.task is not None and member.task.job.run == run and member.report is not None:
            return next((node for node in cluster.worker_nodes if node.node_id == member.report.node), None)
    return None


def found(records: Records) -> dict[str, Any]:
    """What must be the same, by id."""
    keys = ("status", "metrics", "phase", "seed", "training", "method", "trial", "outcomes")
    return {r["run_id"]: {key: r.get(key) for key in keys} for r in records.all()}
