"""Runs on the workers of a Ray cluster: an executor. Ray places and starts workers; what they do is decided here.

A run whose machine is lost begins anew on another one. One whose process is killed, or that comes to no end, is tried
once more, elsewhere if there is an elsewhere. Nothing is recorded twice, for only what is heard here is recorded.
"""

from __future__ import annotations

import math
import pickle
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bench.errors import BadInput, scrubbed
from bench.execution.executor import TRIES, Ended, Place, Told
from bench.execution.parallelism import Workers
from bench.execution.ray_cluster import ray
from bench.execution.ray_crew import Crew, Member
from bench.execution.ray_worker import Report
from bench.training.loop import Outcome

MOVES = 5
"""How often a run begins whose machine is lost under it: that is no fault of the run's."""
LATE, LEAST = 10.0, 600.0
"""A run comes to no end that takes so many times what it should, and at least so many seconds."""
WAIT = 1.0
"""Seconds to listen before looking around."""
PATIENCE = 60.0
"""Seconds to wait for more workers, and after which a line says that there are none."""


@dataclass
class Task:
    """A job on its way: how often it was killed, how often its machine was lost, and which it shall not go to again."""

    job: Any
    killed: int = 0
    lost: int = 0
    avoided: set[str] = field(default_factory=set)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    begun: float = 0.0
    scores: list[dict[str, float]] = field(default_factory=list)


class OnRay:
    """Trains on the workers of a cluster.

    Args:
        crew: the workers.
        told: hears of every epoch.
        least: seconds that every run may take.
    """

    def __init__(self, crew: Crew, told: Told = lambda job, epoch, scores: None, *, least: float = LEAST) -> None:
        self.crew, self.told, self.least = crew, told, least
        self.waiting: list[Task] = []
        self.alone: float | None = None
        """Since when there is no worker; infinite where that was said."""

    def __enter__(self) -> OnRay:
        return self

    def __exit__(self, *_: object) -> None:
        self.crew.close()

    @property
    def device(self) -> str:
        """Torch's, on every worker."""
        return self.crew.device

    @property
    def workers(self) -> Workers:
        """How many there are, or will be."""
        return Workers(max(1, self.crew.target), self.crew.threads, asked=True)

    def open(self, known: Sequence[str] = ()) -> dict[str, Any]:
        """Starts workers and waits for them. Returns the environment that runs have on them.

        Args:
            known: processors or GPUs that runs are recorded of: these go on, where there are such.

        Raises:
            BadInput: no machine can take part.
        """
        begun, said = time.monotonic(), False
        while True:
            self.crew.staff()
            ready, late = self.crew.ready, time.monotonic() - begun > PATIENCE
            if ready and (late or len(ready) == len(self.crew.members)):
                return self.crew.decide(known)
            if late and not said:
                self.crew.said(f"waiting for room on the cluster for {len(self.crew.members)} workers")
                said = True
            list(self._listen())

    @property
    def free(self) -> bool:
        """Whether there is, or will be, a worker for one more job."""
        return len(self.waiting) + sum(each.task is not None for each in self.crew.members) < max(1, self.crew.target)

    def start(self, job: Any) -> None:
        """Takes a job, for the next worker that has nothing to do."""
        self.waiting.append(Task(job))
        self._hand_out()

    def ended(self) -> list[Ended]:
        """Waits until a job has ended; nothing if nothing runs. Epochs that end meanwhile are told and answered."""
        over: list[Ended] = []
        while not over and (self.waiting or any(each.task for each in self.crew.members)):
            self.crew.staff()
            self._say_alone()
            self._hand_out()
            over += self._listen()
            over += self._late()
        return over

    def places(self) -> list[Place]:
        """What each worker trains, and what waits for one."""
        name = self.crew.cluster.name_of
        there = [
            Place(each.task.job, f"{name(each.report.node)}, process {each.report.process}", each.task.started)
            for each in self.crew.ready
            if each.task is not None and each.report is not None
        ]
        return there + [Place(task.job, "", task.started) for task in self.waiting]

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Does something else than train on a worker, such as timing steps. Returns what the function returns."""
        errors = ray().exceptions
        for _ in range(TRIES):
            member = next(each for each in self.crew.ready if each.idle)
            try:
                return ray().get(member.actor.call.remote(pickle.dumps((function, arguments))))
            except errors.RayTaskError as error:
                raise (error.cause if isinstance(error.cause, BadInput) else error) from None
            except errors.RayError as error:
                lost = _line(error)
                self.crew.dismiss(member)
                self.open([self.crew.environment["device_name"]])
        raise BadInput(f"a worker ended {TRIES} times while steps were timed: {lost}")

    def _say_alone(self) -> None:
        """Says once that all workers are gone."""
        if self.crew.ready:
            self.alone = None
        elif self.alone is None:
            self.alone = time.monotonic()
        elif time.monotonic() - self.alone > PATIENCE:
            self.alone = math.inf
            self.crew.said("no worker is left: waiting for machines; Ctrl-C ends the study, and loses nothing")

    def _listen(self) -> Iterator[Ended]:
        """What one worker says, or nothing for a moment."""
        asked = {each.asked: each for each in self.crew.members if each.asked is not None}
        if not asked:
            time.sleep(WAIT / 10)
            return
        ready, _ = ray().wait(list(asked), num_returns=1, timeout=WAIT)
        for reference in ready:
            member = asked[reference]
            member.asked = None
            yield from self._hear(member, reference)

    def _hear(self, member: Member, reference: Any) -> Iterator[Ended]:
        errors = ray().exceptions
        try:
            said = ray().get(reference)
        except errors.RayTaskError as error:
            yield from self._broken(member, error.cause or error)
        except errors.RayError as error:
            text = str(error).lower()
            full = isinstance(error, errors.OutOfMemoryError) or "low on memory" in text or "memory monitor" in text
            away = isinstance(error, errors.ActorUnavailableError) or ("node" in text and "died" in text)
            away = away and "its worker process has died" not in text
            yield from self._gone(member, _line(error), memory=full, machine=away and not full)
        else:
            yield from self._said(member, said)

    def _said(self, member: Member, said: Any) -> Iterator[Ended]:
        task: Task | None = member.task
        if isinstance(said, Report):
            self.crew.reported(member, said)
        elif isinstance(said, Outcome) and task is not None:
            member.task = None
            yield Ended(task.job, said, task.started, self._of(member))
        elif task is not None:
            epoch, scores = said
            task.scores.append(scores)
            member.asked = member.actor.go_on.remote(self.told(task.job, epoch, task.scores))

    def _hand_out(self) -> None:
        """Gives what waits to workers that have nothing to do; what was tried goes elsewhere, if it can."""
        for task in list(self.waiting):
            idle = [each for each in self.crew.ready if each.idle]
            if not idle:
                return
            member = min(idle, key=lambda each: each.report is not None and each.report.node in task.avoided)
            self.waiting.remove(task)
            task.begun, task.started, task.scores = time.monotonic(), datetime.now(UTC), []
            member.task, member.asked = task, member.actor.begin.remote(pickle.dumps(task.job.run))

    def _late(self) -> Iterator[Ended]:
        """Ends what comes to no end."""
        for member in self.crew.members:
            expected = getattr(member.task.job, "expected", 0.0) if member.task is not None else 0.0
            took = time.monotonic() - member.task.begun if expected else 0.0
            if expected and took > max(LATE * expected, self.least):
                why = f"it came to no end in {took:.0f} s, where {expected:.0f} were expected"
                yield from self._gone(member, why)

    def _broken(self, member: Member, error: BaseException) -> Iterator[Ended]:
        """A call has failed in our own code: that is the run's outcome, or else the machine cannot take part."""
        task, member.task = member.task, None
        reason = f"{type(error).__name__}: {_line(error)}"
        if task is None:
            self.crew.ended(member, reason)
        else:
            yield Ended(task.job, Outcome(status="failed", reason=reason), task.started, self._of(member))

    def _gone(self, member: Member, why: str, *, memory: bool = False, machine: bool = False) -> Iterator[Ended]:
        """A worker is no more. Its run begins anew, unless it has been tried often enough."""
        task, member.task = member.task, None
        if member.report is None:
            self.crew.ended(member, why)
            return
        beside = self._of(member)
        self.crew.dismiss(member)
        if task is None:
            return
        task.avoided.add(member.report.node)
        task.lost, task.killed = task.lost + machine, task.killed + (not machine)
        if task.killed < TRIES and task.lost < MOVES:
            self.waiting.insert(0, task)
            return
        reason = f"tried {task.killed + task.lost} times: {why}"
        yield Ended(task.job, Outcome("out_of_memory" if memory else "failed", reason), task.started, beside)

    def _of(self, member: Member) -> dict[str, Any] | None:
        """The environment of a run there: `jobs` are the workers of the study on that machine."""
        if member.report is None:
            return None
        beside = sum(each.report is not None and each.report.node == member.report.node for each in self.crew.ready)
        return member.report.environment | {"jobs": max(1, beside)}


def _line(error: BaseException) -> str:
    """What an error says, in one line: of one that Ray brings with its traceback, the last line, which names it."""
    text = str(error)
    named = re.findall(r"^(?:\w+\.)*\w*(?:Error|Exception|Exit)\b.*", text, re.MULTILINE)
    return scrubbed(named[-1] if named else " ".join(text.split()) or type(error).__name__)[:300]
