"""A worker on a Ray node: an actor that trains one run at a time, and knows nothing of studies or records.

Training goes on in a thread of its own. Each call waits for the next thing that it says: an epoch, which waits for an
answer, or the outcome. So every answer comes from whoever holds the executor, in the order of the epochs.
"""

from __future__ import annotations

import importlib
import os
import pickle
import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch

from bench.execution.executor import attempt
from bench.execution.processes import SLOW
from bench.execution.shipping import Here, Needs
from bench.training.device import environment
from bench.training.loop import Outcome
from bench.training.run import Run

Message = tuple[int, dict[str, float]] | Outcome
"""An epoch with its scores, or the end."""


@dataclass(frozen=True)
class Report:
    """What a worker says of itself before it trains.

    Args:
        node: Ray's id of its machine.
        process: its number there.
        environment: as a record keeps it; empty where it is refused before that.
        lacks: what must be sent to it.
        refused: why it cannot take part; None where it can.
    """

    node: str
    process: int
    environment: dict[str, Any]
    lacks: tuple[str, ...] = ()
    refused: str | None = None


class Worker:
    """Trains runs, one at a time.

    Args:
        needed: what must be here.
        device: torch device.
        threads: torch's.
    """

    def __init__(self, needed: Needs, device: str, threads: int) -> None:
        self.here, self.device = Here(needed), device
        torch.set_num_threads(threads)
        importlib.import_module(SLOW)
        self.thread = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(threads,))
        self.said: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def ready(self) -> Report:
        """Whether this machine has what is needed, of the same versions."""
        at = importlib.import_module("ray").get_runtime_context().get_node_id(), os.getpid()
        if differs := self.here.differs():
            return Report(*at, {}, refused=differs)
        if lacks := self.here.lacks():
            return Report(*at, {}, lacks=tuple(lacks))
        return Report(*at, environment(self.device), refused=self.here.wrong())

    def receive(self, what: str, content: bytes, sha256: str) -> Report:
        """Takes what was lacking."""
        self.here.receive(what, content, sha256)
        return self.ready()

    def begin(self, packed: bytes) -> Message:
        """Starts a run. Returns what it says first."""
        self.thread.submit(self._train, packed)
        return self.said.get()

    def go_on(self, answer: str | None) -> Message:
        """Answers an epoch. Returns what the run says next."""
        self.answers.put(answer)
        return self.said.get()

    def call(self, packed: bytes) -> Any:
        """Does something else here than train: a function and its arguments, packed."""
        function, arguments = pickle.loads(packed)
        return function(*arguments)

    def _train(self, packed: bytes) -> None:
        run: Run = self.here.run(pickle.loads(packed))
        self.said.put(attempt(run, device=self.device, on_epoch=self._told()))

    def _told(self) -> Callable[[int, dict[str, float]], str | None]:
        def told(epoch: int, scores: dict[str, float]) -> str | None:
            self.said.put((epoch, scores))
            return self.answers.get()

        return told
