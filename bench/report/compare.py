"""Two methods beside each other, in words: the paired difference, how sure it is, and what each costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.records import PROTOCOL
from bench.report import style
from bench.report.data import differences, wording
from bench.report.data.chance import one_class
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration
from bench.report.figures import axis


def compared(group: Group, one: Configuration, other: Configuration) -> Iterator[str]:
    """Lines on one task: scores, difference, verdict, costs."""
    old = f", protocol {group.protocol}" if group.protocol < PROTOCOL else ""
    yield f"{group.subject} ({group.device}{old})"
    score = axis.score_name(group)
    yield f"  {score}: {one.label} {_score(one)}, {other.label} {_score(other)}"
    yield from (f"  Beware: {said}" for each in (one, other) if (said := one_class(group, each)))
    yield from (f"  {line}" for line in _difference(group.metric, one, other))
    if group.metric != "loss" and (one.on_test("loss").keys() & other.on_test("loss").keys()):
        yield from (f"  NLL. {line}" for line in _difference("loss", one, other))
    for text in _costs(one, other):
        yield f"  {text}"


def _score(of: Configuration) -> str:
    interval, crossed = of.score.interval, of.score.crossed
    size = f"{len(of.score.values)} seeds" + (f" × {crossed.samples:,} samples" if crossed else "")
    sure = f" ({interval[0]:.3f} to {interval[1]:.3f}, {size})" if interval else " (one seed)"
    return f"{of.score.mean:.3f}{sure}"


def _difference(metric: str, one: Configuration, other: Configuration) -> Iterator[str]:
    """The paired difference with its interval; what it says; the permutation test beside it."""
    found = differences.on_metric(one, other, metric)
    if found is None:
        yield "Difference: none, as they share no seed"
        return
    less = " (positive: lower, which is better)" if differences.sign(metric) < 0 else ""
    if found.interval is None:
        yield f"Difference{less}: {found.mean:+.3f}. Verdict: {differences.Comparison(one, found).said}"
        return
    low, high = found.interval
    interval = f"95% interval {low:+.3f} to {high:+.3f}, paired over {found.size}"
    yield f"Difference{less}: {found.mean:+.3f}, {interval}"
    verdict = differences.Comparison(one, found)
    better = verdict.verdict in (differences.BETTER, differences.WORSE)
    said = f"{(one if found.mean > 0 else other).label} is {differences.BETTER}" if better else verdict.said
    if found.samples:
        yield f"Verdict: {said}; p = {found.p:.2g}, over seeds and samples"
        return
    least = f" (the smallest that {found.pairs} pairs can give)" if found.p <= 2 / 2**found.pairs else ""
    yield f"Verdict: {said}; permutation p = {found.p:.2g}{least}"


def _costs(one: Configuration, other: Configuration) -> Iterator[str]:
    """What each costs, and how many times the other's that is."""
    yield f"Backbone parameters: {one.backbone:,} against {other.backbone:,}{_times(one.backbone, other.backbone)}"
    if one.memory and other.memory:
        sizes = f"{style.size(one.memory)} against {style.size(other.memory)}"
        yield f"Training memory ({wording.memory_kind(one.memory_kind)}): {sizes}{_times(one.memory, other.memory)}"
    if one.seconds and other.seconds:
        times = f"{style.seconds(one.seconds.mean)} against {style.seconds(other.seconds.mean)}"
        yield f"Training time: {times}{_times(one.seconds.mean, other.seconds.mean)}"


def _times(one: float, other: float) -> str:
    return f" ({one / other:.2g} times)" if one and other else ""


def labels(groups: Sequence[Group]) -> list[str]:
    """The specifications that there are to be compared."""
    return list(dict.fromkeys(str(c.runs[0]["method"]["spec"]) for group in groups for c in group.configurations))
