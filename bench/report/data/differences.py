"""Differences that can be stood on: against full fine-tuning, against the best, over tasks; paired by seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.report.data.groups import Group, pooled
from bench.report.data.measured import Configuration, bound, tested
from bench.report.data.paired_outcomes import of_difference
from bench.report.data.wording import span
from bench.report.style import LOWER_IS_BETTER
from bench.stats import Difference, crossed_difference, holm, mean_difference

FULL = "FullFineTuning"
BETTER, WORSE = "significantly better", "significantly worse"
SAME, UNDECIDED = "no significant difference", "undecided"
VERDICTS = (BETTER, WORSE, SAME, UNDECIDED)
Key = tuple[str, str]


@dataclass(frozen=True)
class Comparison:
    """A configuration less another on one task; positive is better, whatever the metric.

    Args:
        difference: paired by seed; None where they share no seed.
        corrected: Holm's p among all that were held against the same one; None without a difference.
    """

    configuration: Configuration
    difference: Difference | None
    corrected: float | None = None

    @property
    def verdict(self) -> str:
        """`BETTER`, `WORSE`, `SAME` or `UNDECIDED`."""
        return verdict(self.difference)

    @property
    def said(self) -> str:
        """The verdict in words: "undecided: 2 seeds, 16 test samples" says of how little is known."""
        return undecided([self]) or self.verdict


def verdict(found: Difference | None) -> str:
    """What a 95 % interval says of a difference; every page, table, command and mark asks this function.

    `UNDECIDED` where there is no interval (one seed), where it has no width (seeds that agree to the last sample), or
    where it holds 0 and reaches to what cannot be exceeded (an accuracy that differs by 1): such an interval tells of
    few seeds and few samples, not of methods that are alike.
    """
    if found is None or not found.decided:
        return UNDECIDED
    if not found.seen:
        return SAME
    return BETTER if found.mean > 0 else WORSE


def undecided(found: Sequence[Comparison]) -> str:
    """ "undecided: 2 seeds, 16 test samples", of those that are undecided; "" where none is."""
    few = [one for one in found if one.verdict == UNDECIDED]
    if not few:
        return ""
    seeds = span(one.difference.pairs if one.difference else 0 for one in few)
    known = [n for one in few for run in one.configuration.runs if (n := tested(run)) is not None]
    samples = f", {span(known)} test samples" if known else ""
    return f"{UNDECIDED}: {seeds} seed{'s' * (seeds != '1')}{samples}"


def sign(metric: str) -> int:
    """-1 for metrics of which less is better."""
    return -1 if metric in LOWER_IS_BETTER else 1


def whole(configurations: Sequence[Configuration]) -> list[Configuration]:
    """Those with as many seeds as any has: a mean without the seed on which a run diverged is of easier data."""
    most = max((len(c.runs) for c in configurations), default=0)
    return [c for c in configurations if len(c.runs) == most]


def best(group: Group) -> Configuration:
    """The configuration with the best mean on test, of those that have every seed."""
    return max(whole(group.configurations), key=lambda c: sign(group.metric) * c.score.mean)


def full(group: Group) -> Configuration | None:
    """Full fine-tuning, where it was run; of several trainings of it the best."""
    return max(whole(group.of(FULL)), key=lambda c: sign(group.metric) * c.score.mean, default=None)


def difference(one: Configuration, other: Configuration) -> Difference | None:
    """one − other, paired by seed and, where records keep outcomes, by test sample; positive is better."""
    return on_metric(one, other, one.metric)


def on_metric(one: Configuration, other: Configuration, metric: str) -> Difference | None:
    """The same of any metric on test, such as "loss" (NLL); None where no seed has it of both."""
    crossed = of_difference(one.runs, other.runs, metric, sign(metric))
    if crossed is not None:
        return crossed_difference(crossed, bound=bound(metric))
    mine, theirs = one.on_test(metric), other.on_test(metric)
    values = [sign(metric) * (value - theirs[seed]) for seed, value in mine.items() if seed in theirs]
    return mean_difference(values, np.random.default_rng(0), bound=bound(metric)) if values else None


def kept(one: Configuration, other: Configuration, way: str = "retained") -> Difference | None:
    """By how much more accuracy on the old task one has than the other, on the seeds that both have.

    Args:
        way: how the old task is read after training (`bench.report.data.retention.WAYS`).
    """
    mine, theirs = one.on_old_task(way), other.on_old_task(way)
    values = [mine[seed] - theirs[seed] for seed in sorted(mine.keys() & theirs.keys())]
    most = bound(str((one.runs[0].get("retained") or {}).get("metric")))
    return mean_difference(values, np.random.default_rng(0), bound=most) if values else None


def against(group: Group, base: Configuration) -> list[Comparison]:
    """Every other configuration of a group less `base`, corrected for their number."""
    others = [c for c in group.configurations if c is not base]
    found = [difference(other, base) for other in others]
    corrected = iter(holm([one.p for one in found if one]))
    return [Comparison(o, one, next(corrected) if one else None) for o, one in zip(others, found, strict=True)]


def comparable(groups: Sequence[Group]) -> list[Group]:
    """Groups that may be set side by side: of the latest protocol, and the device that most have; no task twice."""
    kinds = [_kind(group) for group in groups]
    if not kinds:
        return []
    most = max(kinds, key=lambda kind: (kind[1], Counter(kinds)[kind], -kinds.index(kind)))
    found: dict[str, Group] = {}
    for group, kind in zip(groups, kinds, strict=True):
        if kind == most:
            found.setdefault(group.specs.partition(";")[0], group)
    return list(found.values())


def by_protocol(groups: Sequence[Group]) -> list[Group]:
    """`comparable` ones of every protocol, the latest first: for what is said task by task, and never over tasks."""
    protocols = sorted({group.protocol for group in groups}, reverse=True)
    return [kept for p in protocols for kept in comparable([group for group in groups if group.protocol == p])]


def left_out(groups: Sequence[Group]) -> str:
    """A sentence on the groups that `comparable` leaves out; "" where there are none."""
    kept = comparable(groups)
    rest = [f"{group.subject} ({group.device}, protocol {_kind(group)[1]})" for group in groups if group not in kept]
    return f"Not shown, of another device, precision or protocol: {', '.join(rest)}." if rest else ""


def _kind(group: Group) -> tuple[str, int]:
    record = group.records[0]
    anywhere = pooled(record)
    return "a CPU, fp32" if anywhere else str(record["environment"].get("device_name")), group.protocol


def key(configuration: Configuration) -> Key:
    """What the same configuration has in common on several tasks: its label and its specification."""
    return configuration.label, str(configuration.runs[0]["method"]["spec"])


@dataclass(frozen=True)
class Blocks:
    """Scores of the configurations that all of some groups have, on all seeds of these.

    Args:
        groups: tasks.
        rows: the configurations of the first group.
        scores: (configurations, seeds, tasks), more is better.
        lacking: labels of configurations that every task has, but not on every seed.
    """

    groups: tuple[Group, ...]
    rows: tuple[Configuration, ...]
    scores: NDArray[np.float64]
    lacking: tuple[str, ...] = ()

    @property
    def left(self) -> str:
        """A sentence on these; "" where there are none."""
        return f"Left out, as a seed is missing: {', '.join(self.lacking)}." if self.lacking else ""


def blocks(groups: Sequence[Group]) -> Blocks | None:
    """What can be averaged over tasks; None where fewer than three configurations or two seeds are common to all."""
    groups = comparable(groups)
    tables = [{key(c): c for c in group.configurations} for group in groups]
    if not tables:
        return None
    shared = [k for k in tables[0] if all(k in table for table in tables)]
    seen = [{seed for k in shared for seed in table[k].by_seed} for table in tables]
    seeds = sorted(set.intersection(*seen))
    common = [k for k in shared if all(set(seeds) <= set(table[k].by_seed) for table in tables)]
    if len(common) < 3 or len(seeds) < 2:
        return None
    scores = np.empty((len(common), len(seeds), len(groups)))
    for task, (group, table) in enumerate(zip(groups, tables, strict=True)):
        for row, k in enumerate(common):
            values = table[k].by_seed
            scores[row, :, task] = [sign(group.metric) * values[seed] for seed in seeds]
    lacking = tuple(label for label, spec in shared if (label, spec) not in common)
    return Blocks(tuple(groups), tuple(tables[0][k] for k in common), scores, lacking)
