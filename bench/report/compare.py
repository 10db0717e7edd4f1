"""Two methods beside each other, in words: the paired difference, how sure it is, and what each costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.report import style
from bench.report.data import differences
from bench.report.data.chance import one_class
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration
from bench.report.figures import axis


def compared(group: Group, one: Configuration, other: Configuration) -> Iterator[str]:
    """Lines on one task: scores, difference, costs."""
    yield f"{group.subject} ({group.device})"
    score = axis.score_name(group)
    yield f"  {score}: {one.label} {_score(one)}, {other.label} {_score(other)}"
    yield from (f"  Beware: {said}" for each in (one, other) if (said := one_class(group, each)))
    less = " (positive: less, which is better)" if differences.sign(group.metric) < 0 else ""
    yield f"  Difference{less}: {_difference(group, one, other)}"
    if costs := [text for text in _costs(one, other) if text]:
        yield f"  Costs of {one.label} against {other.label}: {'; '.join(costs)}"


def _score(of: Configuration) -> str:
    interval, seeds = of.score.interval, len(of.score.values)
    sure = f" ({interval[0]:.3f} to {interval[1]:.3f}, {seeds} seeds)" if interval else " (one seed)"
    return f"{of.score.mean:.3f}{sure}"


def _difference(group: Group, one: Configuration, other: Configuration) -> str:
    found = differences.difference(one, other)
    if found is None:
        return "none can be given: they share no seed"
    text = f"{found.mean:+.3f}"
    compared = differences.Comparison(one, found)
    if found.interval is None:
        return f"{text}, {compared.said}"
    low, high = found.interval
    said = f"{(one if found.mean > 0 else other).label} is {differences.BETTER}" if found.seen else compared.said
    least = f", the smallest that {found.pairs} pairs can give" if found.p <= 2 / 2**found.pairs else ""
    return f"{text} ({low:+.3f} to {high:+.3f}), {found.pairs} seeds, permutation p = {found.p:.2g}{least}: {said}"


def _costs(one: Configuration, other: Configuration) -> Iterator[str]:
    yield f"{one.backbone:,} backbone parameters, {other.backbone:,}{_share(one.backbone, other.backbone)}"
    if one.memory and other.memory:
        memory = f"{style.size(one.memory)} of training memory ({one.memory_kind}), {style.size(other.memory)}"
        yield memory + _share(one.memory, other.memory)
    if one.seconds and other.seconds:
        seconds = f"{style.seconds(one.seconds.mean)} of training, {style.seconds(other.seconds.mean)}"
        yield seconds + _share(one.seconds.mean, other.seconds.mean)


def _share(one: float, other: float) -> str:
    return f" ({one / other:.2g} times)" if one and other else ""


def labels(groups: Sequence[Group]) -> list[str]:
    """The specifications that there are to be compared."""
    return list(dict.fromkeys(str(c.runs[0]["method"]["spec"]) for group in groups for c in group.configurations))
