"""What a person sees while a study runs: a line for every run, a bar with the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from bench.costs.units import readable
from bench.study import Cell
from bench.study.plan import Row, hours_minutes
from bench.study.recording import Record
from bench.training.run import Run


class Progress:
    """A bar over all runs of a study, or, where there is no terminal, the time left at the end of each line.

    Args:
        rows: the plan. Runs of different methods take different times: the time left is what the plan foresees for
            the rest, corrected by how the runs so far compared with it.
        jobs: runs at once.
    """

    def __init__(self, rows: Sequence[Row], *, jobs: int = 1) -> None:
        self.jobs = jobs
        todo = sum(row.todo for row in rows)
        self.speeds = {(row.cell.task, row.cell.model, row.cell.method): row.speed for row in rows}
        self.foreseen = sum(row.seconds or 0.0 for row in rows)
        self.spent, self.expected = 0.0, 0.0
        self.since, self.terminal = time.perf_counter(), sys.stderr.isatty()
        shape = "{desc} {percentage:3.0f}%|{bar:24}| {n_fmt}/{total_fmt} runs{postfix}"
        runs = todo + sum(row.done for row in rows)
        self.bar: Any = tqdm(total=runs, bar_format=shape, dynamic_ncols=True, disable=not self.terminal)
        self.say(self.left())

    def say(self, what: str) -> None:
        """Shows something behind the bar."""
        self.bar.set_postfix_str(what)

    def say_line(self, text: str) -> None:
        """Prints a line above the bar."""
        self.bar.write(text, file=sys.stdout)
        sys.stdout.flush()

    def left(self, within: float = 0.0) -> str:
        """Time left; `within` is the expected time of the part of the running one that is done."""
        return f"about {hours_minutes(self.seconds_left(within))} left"

    def seconds_left(self, within: float = 0.0) -> float:
        """The same as a number."""
        return max(0.0, self.foreseen - self.expected - within) * self.pace / self.jobs

    @property
    def pace(self) -> float:
        """How many times as long as foreseen the runs took so far."""
        return self.spent / self.expected if self.expected else 1.0

    def expects(self, run: Run) -> float:
        """Seconds that the plan foresees for a run; a trial for a method that is not itself in the plan: a mean."""
        speed = self.speeds.get((run.task, run.model, run.method))
        return speed.run(test=run.test) if speed else self.foreseen / max(1, self.bar.total or 1)

    def started(self, run: Run) -> None:
        """Names the run on the bar."""
        self.bar.set_description_str(f"{run.method!r} seed {run.seed}")
        self.say(self.left())

    def epoch(self, run: Run, epoch: int) -> None:
        """Moves on within a run."""
        part = epoch / run.training.epochs
        self.say(f"epoch {epoch}/{run.training.epochs}, {self.left(part * self.expects(run))}")

    def finished(self, run: Run, record: Record, fresh: bool) -> None:
        """One line for a run that was done now; a step of the bar for every one."""
        if fresh:
            took = record.get("time") or {}
            self.spent += (took.get("total") or 0.0) - (took.get("data") or 0.0)  # data are read once by each worker
            self.expected += self.expects(run)
            tail = "" if self.terminal else f"  ({self.left()})"
            self.say_line(line(run, record) + tail)
        self.bar.update()
        self.say(self.left())

    def spared(self, cell: Cell) -> None:
        """A run that was planned need not be."""
        speed = self.speeds.get((cell.task, cell.model, cell.method))
        self.foreseen -= speed.run(test=True) if speed else 0.0
        self.bar.total -= 1
        self.bar.refresh()

    def close(self) -> None:
        """Takes the bar off the screen."""
        self.bar.set_description_str("all runs")
        self.say(hours_minutes(time.perf_counter() - self.since))
        self.bar.close()


def line(run: Run, record: Record) -> str:
    """A run in one line: what, phase, seed, learning rate, scores or what went wrong, time."""
    if record["phase"] == "costs":
        return cost_line(record)
    metric = run.task.metric
    scores = [f"{part} {record['metrics'][part][metric]:.3f}" for part in ("val", "test") if part in record["metrics"]]
    if record.get("trial") and "loss" in record["metrics"].get("val", {}):  # by which trials may be judged
        scores.append(f"loss {record['metrics']['val']['loss']:.3f}")
    found = " ".join(scores) if record["status"] == "ok" else f"{record['status']}: {record['reason']}"
    what = f"trial {record['trial']['number']}" if record.get("trial") else record["phase"]
    where = f"{run.task.name:8} {run.method!r:34} {what:8} seed {run.seed:<4}"
    return f"{where} lr {run.training.lr:<8.4g} {found}  {record['time']['total']:.0f} s"


def cost_line(record: Record) -> str:
    """The costs of a cell in one line: time of a step, memory."""
    step, memory = record.get("step") or {}, record.get("memory") or {}
    said = [f"step {step['seconds']:.3f} s"] if "seconds" in step else []
    said += [f"memory {readable(memory['peak'])} {memory['kind']}"] if memory.get("peak") else []
    found = ", ".join(said) if record["status"] == "ok" else f"{record['status']}: {record['reason']}"
    return f"{record['model']['name']:22} {record['method']['spec']:40} {found}  {record['time']['total']:.0f} s"


def baseline_line(record: Record) -> str:
    """A baseline in one line."""
    task, metric = record["task"]["name"], record["task"]["metric"]
    scores = " ".join(f"{part} {values[metric]:.3f}" for part, values in record["metrics"].items())
    scores = scores or f"{record['status']}: {record['reason']}"
    return f"{task:8} {record['method']['label']}: seed {record['seed']} {scores}  {record['time']['total']:.0f} s"
