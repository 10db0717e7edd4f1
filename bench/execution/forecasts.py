"""Memory of a plan's cells, estimated by a second process while this one times steps.

This process goes through the cells from the first to the last, the other one from the last to the first, until they
meet. What it finds is what `forecast_once` finds, which knows it from then on; its warnings are said here. What an
earlier plan has estimated is taken from the user's cache (`bench.training.forecast_cache`).
"""

from __future__ import annotations

import contextlib
import pickle
import warnings
from collections.abc import Sequence
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any

from bench.errors import SAID, say_once
from bench.execution.processes import begun, warm
from bench.training import forecast_cache
from bench.training.memory_forecast import KNOWN, Forecast, alike, forecast_once
from bench.training.run import Run

WORTH = 3
"""Cells from which on it is worth asking another process."""


class Beside:
    """A process that estimates memory beside this one; with one run at a time, or without `with`, there is none.

    Args:
        device: torch device that the estimates are for.
        jobs: runs at once.
        soon: whether there will be something to do, so that the process may begin now; else it does when it is asked.
    """

    def __init__(self, device: str, jobs: int, *, soon: bool = False) -> None:
        self.device, self.wanted, self.soon = device, jobs > 1, soon
        self.starting = Thread(target=self._start, daemon=True)  # it imports torch, which takes seconds
        self.link: Connection | None = None
        self.process: Any = None
        self.number, self.at, self.waiting = 0, -1, False
        self.places: dict[Run, int] = {}
        self.asked: set[Run] = set()

    def __enter__(self) -> Beside:
        if self.wanted and self.soon:
            self._begin()
        return self

    def __exit__(self, *_: object) -> None:
        forecast_cache.write({key: KNOWN[key] for run in self.asked if (key := (run, self.device)) in KNOWN})
        if self.starting.is_alive():
            self.starting.join()
        if self.process is not None:
            self.process.kill()
            self.process.join()
        self.link = None

    def _begin(self) -> None:
        warm(threads=1)
        self.starting.start()

    def _start(self) -> None:
        with contextlib.suppress(OSError, EOFError):  # no room for one more process: all is done here
            self.process, self.link = begun(_serve, self.device, threads=1)

    def ask(self, runs: Sequence[Run]) -> None:
        """Has the other process begin with the last of these runs; what was asked before is over."""
        each = list(dict.fromkeys(alike(run) for run in runs))
        KNOWN.update(forecast_cache.read((run for run in each if (run, self.device) not in KNOWN), self.device))
        each = [run for run in each if (run, self.device) not in KNOWN]
        self.asked.update(each)
        self.number, self.at = self.number + 1, -1
        self.places = {run: n for n, run in enumerate(each)}
        self.waiting = self.wanted and len(each) >= WORTH
        if self.waiting and self.starting.ident is None:
            self._begin()

    def forecast(self, run: Run, *, device: str) -> Forecast:
        """As `forecast_once`; what the other process has done, or is at, is taken from it.

        Raises:
            BadInput: the method does not fit the model.
        """
        same = alike(run)
        place = self.places.get(same, -1)
        self._hear(place)
        if (same, device) in KNOWN:
            return KNOWN[same, device]
        if self.waiting and self.link is not None:
            self.waiting = False
            self._send(left := [(n, each) for each, n in self.places.items() if n > place])
            self.at = left[-1][0] if left else -1
        elif place >= 0:
            self._send(place)
        return forecast_once(run, device=device)

    def _send(self, what: list[tuple[int, Run]] | int) -> None:
        """What there is to do, or the place of a run that is done here."""
        try:
            if self.link is not None:
                self.link.send((self.number, what))
        except (OSError, pickle.PicklingError, AttributeError, TypeError):  # gone, or of a class within a function
            self.link = None

    def _hear(self, place: int) -> None:
        """Takes what has come, and waits for the run at `place` where the other process is at it."""
        while self.link is not None and (self.link.poll() or 0 <= place == self.at):
            try:
                number, at, found, said = self.link.recv()
            except (EOFError, OSError):  # it is gone: the rest is done here
                self.link = None
                return
            for text in said:
                say_once(text)
            if number == self.number:
                self.at = at - 1
                if found is not None:
                    KNOWN[list(self.places)[at], self.device] = found


def _serve(link: Connection, device: str) -> None:
    """The other process: a list of runs in, an estimate of each out, the last first; None where it fails."""
    warnings.showwarning = lambda *_, **__: None  # they are sent
    told, asked = set(SAID), _Asked(link)
    while True:
        number, at, run = asked.next()
        try:
            found = forecast_once(run, device=device)
        except Exception:  # the same call in the other process says why
            found = None
        link.send((number, at, found, sorted(SAID - told)))
        told |= SAID


class _Asked:
    """What is still to be done of the list that was asked for last."""

    def __init__(self, link: Connection) -> None:
        self.link, self.number = link, 0
        self.left: list[tuple[int, Run]] = []

    def next(self) -> tuple[int, int, Run]:
        """The last run that the other process has not taken; waits until there is one."""
        while not self.left or self.link.poll():
            number, what = self.link.recv()
            if isinstance(what, list):
                self.number, self.left = number, what
            elif number == self.number:
                self.left = [(at, run) for at, run in self.left if at != what]
        return self.number, *self.left.pop()
