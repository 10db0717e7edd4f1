"""Published claims against our own records: a claim, the figure it states, a rule on intervals, and the answer."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from bench.records import Records
from bench.report.data.differences import comparable
from bench.report.data.groups import Group, current, groups, scored
from bench.report.data.measured import Configuration
from bench.report.data.names import headings
from bench.stats import clipped, has_width, mean_interval, stratified_interval

VERDICTS = ("CONFIRMED", "REFUTED", "INCONCLUSIVE")
Interval = tuple[float, float]


@dataclass(frozen=True)
class Finding:
    """An answer: the verdict, and ours in words beside theirs."""

    verdict: str
    ours: str


@dataclass(frozen=True)
class Claim:
    """What someone published, and how our records decide on it.

    Args:
        name: short, unique.
        statement: what is claimed, in a sentence.
        source: paper, table or section, arXiv id.
        theirs: the figure that it states.
        rule: in words, when it is confirmed and when refuted; else it is inconclusive.
        decide: the rule itself, on the evidence.
    """

    name: str
    statement: str
    source: str
    theirs: str
    rule: str
    decide: Callable[[Evidence], Finding]


@dataclass(frozen=True)
class Evidence:
    """The records of a results folder at one scale."""

    results: Path
    scale: str

    def of(self, study: str) -> tuple[Group, ...]:
        """A study's groups with results, of the latest protocol and one device; none without records."""
        return _groups(self.results / study / self.scale)


@lru_cache(maxsize=32)
def _groups(folder: Path) -> tuple[Group, ...]:
    found = current(groups(Records(folder).all()))
    costs = [group for group in found if group.costs and group.configurations]
    return tuple(comparable(costs or scored(found)))


@dataclass(frozen=True)
class Pick:
    """A configuration by its method and fields; of several the one with the most trainable parameters.

    Args:
        name: of the method, e.g. "LoRA".
        config: fields that it must have, e.g. {"at": ["q", "v"]}; `blocks` is None where nothing is said.
    """

    name: str
    config: Mapping[str, Any] = field(default_factory=dict)

    def of(self, group: Group) -> Configuration | None:
        """The one of a group, if any."""
        wanted = {"blocks": None, **self.config}
        fits = [c for c in group.of(self.name) if all(c.config.get(k) == v for k, v in wanted.items())]
        return max(fits, key=lambda c: c.backbone, default=None)


class Found(NamedTuple):
    """What a contrast found.

    Args:
        interval: 95 %, of the mean difference over tasks; None without records, or with one seed.
        said: the differences in words, in points.
        each: the interval of each task.
    """

    interval: Interval | None
    said: str
    each: tuple[Interval | None, ...]


@dataclass(frozen=True)
class Contrast:
    """One configuration less another on every task of a study that has both and is scored by accuracy.

    Box AP is left out: its differences are of another size than those of accuracy, and cannot be averaged with them.

    Args:
        study: whose records.
        one, other: what is compared.
        tasks: which tasks count, by their group; all without.
        score: of each seed; the accuracy on test without.
    """

    study: str
    one: Pick
    other: Pick
    tasks: Callable[[Group], bool] = lambda group: True
    score: Callable[[Configuration], Mapping[int, float]] = lambda configuration: configuration.by_seed

    def found(self, evidence: Evidence) -> Found:
        """The differences over tasks."""
        groups = [g for g in evidence.of(self.study) if g.metric == "top1" and self.tasks(g)]
        values: list[list[float]] = []
        each, said = [], []
        for group, name in zip(groups, headings(groups), strict=True):
            pair = self.one.of(group), self.other.of(group)
            if pair[0] is None or pair[1] is None:
                continue
            own, others = map(self.score, (pair[0], pair[1]))
            if common := sorted(own.keys() & others.keys()):
                values.append([own[seed] - others[seed] for seed in common])
                each.append(clipped(mean_interval(values[-1]), -1, 1))
                said.append(f"{name} {pair[0].label} − {pair[1].label} {_points(mean(values[-1]), each[-1])}")
        if not values:
            return Found(None, f"no records of both in {self.study} at {evidence.scale}", ())
        interval = clipped(stratified_interval(values), -1, 1)
        text = "; ".join(said)
        over = _points(mean(map(mean, values)), interval)
        text = text if len(values) == 1 else f"{over} over {len(values)} tasks ({text})"
        return Found(interval, text, tuple(each))


def _points(difference: float, interval: Interval | None) -> str:
    """+0.4 (−1.0 to 1.8) points"""
    ends = f" ({100 * interval[0]:+.1f} to {100 * interval[1]:+.1f})" if interval else " (one seed)"
    return f"{100 * difference:+.1f}{ends}"


def beats(interval: Interval) -> str:
    """Greater: confirmed where the whole interval lies above 0, refuted where it lies below."""
    return "CONFIRMED" if interval[0] > 0 else "REFUTED" if interval[1] < 0 else "INCONCLUSIVE"


def at_least(margin: float) -> Callable[[Interval], str]:
    """No worse by more than `margin`: refuted where the whole interval lies below −`margin`."""

    def rule(interval: Interval) -> str:
        return "REFUTED" if interval[1] < -margin else "CONFIRMED" if interval[0] >= -margin else "INCONCLUSIVE"

    return rule


def within(margin: float) -> Callable[[Interval], str]:
    """The same up to `margin`: confirmed where the whole interval lies within, refuted where all of it lies outside."""

    def rule(interval: Interval) -> str:
        if -margin <= interval[0] and interval[1] <= margin:
            return "CONFIRMED"
        return "REFUTED" if interval[0] > margin or interval[1] < -margin else "INCONCLUSIVE"

    return rule


def differences(rule: Callable[[Interval], str], *contrasts: Contrast) -> Callable[[Evidence], Finding]:
    """Decides by a rule on each contrast, by the mean over tasks: confirmed if all are, refuted if one is.

    Tasks must not cancel: what is refuted on one task alone is not confirmed by the mean.
    """

    def decided(found: Found) -> str:
        verdict = _ruled(rule, found.interval)
        against = verdict == "CONFIRMED" and any(_ruled(rule, own) == "REFUTED" for own in found.each)
        return "INCONCLUSIVE" if against else verdict

    def decide(evidence: Evidence) -> Finding:
        found = [contrast.found(evidence) for contrast in contrasts]
        return Finding(together([decided(one) for one in found]), "; ".join(one.said for one in found))

    return decide


def _ruled(rule: Callable[[Interval], str], interval: Interval | None) -> str:
    """Undecided without an interval, or with one of no width: seeds that agree to the last sample are few samples."""
    return rule(interval) if interval and has_width(interval) else "INCONCLUSIVE"


def together(verdicts: Sequence[str]) -> str:
    """One verdict of several: refuted if one is, confirmed if all are."""
    if "REFUTED" in verdicts:
        return "REFUTED"
    return "CONFIRMED" if set(verdicts) == {"CONFIRMED"} else "INCONCLUSIVE"


def load(path: Path) -> tuple[Claim, ...]:
    """The claims that a file declares as `CLAIMS`."""
    spec = importlib.util.spec_from_file_location("studies.claims", path)
    assert spec is not None and spec.loader is not None  # a .py file always has both
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # where dataclasses look for it
    spec.loader.exec_module(module)
    return tuple(module.CLAIMS)


def judged(claims: Sequence[Claim], evidence: Evidence) -> list[tuple[Claim, Finding]]:
    """Every claim with its answer."""
    return [(claim, claim.decide(evidence)) for claim in claims]
