"""Which configuration of a group to use: the cheapest within limits that is as good as the best."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.errors import BadInput, unknown
from bench.report import style
from bench.report.data import differences
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration
from bench.report.data.paired_outcomes import of_difference
from bench.stats.recommendation import MARGIN, Choice, Needed, choose, needed

Latencies = Mapping[str, float]
"""A configuration's label → seconds for one sample; without those of which none was measured."""


def latencies(those: Sequence[Configuration]) -> Latencies:
    """Seconds for one sample, merged where the method can be.

    A machine is not equally fast in every minute. So each is taken as a multiple of the untouched network's latency,
    which was measured beside it, and the least of these stands for all.
    """
    known = {c.label: found for c in those if (found := _latency(c))}
    bases = [found["base"] for found in known.values() if found.get("base")]
    pace = {label: min(bases) / found["base"] if found.get("base") else 1.0 for label, found in known.items()}
    values = {label: found.get("merged", found.get("unmerged")) for label, found in known.items()}
    return {label: pace[label] * float(value) for label, value in values.items() if value is not None}


def _latency(of: Configuration) -> Mapping[str, float]:
    known = [(run.get("inference") or {}).get("latency") or {} for run in of.runs]
    return next((each for each in known if each), {})


def stored(of: Configuration) -> int | None:
    """Bytes to store beside the base's weights, head included; None where it is not known."""
    known = next((run["checkpoint"] for run in of.runs if run.get("checkpoint")), None)
    return sum(int(size) for size in known.values() if size) if known else None


def milliseconds(seconds: float) -> str:
    """A latency for people: "1.4 ms"."""
    return f"{1000 * seconds:.3g} ms"


def _seconds(of: Configuration) -> float | None:
    return of.seconds.mean if of.seconds else None


COSTS: Mapping[str, Callable[[Configuration, Latencies], float | None]] = {
    "parameters": lambda c, _: c.backbone,
    "memory": lambda c, _: c.memory,
    "time": lambda c, _: _seconds(c),
    "latency": lambda c, known: known.get(c.label),
}
"""What "cheapest" may mean: trainable parameters of the backbone, peak memory of training, its seconds, and those of
one sample once it is trained."""


@dataclass(frozen=True)
class Limits:
    """What a configuration may need at most; None for no limit.

    Args:
        memory: bytes of training's peak.
        parameters: trainable ones of the backbone.
        latency: seconds for one sample.
    """

    memory: float | None = None
    parameters: float | None = None
    latency: float | None = None

    def breach(self, of: Configuration, known: Latencies) -> str:
        """By which a configuration is too much, "2.1 GiB of memory"; "" where it is within all limits."""
        for what, limit, value, shown in (
            ("training memory", self.memory, of.memory, style.size),
            ("backbone parameters", self.parameters, of.backbone, style.count),
            ("latency", self.latency, known.get(of.label), milliseconds),
        ):
            if limit is not None and value is None:
                return f"its {what} is not known"
            if limit is not None and value is not None and value > limit:
                return f"{shown(value)} of {what}, {shown(limit)} allowed"
        return ""


@dataclass(frozen=True, eq=False)
class Recommendation:
    """Of one task, model and device.

    Args:
        group: what it is of.
        metric: by which "good" is meant, on test.
        candidates: what is compared, the cheapest first.
        dropped: what is beyond the limits, and why.
        choice: places in `candidates`.
        by: what "cheapest" means, of `COSTS`.
        latencies: of all.
    """

    group: Group
    metric: str
    candidates: tuple[Configuration, ...]
    dropped: tuple[tuple[Configuration, str], ...]
    choice: Choice
    by: str
    latencies: Latencies

    @property
    def recommended(self) -> Configuration:
        """The one to use."""
        return self.candidates[self.choice.recommended]

    @property
    def best(self) -> Configuration:
        """The highest mean."""
        return self.candidates[self.choice.best]

    @property
    def open(self) -> list[Configuration]:
        """What may be better by more than the margin, the highest mean first."""
        sign = differences.sign(self.metric)
        return sorted((self.candidates[i] for i in self.choice.open), key=lambda c: -sign * c.score.mean)

    def more(self, other: Configuration) -> Needed | None:
        """What would tell the recommended one and another apart."""
        found = of_difference(self.recommended.runs, other.runs, self.metric, differences.sign(self.metric))
        return None if found is None else needed(found)


def recommend(
    group: Group, *, metric: str = "", limits: Limits = Limits(), by: str = "parameters", margin: float = MARGIN
) -> Recommendation:
    """The cheapest configuration within limits that is as good as the best of them (`bench.stats.recommendation`).

    Args:
        group: with configurations.
        metric: any that was measured on test; the task's own without.
        limits: what a configuration may need.
        by: what "cheapest" means, of `COSTS`.
        margin: the largest difference that does not matter.

    Raises:
        BadInput: no such metric or cost, or nothing is within the limits.
    """
    if by not in COSTS:
        raise unknown("cost", by, COSTS)
    metric = metric or group.metric
    named = [replace(c, metric=metric) for c in differences.whole(group.configurations) if _has(c, metric)]
    if not named:
        raise unknown(f"metric of {group.subject}", metric, _metrics(group.configurations))
    known = latencies(named)
    kept = [c for c in named if not limits.breach(c, known)]
    dropped = tuple((c, limits.breach(c, known)) for c in named if c not in kept)
    if not kept:
        least = min(dropped, key=lambda pair: pair[0].memory or pair[0].backbone)
        raise BadInput(f"{group.subject}: nothing recorded is within these limits; {least[0].label}: {least[1]}")
    order = dict.fromkeys((by, "parameters", "memory", "time"))
    kept.sort(key=lambda c: tuple(_last(COSTS[each](c, known)) for each in order))
    sign = differences.sign(metric)

    def less(i: int, j: int) -> tuple[float, float] | None:
        found = differences.on_metric(kept[i], kept[j], metric)
        return found.interval if found and found.decided else None

    choice = choose([sign * c.score.mean for c in kept], less, range(len(kept)), margin=margin)
    return Recommendation(group, metric, tuple(kept), dropped, choice, by, known)


def _last(value: float | None) -> float:
    """What is not known counts as dearest."""
    return float("inf") if value is None else value


def _has(of: Configuration, metric: str) -> bool:
    return all((run["metrics"].get("test") or {}).get(metric) is not None for run in of.runs)


def _metrics(those: Iterable[Configuration]) -> list[str]:
    return sorted({name for c in those for run in c.runs for name in run["metrics"].get("test") or {}})
