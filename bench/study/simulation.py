"""A study on any number of workers, on paper: a discrete simulation by the rules that the runner goes by.

A search's trials run side by side as far as its batch allows, a trial's tuning seeds one after another, a cell's own
runs once its values are chosen; whatever can begin first, in the study's order, does. Start-up is left out.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class SearchRuns:
    """The trials of one search.

    Args:
        name: for a person.
        trials: of each trial the seconds of its runs, one a tuning seed.
        batch: trials that may run side by side; the next batch waits for all of them.
    """

    name: str
    trials: tuple[tuple[float, ...], ...]
    batch: int

    @property
    def chain(self) -> float:
        """Seconds that it takes on any number of workers."""
        spans = [sum(trial) for trial in self.trials]
        return sum(max(spans[at : at + self.batch]) for at in range(0, len(spans), self.batch))


@dataclass(frozen=True)
class CellRuns:
    """A cell's own runs, in seconds, and the number of the search that they wait for."""

    search: int
    runs: tuple[float, ...]


@dataclass(frozen=True)
class Schedule:
    """What a study runs.

    Args:
        searches: the searches.
        cells: in the order of the study.
        recorded: how many of the runs' seconds are recorded; the others are estimated.
    """

    searches: tuple[SearchRuns, ...]
    cells: tuple[CellRuns, ...]
    recorded: int = 0

    @cached_property
    def seconds(self) -> list[float]:
        """Of every run."""
        trials = [run for search in self.searches for trial in search.trials for run in trial]
        return trials + [run for cell in self.cells for run in cell.runs]

    @property
    def chains(self) -> list[tuple[float, str]]:
        """Of each search: seconds from its first trial to its cells' longest run, on any number of workers."""
        longest = [0.0] * len(self.searches)
        for cell in self.cells:
            longest[cell.search] = max(longest[cell.search], *cell.runs, 0.0)
        return sorted(((s.chain + last, s.name) for s, last in zip(self.searches, longest, strict=True)), reverse=True)

    def beside(self, other: Schedule) -> Schedule:
        """Two studies at once, the other one behind this one."""
        moved = tuple(CellRuns(cell.search + len(self.searches), cell.runs) for cell in other.cells)
        return Schedule(self.searches + other.searches, self.cells + moved, self.recorded + other.recorded)


@dataclass(frozen=True)
class Simulated:
    """What a schedule takes on so many workers.

    Args:
        workers: how many.
        makespan: seconds to its end.
        busy: worker-seconds of runs.
        bound: idle worker-seconds while searches go on: what waits then, waits for trials of its batch.
        tail: idle worker-seconds after the last search, while the last runs end.
    """

    workers: int
    makespan: float
    busy: float
    bound: float
    tail: float

    @property
    def idle(self) -> float:
        """Share of the workers' time in which they have nothing to do."""
        return (self.bound + self.tail) / max(self.workers * self.makespan, 1e-9)


def up_to(most: int) -> list[int]:
    """One worker, and doubled until there are so many."""
    found = [1]
    while found[-1] * 2 < most:
        found.append(found[-1] * 2)
    return found + [most] * (most > 1)


@dataclass
class _Search:
    """A search as it goes on: runs of each trial that are done, and trials that run."""

    of: SearchRuns
    done: list[int] = field(default_factory=list)
    running: set[int] = field(default_factory=set)
    begins: int = 0

    def __post_init__(self) -> None:
        self.done = [0] * len(self.of.trials)
        self._advance()

    @property
    def over(self) -> bool:
        return self.begins >= len(self.of.trials)

    def take(self) -> int | None:
        """The next trial with a run to do."""
        for number in range(self.begins, min(self.begins + self.of.batch, len(self.of.trials))):
            if number not in self.running and self.done[number] < len(self.of.trials[number]):
                self.running.add(number)
                return number
        return None

    def ended(self, number: int) -> None:
        self.running.discard(number)
        self.done[number] += 1
        self._advance()

    def _advance(self) -> None:
        end = min(self.begins + self.of.batch, len(self.of.trials))
        while not self.over and all(self.done[n] >= len(self.of.trials[n]) for n in range(self.begins, end)):
            self.begins, end = end, min(end + self.of.batch, len(self.of.trials))


def simulate(schedule: Schedule, workers: int) -> Simulated:
    """The makespan of a schedule and where its workers are idle.

    Args:
        schedule: what is to be run.
        workers: how many run it, all alike.
    """
    searches = [_Search(each) for each in schedule.searches]
    left = [list(cell.runs) for cell in schedule.cells]
    ends: list[tuple[float, int, int, int]] = []  # when, a number that tells apart, search or -1, trial
    now = bound = tail = 0.0
    counted = itertools.count()

    def hand_out() -> None:
        while len(ends) < workers and (found := _next(schedule.cells, searches, left)) is not None:
            seconds, search, trial = found
            heapq.heappush(ends, (now + seconds, next(counted), search, trial))

    while True:
        hand_out()
        if not ends:
            break
        end, _, search, trial = heapq.heappop(ends)
        idle = (workers - len(ends) - 1) * (end - now)
        if all(each.over for each in searches):
            tail += idle
        else:
            bound += idle
        now = end
        hand_out()  # as the runner does, before it records what has ended
        if search >= 0:
            searches[search].ended(trial)
    return Simulated(workers, now, sum(schedule.seconds), bound, tail)


def _next(cells: Sequence[CellRuns], searches: list[_Search], left: list[list[float]]) -> tuple[float, int, int] | None:
    """The first run in the order of the study that can begin: its seconds, its search or -1, its trial."""
    for cell, runs in zip(cells, left, strict=True):
        search = searches[cell.search]
        if not search.over:
            number = search.take()
            if number is not None:
                return search.of.trials[number][search.done[number]], cell.search, number
        elif runs:
            return runs.pop(0), -1, 0
    return None
