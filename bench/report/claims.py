"""Published claims against our own records: a claim, the figure it states, a rule on intervals, and the answer."""

from __future__ import annotations

import importlib.util
import re
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
from bench.report.data.paired_outcomes import of_difference
from bench.report.rules import Interval, Rule, together
from bench.stats import Mean, clipped, has_width, over_tasks, seeds_alone

Score = Callable[[Configuration], Mapping[int, float]]


@dataclass(frozen=True)
class Finding:
    """An answer: the verdict, and ours in words beside theirs.

    Args:
        runs: ids of the distinct runs behind it; one that two studies share counts once.
        effects: differences with their intervals, one a contrast; none where the rule is on something else.
    """

    verdict: str
    ours: str
    runs: frozenset[str] = frozenset()
    effects: tuple[tuple[float, Interval], ...] = ()


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
        effect: the difference that the source states, as a share (.02 are two points), at which power is computed;
            None where the rule is not on a difference.
        assumed: whether the source states no such difference, and `effect` is ours, for power alone.
        counter: who found otherwise.
    """

    name: str
    statement: str
    source: str
    theirs: str
    rule: str
    decide: Callable[[Evidence], Finding]
    effect: float | None = None
    assumed: bool = False
    counter: str = ""


@dataclass(frozen=True)
class Evidence:
    """The records of a results folder at one scale."""

    results: Path
    scale: str

    def of(self, study: str) -> tuple[Group, ...]:
        """A study's groups with results, of the latest protocol and one device; none without records."""
        return _groups(self.results / study / self.scale)

    def protocols(self, studies: Sequence[str]) -> dict[int, list[str]]:
        """By protocol, of which studies the groups are that claims are held against."""
        found: dict[int, list[str]] = {}
        for name in studies:
            for protocol in sorted({group.protocol for group in self.of(name)}):
                found.setdefault(protocol, []).append(name)
        return dict(sorted(found.items()))

    def behind(self, finding: Finding) -> str:
        """How many distinct runs decide, and which studies share them: what is shared is no replication."""
        held = self.sharing(finding.runs)
        if not held:
            return ""
        said = f"{len(finding.runs)} distinct"
        shared = ", ".join(f"{n} of {name}" for name, n in held.items())
        return f"{said}; held by several studies: {shared}" if sum(held.values()) > len(finding.runs) else said

    def sharing(self, runs: frozenset[str]) -> dict[str, int]:
        """By study, how many of these runs it holds: where the sum is more than the runs, studies share some."""
        folders = {path.parent.name: path / "runs" for path in self.results.glob(f"*/{self.scale}")}
        held = {name: len(runs & {file.stem for file in folder.glob("*.json")}) for name, folder in folders.items()}
        return {name: n for name, n in sorted(held.items()) if n}


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


def lora_at(*roles: str) -> Pick:
    """LoRA at these roles, in all blocks, with the larger budget."""
    return Pick("LoRA", {"at": list(roles)})


def fewest(group: Group) -> bool:
    """At most ten training samples a class; the sets in low-data have two or ten classes."""
    found = re.search(r"train=(\d+)", group.records[0]["task"]["spec"])
    return found is not None and int(found[1]) <= (100 if group.task == "mnist-5k" else 20)


class Found(NamedTuple):
    """What a contrast found.

    Args:
        interval: 95 %, of the mean difference over tasks; None without records, or with one seed.
        said: the differences in words, in points.
        each: the interval of each task.
        mean: over tasks, with its variance; None without an interval.
        runs: ids of what it was made from.
    """

    interval: Interval | None
    said: str
    each: tuple[Interval | None, ...]
    mean: Mean | None = None
    runs: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Contrast:
    """One configuration less another on every task of a study that has both and is scored by accuracy.

    Box AP is left out: its differences are of another size than those of accuracy, and cannot be averaged with them.

    Args:
        study: whose records.
        one, other: what is compared.
        tasks: which tasks count, by their group; all without.
        score: of each seed; the accuracy on test without, paired by test sample too where records keep outcomes.
        against: of each seed of `other`, where it is another than `score`.
    """

    study: str
    one: Pick
    other: Pick
    tasks: Callable[[Group], bool] = lambda group: True
    score: Score | None = None
    against: Score | None = None

    def found(self, evidence: Evidence) -> Found:
        """The differences over tasks, a fixed set."""
        groups = [g for g in evidence.of(self.study) if g.metric == "top1" and self.tasks(g)]
        means: list[Mean | None] = []
        said, runs, values = [], set[str](), []
        for group, name in zip(groups, headings(groups), strict=True):
            one, other = self.one.of(group), self.other.of(group)
            by_seed = self._by_seed(one, other) if one and other else {}
            if not by_seed or one is None or other is None:
                continue
            crossed = of_difference(one.runs, other.runs, "top1") if self.score is None else None
            means.append(crossed or seeds_alone(list(by_seed.values())))
            values.append(mean(by_seed.values()))
            runs |= {run["run_id"] for c in (one, other) for run in c.runs if run["seed"] in by_seed}
            said.append(f"{name} {one.label} − {other.label} {_points(values[-1], means[-1])}")
        if not values:
            return Found(None, f"no records of both in {self.study} at {evidence.scale}", ())
        known = [one for one in means if one]
        over = over_tasks(known) if len(known) == len(means) else None
        text = "; ".join(said)
        text = text if len(values) == 1 else f"{_points(mean(values), over)} over {len(values)} tasks ({text})"
        return Found(_interval(over), text, tuple(map(_interval, means)), over, frozenset(runs))

    def _by_seed(self, one: Configuration, other: Configuration) -> dict[int, float]:
        """The difference on each seed that both have."""
        score = self.score or (lambda configuration: configuration.by_seed)
        own, others = score(one), (self.against or score)(other)
        return {seed: own[seed] - others[seed] for seed in sorted(own.keys() & others.keys())}


def _interval(of: Mean | None) -> Interval | None:
    return clipped(of.interval(), -1, 1) if of else None


def _points(difference: float, of: Mean | None) -> str:
    """+0.4 (−1.0 to 1.8; 3 seeds) points"""
    interval = _interval(of)
    if interval is None or of is None:
        return f"{100 * difference:+.1f} (one seed)"
    size = f"{of.seeds} seeds" + (f" × {of.samples:,} samples" if of.samples else "")
    return f"{100 * difference:+.1f} ({100 * interval[0]:+.1f} to {100 * interval[1]:+.1f}; {size})"


@dataclass(frozen=True)
class Differences:
    """Decides by a rule on each contrast, by the mean over tasks (`bench.report.rules`)."""

    rule: Rule
    contrasts: tuple[Contrast, ...]

    def __call__(self, evidence: Evidence) -> Finding:
        """On these records."""
        found = [contrast.found(evidence) for contrast in self.contrasts]
        verdict = together([_ruled(self.rule, one.interval) for one in found])
        effects = tuple((one.mean.mean, one.interval) for one in found if one.mean and one.interval)
        runs = frozenset[str]().union(*(one.runs for one in found))
        return Finding(verdict, "; ".join(one.said for one in found), runs, effects)


def differences(rule: Rule, *contrasts: Contrast) -> Differences:
    """A claim on differences: confirmed if all contrasts are, refuted if one is."""
    return Differences(rule, contrasts)


def _ruled(rule: Rule, interval: Interval | None) -> str:
    """Undecided without an interval, or with one of no width: seeds that agree to the last sample are few samples."""
    return rule(interval) if interval and has_width(interval) else "INCONCLUSIVE"


def load(path: Path) -> tuple[Claim, ...]:
    """The claims that a file declares as `CLAIMS`."""
    spec = importlib.util.spec_from_file_location(f"studies.{path.stem}", path)
    assert spec is not None and spec.loader is not None  # a .py file always has both
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # where dataclasses look for it
    spec.loader.exec_module(module)
    return tuple(module.CLAIMS)


def judged(claims: Sequence[Claim], evidence: Evidence) -> list[tuple[Claim, Finding]]:
    """Every claim with its answer."""
    return [(claim, claim.decide(evidence)) for claim in claims]
