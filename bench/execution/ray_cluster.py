"""A Ray cluster: reached or started, and how many runs it has room for. Ray is imported when one is asked for."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bench
from bench.errors import BadInput, say_once, scrubbed

NAMESPACE = "lora-bench"
"""Of the workers of all studies on a cluster, by whose names they know of one another."""
CLIENT = "ray://"
"""How an address of Ray's client begins."""
GONE = "the head of the Ray cluster at {place} does not answer any more"
MISSED = 2
"""Answers in a row that may fail to come before that is said."""
ANSWERS = 5.0
"""Seconds in which an address must answer."""


@dataclass(frozen=True)
class Wanted:
    """What is asked of Ray.

    Args:
        address: "auto", host:port or ray://host:port; None for $RAY_ADDRESS, a cluster that was started on this
            machine, or else one that is started now and ends with the study.
        gpus: of each run, parts of one too; None for one where the cluster has some.
        cpus: of each run, and its threads.
    """

    address: str | None = None
    gpus: float | None = None
    cpus: int = 1

    def __post_init__(self) -> None:
        if self.cpus < 1:
            raise BadInput(f"--cpus-per-run {self.cpus}: a run has at least one")
        if self.gpus is not None and not 0 <= self.gpus <= 1:
            raise BadInput(f"--gpus-per-run {self.gpus:g}: from 0 to 1, for a run trains on one GPU at most")


def ray() -> Any:
    """The library.

    Raises:
        BadInput: it is not installed.
    """
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")  # a cluster that is lost is not replaced by a new one here
    try:
        return importlib.import_module("ray")
    except ImportError:
        raise BadInput("--launcher ray needs Ray: pip install 'lora-bench[ray]', on every machine") from None


@dataclass
class Cluster:
    """A cluster that this process is connected to.

    Args:
        cpus, gpus: of each run.
        refused: nodes that get no run, and why.
    """

    cpus: int
    gpus: float
    key: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    """Tells this study's workers from others'."""
    refused: dict[str, str] = field(default_factory=dict)
    started: int = 0

    def nodes(self) -> list[dict[str, Any]]:
        """Those that are alive."""
        return [node for node in ray().nodes() if node["Alive"]]

    def slots(self, node: dict[str, Any]) -> int:
        """Runs that a node has room for, if nobody else is there."""
        has = node["Resources"]
        most = int(has.get("CPU", 0) / self.cpus + 1e-6)
        return min(most, int(has.get("GPU", 0) / self.gpus + 1e-6)) if self.gpus else most

    def room(self) -> tuple[int, int]:
        """This study's share of the cluster, in runs at once, and other studies there: each has as much."""
        nodes = [node for node in self.nodes() if node["NodeID"] not in self.refused]
        every, others = sum(map(self.slots, nodes)), self.others()
        return max(min(1, every), every // (1 + others)), others

    def others(self) -> int:
        """Other studies that have workers here, or wait for some."""
        named = ray().util.list_named_actors(all_namespaces=True)
        keys = {each["name"].partition("/")[0] for each in named if each["namespace"] == NAMESPACE}
        return len(keys - {self.key})

    def name_of(self, node: str) -> str:
        """What a person calls a node."""
        called = next((str(each["NodeName"]) for each in ray().nodes() if each["NodeID"] == node), "?")
        return f"{called} (node {node[:6]})"

    def actor(self, of: type, *arguments: Any, threads: int) -> Any:
        """One more worker, wherever Ray finds room for it, but for nodes that are refused."""
        self.started += 1
        elsewhere = {"label_selector": {"ray.io/node-id": f"!in({','.join(self.refused)})"}} if self.refused else {}
        options: dict[str, Any] = {
            **{"num_cpus": self.cpus, "num_gpus": self.gpus, "max_restarts": 0, "max_task_retries": 0},
            **{"name": f"{self.key}/{self.started}", "namespace": NAMESPACE},
            "runtime_env": {"env_vars": {"OMP_NUM_THREADS": str(threads)}},
        }
        return ray().remote(of).options(**options, **elsewhere).remote(*arguments)


@contextlib.contextmanager
def connected(wanted: Wanted) -> Iterator[Cluster]:
    """Reaches the cluster, or starts one on this machine, for as long as it is used. The code of `bench` goes with it.

    Raises:
        BadInput: no Ray, no answer, another version there; no GPU where one is asked for, no node with so many CPUs.
    """
    library = ray()
    ours, place = not library.is_initialized(), wanted.address or os.environ.get("RAY_ADDRESS") or ""
    if ours:
        _reach(library, place or None)
    if not place.startswith(CLIENT):
        place = library.get_runtime_context().gcs_address
    try:
        with _watched(place):
            yield _checked(library, wanted)
    except Exception as error:  # whatever Ray makes of it
        if isinstance(error, BadInput) or _listens(place):
            raise
        raise BadInput(f"{GONE.format(place=place)}: what is recorded stays, and the same command goes on") from error
    finally:
        if ours:
            with contextlib.suppress(Exception):  # of a cluster that is lost
                library.shutdown()


@contextlib.contextmanager
def _watched(place: str) -> Iterator[None]:
    """Says it once where the head of the cluster does not answer any more: Ray ends this process after a minute."""
    over, missed = threading.Event(), 0

    def watch() -> None:
        nonlocal missed
        while not over.wait(ANSWERS):
            missed = 0 if _listens(place) else missed + 1
            if missed == MISSED:
                say_once(
                    f"{GONE.format(place=place)}: if it stays away, this process ends within a minute; what is "
                    "recorded stays, and the same command goes on"
                )

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()


def _listens(place: str) -> bool:
    """Whether something answers at an address."""
    try:
        _knock(place)
    except OSError:
        return False
    return True


def _knock(place: str) -> None:
    """Raises OSError unless something answers at host:port."""
    host, _, port = place.removeprefix(CLIENT).rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWERS).close()


def _reach(library: Any, address: str | None) -> None:
    if address and address not in ("auto", "local"):
        _answers(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # one that is started here reports to nobody
    code = Path(bench.__file__).parent
    options: dict[str, Any] = {
        **{"log_to_driver": False, "logging_level": "ERROR", "namespace": NAMESPACE},
        "runtime_env": {"py_modules": [str(code)], "excludes": ["**/__pycache__"]},
    }
    if address == "auto" or address is None:
        options |= {} if address else {"include_dashboard": False}
    try:
        library.init(address=address, **options)
    except Exception as error:  # of Ray, gRPC, the system: whatever keeps it from being reached
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        what = "no Ray cluster is running here" if address == "auto" else f"Ray at {address!r} cannot be used"
        if address is None:
            what = "Ray cannot be started here"
        raise BadInput(
            f"{what} ({scrubbed(lines[0])[:200]}): start one with `ray start --head`, name one with --address "
            "(RAY_AUTH_MODE=token where it asks for a token), or leave --address out for one of this machine alone"
        ) from None


def _answers(address: str) -> None:
    """Raises BadInput unless something answers at host:port."""
    host, _, port = address.removeprefix(CLIENT).rpartition(":")
    if not host or not port.isdigit():
        raise BadInput(f"--address {address!r}: say auto, HOST:PORT, or ray:// before that")
    if address.startswith(CLIENT) and importlib.util.find_spec("grpc") is None:
        raise BadInput("--address ray://… needs Ray's client: pip install 'lora-bench[ray]'")
    try:
        _knock(address)
    except OSError as error:
        why = error.strerror or str(error) or "no answer"
        raise BadInput(
            f"--address {address!r}: nothing answers there ({why}): is the cluster up, and the port right?"
        ) from None


def _checked(library: Any, wanted: Wanted) -> Cluster:
    nodes = [node["Resources"] for node in library.nodes() if node["Alive"]]
    most_gpus = max((has.get("GPU", 0.0) for has in nodes), default=0.0)
    most_cpus = max((has.get("CPU", 0.0) for has in nodes), default=0.0)
    gpus = (1.0 if most_gpus else 0.0) if wanted.gpus is None else wanted.gpus
    if gpus and not most_gpus:
        raise BadInput(f"--gpus-per-run {gpus:g}: no node of the cluster has a GPU; leave it out to run on CPUs")
    if wanted.cpus > most_cpus:
        raise BadInput(f"--cpus-per-run {wanted.cpus}: the largest node of the cluster has {most_cpus:g}")
    cluster = Cluster(wanted.cpus, gpus)
    if not sum(map(cluster.slots, cluster.nodes())):
        raise BadInput(
            f"no node of the cluster has {wanted.cpus} CPUs and {gpus:g} GPUs together: ask for fewer of them"
        )
    return cluster
