"""The workers of a study on a Ray cluster: as many as there is room for, and only on machines that can take part."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.errors import BadInput
from bench.execution.ray_cluster import Cluster, ray
from bench.execution.ray_worker import Report, Worker
from bench.execution.shipping import Needs, packed

POLL = 1.0
"""Seconds between two looks at the cluster."""
STARTS = 3
"""Workers in a row that end before they are ready, after which no more are started."""


@dataclass
class Member:
    """An actor, what it was asked last, and what it trains; without a report it is not ready yet."""

    actor: Any
    asked: Any
    report: Report | None = None
    task: Any = None

    @property
    def idle(self) -> bool:
        """Whether it can be asked for something."""
        return self.report is not None and self.task is None and self.asked is None


class Crew:
    """Workers of one study.

    Args:
        cluster: connected.
        needed: what must be on a machine before it trains.
        device: torch device of every worker.
        threads: of each.
        jobs: workers at most; None for as many as this study's share of the cluster.
        any_processor: whether scores of all processors are of one kind (fp32 on CPUs).
        said: takes a line for the person who waits.
    """

    def __init__(
        self,
        cluster: Cluster,
        needed: Needs,
        *,
        device: str,
        threads: int,
        jobs: int | None = None,
        any_processor: bool = False,
        said: Callable[[str], None] = print,
    ) -> None:
        self.cluster, self.needed, self.device, self.threads = cluster, needed, device, threads
        self.jobs, self.any_processor, self.said = jobs, any_processor, said
        self.members: list[Member] = []
        self.environment: dict[str, Any] = {}
        """Of the machines that the study's runs are of; empty while that is not decided."""
        self.sent: dict[str, tuple[Any, str]] = {}
        self.target = self.failed = 0
        self.looked = 0.0

    @property
    def ready(self) -> list[Member]:
        """Those that have reported."""
        return [member for member in self.members if member.report is not None]

    def staff(self) -> None:
        """As many workers as this study's share of the cluster, now and then counted anew.

        Raises:
            BadInput: no machine can take part.
        """
        now = time.monotonic()
        if now - self.looked < POLL:
            return
        self.looked = now
        with contextlib.suppress(ray().exceptions.RayError, ConnectionError, TimeoutError):  # as it was a moment ago
            room, others = self.cluster.room()
            # Workers that nobody has room for yet make a cluster grow that can.
            self.target = self.jobs if self.jobs and not others else min(self.jobs or room, room)
            if not room and self.cluster.refused:
                raise BadInput(f"no node of the cluster can take part: {'; '.join(self.cluster.refused.values())}")
        while len(self.members) < self.target and self.failed < STARTS:
            actor = self.cluster.actor(Worker, self.needed, self.device, self.threads, threads=self.threads)
            self.members.append(Member(actor, actor.ready.remote()))
        spare = sorted((m for m in self.members if m.task is None), key=lambda member: member.report is not None)
        for member in spare[: max(0, len(self.members) - self.target)]:
            self.dismiss(member)

    def decide(self, known: Sequence[str]) -> dict[str, Any]:
        """Which machines the study's runs are of: of a processor or GPU in `known`, or that most workers have."""
        found = [member.report.environment for member in self.ready if member.report is not None]
        count = Counter(environment["device_name"] for environment in found)
        name = max(count, key=lambda name: (name in known, count[name], name))
        self.environment = next(each for each in found if each["device_name"] == name)
        for member in self.ready:
            self.admit(member)
        return self.environment

    def reported(self, member: Member, report: Report) -> None:
        """A worker says what it has: it is sent what it lacks, or may take part, or not."""
        if report.lacks:
            what = report.lacks[0]
            if what not in self.sent:
                content = packed(what)
                self.sent[what] = ray().put(content), hashlib.sha256(content).hexdigest()
            member.asked = member.actor.receive.remote(what, *self.sent[what])
            return
        member.report, self.failed = report, 0
        self.admit(member)

    def admit(self, member: Member) -> None:
        """Lets a worker go unless it can take part: then no run goes to its machine again."""
        report = member.report
        assert report is not None
        why, name, ours = report.refused, report.environment.get("device_name"), self.environment.get("device_name")
        if why is None and ours and name != ours and not self.any_processor:
            why = f"{name}, where the study's runs are of {ours}; in fp32 every CPU may take part"
        if why is None:
            return
        self.dismiss(member)
        if report.node not in self.cluster.refused:
            self.cluster.refused[report.node] = f"{self.cluster.name_of(report.node)}: {why}"
            self.said(f"left out is {self.cluster.refused[report.node]}")

    def ended(self, member: Member, why: str) -> None:
        """A worker has ended before it was ready.

        Raises:
            BadInput: so have all others.
        """
        self.dismiss(member)
        self.failed += 1
        if self.failed >= STARTS and not self.members:
            raise BadInput(f"no worker can be started on the cluster: {why}")

    def dismiss(self, member: Member) -> None:
        """Ends a worker; another may take its place."""
        self.members = [each for each in self.members if each is not member]
        self.looked = 0.0
        _kill([member])

    def close(self) -> None:
        """Ends all."""
        _kill(self.members)
        self.members = []


def _kill(members: Iterable[Member]) -> None:
    for member in members:
        with contextlib.suppress(Exception):  # it may be dead, and the cluster too
            ray().kill(member.actor, no_restart=True)
