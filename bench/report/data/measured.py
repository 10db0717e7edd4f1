"""What was measured: a mean over seeds, of a configuration or of a baseline."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mean
from typing import Any

from bench.records.environment import machine
from bench.report.data.paired_outcomes import of_one
from bench.report.style import extent, label
from bench.stats import Mean, clipped, mean_interval

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its 95% interval, over test samples too where these are kept; none for a single seed.

    Args:
        values: one a seed.
        low, high: between what every value must lie, so that the interval is cut there.
        crossed: the same over seeds and test samples, where the records keep outcomes.
    """

    values: tuple[float, ...]
    low: float = -math.inf
    high: float = math.inf
    crossed: Mean | None = None

    @property
    def mean(self) -> float:
        """The mean over seeds."""
        return mean(self.values)

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """Over seeds and samples; else Student's over seeds, which holds the mean as often as it says with few."""
        if self.crossed is not None:
            return clipped(self.crossed.interval(), self.low, self.high)
        return clipped(mean_interval(self.values), self.low, self.high)


@dataclass(frozen=True, eq=False)
class Configuration:
    """One method with one set of fields, trained in one way: what a point in a figure stands for.

    Args:
        runs: its final runs that ended well, one a seed.
        metric: the task's headline metric.
        detail: what tells it from others of the same method, such as "r=8"; empty where nothing does.
    """

    name: str
    detail: str
    metric: str
    runs: tuple[Record, ...]

    @property
    def label(self) -> str:
        """What readers see: "LoRA r=8"."""
        return label(self.name, str(self.runs[0]["method"]["spec"]), self.detail)

    @property
    def at_edge(self) -> bool:
        """Whether a chosen value lies at the edge of its search space: a better one may lie outside."""
        return bool((self.runs[0].get("tuning") or {}).get("edge"))

    @property
    def config(self) -> Mapping[str, Any]:
        """The method's fields."""
        return self.runs[0]["method"].get("config") or {}

    @property
    def searched(self) -> frozenset[str]:
        """What was tuned: hyper-parameters whose values were found, not asked for."""
        return searched(self.runs[0])

    @property
    def rank(self) -> int | None:
        """The rank, where the method has one."""
        rank = self.config.get("rank")
        return rank if isinstance(rank, int) else None

    @property
    def backbone(self) -> int:
        """Trainable parameters of the backbone: those left at the end, where a method removes some."""
        return int(self.runs[0]["parameters"]["backbone"])

    @property
    def start(self) -> int:
        """Trainable parameters of the backbone when training starts."""
        return int(self.runs[0]["parameters"].get("start") or self.backbone)

    @property
    def size(self) -> str:
        """What trains of the backbone, as tables write it: "294,912", or "294,912 (442,368 at the start)"."""
        return f"{self.backbone:,}" + (f" ({self.start:,} at the start)" if self.start != self.backbone else "")

    @property
    def head(self) -> int:
        """Trainable parameters of the head."""
        return int(self.runs[0]["parameters"]["head"])

    @cached_property
    def score(self) -> Estimate:
        """The headline metric on test, a value a seed."""
        values = tuple(self.by_seed.values())
        return Estimate(values, *extent(self.metric), crossed=of_one(self.runs, self.metric))

    @property
    def by_seed(self) -> dict[int, float]:
        """The headline metric on test of every seed."""
        return _by_seed(self.runs, self.metric)

    def on_test(self, metric: str) -> dict[int, float]:
        """Any metric on test, by the seeds for which it is defined."""
        return _by_seed([run for run in self.runs if run["metrics"]["test"].get(metric) is not None], metric)

    def beyond(self, other: Configuration | Baseline) -> Estimate | None:
        """By how much it scores higher than another or a baseline, paired by seed; None where they share no seed."""
        theirs = other.by_seed
        differences = tuple(value - theirs[seed] for seed, value in self.by_seed.items() if seed in theirs)
        return Estimate(differences, -(most := bound(self.metric)), most) if differences else None

    @property
    def old_task(self) -> str:
        """The name of the task of which it is known what the network still knows; "" without one."""
        return str((self.runs[0].get("retained") or {}).get("name") or "")

    @property
    def retained(self) -> dict[int, float]:
        """By seed, the old task's headline metric after training on the new one, under the untouched network's head."""
        return self.on_old_task("retained")

    @property
    def untouched(self) -> dict[int, float]:
        """By seed, the same of the untouched network."""
        return self.on_old_task("untouched")

    def on_old_task(self, split: str) -> dict[int, float]:
        """By seed, the old task's headline metric, as `bench.training.retention` names what was measured."""
        metric = str((self.runs[0].get("retained") or {}).get("metric"))
        found = {run["seed"]: (run["metrics"].get(split) or {}).get(metric) for run in self.runs}
        return {seed: float(value) for seed, value in found.items() if value is not None}

    @cached_property
    def seconds(self) -> Estimate | None:
        """Training time, a value a seed, of the machine that most of them ran on; None where none was recorded."""
        machines = Counter(machine(run["environment"]) for run in self.runs)
        runs = [run for run in self.runs if machine(run["environment"]) == machines.most_common(1)[0][0]]
        times = [(run.get("time") or {}).get("train") for run in runs]
        known = tuple(float(time) for time in times if time is not None)
        return Estimate(known) if known else None

    @cached_property
    def memory(self) -> int | None:
        """Peak training memory in bytes, the largest over seeds; None where none is known."""
        peaks = [(run.get("memory") or {}).get("peak") for run in self.runs]
        return max((int(peak) for peak in peaks if peak is not None), default=None)

    @property
    def memory_kind(self) -> str:
        """How it is known: "measured", "foretold", "tracked", "extended"; "" where it is not."""
        return str((self.runs[0].get("memory") or {}).get("kind") or "") if self.memory is not None else ""


@dataclass(frozen=True, eq=False)
class Baseline:
    """A baseline that needs no network, on the same task: a line in figures, never a point.

    Args:
        number: its place among all the study's baselines, by which it looks the same in all figures.
        metric: the task's headline metric.
        runs: its runs that ended well, one a seed.
    """

    number: int
    metric: str
    runs: tuple[Record, ...]

    @property
    def label(self) -> str:
        """What figures call it."""
        return label_of(self.runs[0])

    @cached_property
    def score(self) -> Estimate:
        """The headline metric on test, a value a seed."""
        return _score(self.runs, self.metric)

    @property
    def by_seed(self) -> dict[int, float]:
        """The headline metric on test of every seed."""
        return _by_seed(self.runs, self.metric)


def samples(record: Record) -> int | None:
    """Of the training part, where the record says so."""
    provenance = record.get("provenance") or {}
    known = provenance.get("train_samples", provenance.get("train_images"))  # as the first records call it
    return None if known is None else int(known)


def tested(record: Record) -> int | None:
    """Samples of the test part, where the record says so."""
    provenance = record.get("provenance") or {}
    known = provenance.get("test_samples", provenance.get("test_images"))
    return None if known is None else int(known)


def bound(metric: str) -> float:
    """The largest difference that there can be of a metric: 1 of accuracy; infinite where nothing is known of it."""
    low, high = extent(metric)
    return high - low


def searched(record: Record) -> frozenset[str]:
    """The names of what a search chose for a run."""
    return frozenset((record.get("tuning") or {}).get("space") or ())


def _score(runs: Sequence[Record], metric: str) -> Estimate:
    return Estimate(tuple(_by_seed(runs, metric).values()), *extent(metric))


def _by_seed(runs: Sequence[Record], metric: str) -> dict[int, float]:
    return {run["seed"]: float(run["metrics"]["test"][metric]) for run in runs}


def on_test(of: Configuration | Baseline, metric: str) -> Estimate | None:
    """Any metric on test, over the seeds for which it is defined; None where there are none."""
    runs = [run for run in of.runs if run["metrics"]["test"].get(metric) is not None]
    return _score(runs, metric) if runs else None


def label_of(record: Record) -> str:
    """What figures call a baseline; its specification where the record gives no label."""
    return str(record["method"].get("label") or record["method"]["spec"])
