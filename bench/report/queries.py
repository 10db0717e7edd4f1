"""Queries on a study's records, and how their answers are written: what sentences of the documentation are made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench.errors import BadInput, unknown
from bench.records import Records
from bench.report.claims import Evidence
from bench.report.data import differences
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration, Record
from bench.report.tables import costs
from bench.stats import Difference, noise_floor

FULL, PROBE = "full fine-tuning", "linear probe"


@dataclass(frozen=True)
class Facts:
    """What a study's records say at a scale.

    Args:
        results: the results folder.
        study, scale: which of it.
    """

    results: Path
    study: str
    scale: str

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """As every page compares them."""
        return Evidence(self.results, self.scale).of(self.study)

    @cached_property
    def records(self) -> list[Record]:
        """All of them."""
        return list(Records(self.results / self.study / self.scale).all())

    def group(self, task: str) -> Group:
        """A task by its name, or by name and the beginning of what its specification says more, "elpv, train=20"; of
        a study of costs a network by its model's name.
        """
        found = [g for g in self.groups if f"{g.variant},".startswith(f"{task},") or g.model == task]
        if not found:
            raise unknown("task", task, [group.variant for group in self.groups])
        return found[0]

    def one(self, task: str, label: str) -> Configuration:
        """A configuration by the label that figures and tables show."""
        known = {c.label: c for c in self.group(task).configurations}
        if label not in known:
            raise unknown(f"configuration of {self.study}", label, known)
        return known[label]

    def labels(self, task: str, method: str) -> list[str]:
        """The labels of a method's configurations, by the name of its class."""
        return [c.label for c in self.group(task).of(method)]

    def mean(self, task: str, label: str) -> float:
        """Mean of the headline metric on test."""
        return self.one(task, label).score.mean

    def ends(self, task: str, labels: Iterable[str]) -> tuple[float, float]:
        """The lowest and the highest mean."""
        means = [self.mean(task, label) for label in labels]
        return min(means), max(means)

    def best(self, task: str) -> str:
        """The label with the best mean, of those that have every seed."""
        return differences.best(self.group(task)).label

    def difference(self, task: str, label: str, other: str) -> Difference:
        """label − other, paired by seed."""
        found = differences.difference(self.one(task, label), self.one(task, other))
        if found is None:
            raise BadInput(f"{label} and {other} share no seed on {task}")
        return found

    def verdict(self, task: str, label: str, other: str) -> str:
        """Of label − other: "significantly better", …, as `bench.report.data.differences` has it."""
        return differences.verdict(self.difference(task, label, other))

    def verdicts(self, task: str, other: str) -> dict[str, str]:
        """Of all others against one, by label."""
        others = [c.label for c in self.group(task).configurations if c.label != other]
        return {label: self.verdict(task, label, other) for label in others}

    def noise(self, task: str) -> float:
        """Pooled standard deviation from seed to seed."""
        return noise_floor([c.score.values for c in self.group(task).configurations]) or 0.0

    def last(self, task: str) -> tuple[int, int]:
        """In how many final runs the last epoch was the best on validation, and of how many."""
        runs = [run for c in self.group(task).configurations for run in c.runs]
        return sum(run.get("best_epoch") == run["training"]["epochs"] for run in runs), len(runs)

    @property
    def seeds(self) -> int:
        """The most final seeds that any configuration has."""
        return max((len(c.runs) for group in self.groups for c in group.configurations), default=0)

    @property
    def minutes(self) -> float:
        """Of all runs together."""
        return sum((record.get("time") or {}).get("total") or 0.0 for record in self.records) / 60


def short(value: float) -> str:
    """A share to three digits, as ".819"."""
    return f"{value:.3f}".replace("0.", ".", 1)


def points(found: Difference) -> str:
    """A difference with its interval in points: "−0.3 (−4.1 to +3.5)"."""
    ends = found.interval or (float("nan"),) * 2
    said = [f"{100 * value:+.1f}".replace("-", "−") for value in (found.mean, *ends)]
    return f"{said[0]} ({said[1]} to {said[2]})"


def listed(parts: Iterable[str]) -> str:
    """a, b and c"""
    known = list(parts)
    return " and ".join([", ".join(known[:-1])] * (len(known) > 1) + known[-1:]) or "none"


def ordered(facts: Facts, task: str) -> str:
    """All configurations of a task with their means, the best first."""
    means = sorted(((c.score.mean, c.label) for c in facts.group(task).configurations), reverse=True)
    return ", ".join(f"{label} {short(value)}" for value, label in means)


def of(facts: Facts, task: str, verdict: str, than: str) -> str:
    """Which configurations differ so from another one."""
    return listed(label for label, found in facts.verdicts(task, than).items() if found == verdict)


def memory(facts: Facts, network: str, label: str, batch: int = 32) -> float:
    """Estimated memory on a GPU, as a share of full fine-tuning's."""
    own, full = (costs.estimated(facts.one(network, name))[batch]["peak"] for name in (label, FULL))
    return float(own / full)


def latency(facts: Facts, network: str, label: str, form: str) -> float:
    """Of one sample, as a share of the untouched network's."""
    found = costs.latency(facts.one(network, label))
    return float(found[form] / found["base"])


def seconds(facts: Facts, network: str, label: str) -> float:
    """Of a training step, as a share of full fine-tuning's."""
    own, full = (costs.steps(facts.one(network, name))["seconds"] for name in (label, FULL))
    return float(own / full)


def percent(values: Iterable[float]) -> str:
    """ "67, 63 and 60 %" """
    return f"{listed(f'{100 * value:.0f}' for value in values)} %"


def within(values: Iterable[float]) -> str:
    """ "3 to 9 %", of shares above 1"""
    known = [100 * (value - 1) for value in values]
    return f"{min(known):.0f} to {max(known):.0f} %"


def worded(number: int) -> str:
    """A small number as a word."""
    return {1: "one", 2: "two", 3: "three", 4: "four", 5: "five"}.get(number, str(number))
