"""What a person sees while a study runs: a line for every run, a bar with the time left."""

from __future__ import annotations

import sys
import time
from typing import Any

from tqdm import tqdm

from bench.plan import hours_minutes
from bench.runner import Record
from bench.train import Run


class Progress:
    """A bar over all runs of a study, or, where there is no terminal, the time left at the end of each line.

    Args:
        runs: how many there are, those recorded before among them.
        seconds: estimated time of those still to do, for the time left until the first ones are done.
        todo: how many are still to do.
    """

    def __init__(self, *, runs: int, todo: int, seconds: float) -> None:
        self.todo, self.estimate, self.spent, self.fresh = todo, seconds, 0.0, 0
        self.since, self.terminal = time.perf_counter(), sys.stderr.isatty()
        shape = "{desc} {percentage:3.0f}%|{bar:24}| {n_fmt}/{total_fmt} runs{postfix}"
        self.bar: Any = tqdm(total=runs, bar_format=shape, dynamic_ncols=True, disable=not self.terminal)
        self.say(self.left())

    def say(self, what: str) -> None:
        """Shows something behind the bar."""
        self.bar.set_postfix_str(what)

    def left(self, within: float = 0.0) -> str:
        """Time left, from the estimate and, more and more, from how long runs really took."""
        done = self.fresh + within
        if self.fresh:
            per_run = (time.perf_counter() - self.since) / max(done, 1e-9)
            remaining = per_run * (self.todo - done)
        else:
            remaining = max(0.0, self.estimate - (time.perf_counter() - self.since))
        return f"about {hours_minutes(remaining)} left"

    def started(self, run: Run) -> None:
        """Names the run on the bar."""
        self.bar.set_description_str(f"{run.method!r} seed {run.seed}")
        self.say(self.left())

    def epoch(self, run: Run, epoch: int) -> None:
        """Moves on within a run."""
        part = epoch / run.training.epochs
        self.say(f"epoch {epoch}/{run.training.epochs}, {self.left(part)}")

    def finished(self, run: Run, record: Record, fresh: bool) -> None:
        """One line for a run that was done now; a step of the bar for every one."""
        self.fresh += fresh
        if fresh:
            tail = "" if self.terminal else f"  ({self.left()})"
            self.bar.write(line(run, record) + tail, file=sys.stdout)
            sys.stdout.flush()
        self.bar.update()
        self.say(self.left())

    def close(self) -> None:
        """Takes the bar off the screen."""
        self.bar.set_description_str("all runs")
        self.say(hours_minutes(time.perf_counter() - self.since))
        self.bar.close()


def line(run: Run, record: Record) -> str:
    """A run in one line: what, phase, seed, learning rate, scores or what went wrong, time."""
    metric = run.task.metric
    scores = [f"{part} {record['metrics'][part][metric]:.3f}" for part in ("val", "test") if part in record["metrics"]]
    found = " ".join(scores) if record["status"] == "ok" else f"{record['status']}: {record['reason']}"
    where = f"{run.task.name:8} {run.method!r:34} {record['phase']:5} seed {run.seed:<4}"
    return f"{where} lr {run.training.lr:<7g} {found}  {record['time']['total']:.0f} s"
