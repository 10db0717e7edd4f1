"""What became of an old task: along a method's learning rates, and read at the same score on the new one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean
from typing import Any

import numpy as np

from bench.report.data import differences
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration, Record, bound
from bench.stats import Difference, mean_difference

WAYS = {
    "retained": "old head",
    "restandardised": "old head, features re-standardised",
    "refitted": "head fitted again",
}
"""How the old task is read after training, as `bench.training.retention` names it: drift, drift beyond mean and scale,
and what a linear head can still read."""


@dataclass(frozen=True)
class Point:
    """A method at one learning rate.

    Args:
        rate: the learning rate.
        new: mean test score of the new task over the seeds.
        old: mean score of the old task, by `WAYS`.
        chosen: whether tuning chose this rate.
        seeds: how many runs.
    """

    rate: float
    new: float
    old: dict[str, float]
    chosen: bool
    seeds: int


def ways(group: Group) -> list[str]:
    """Which of `WAYS` the group's records have."""
    return [way for way in WAYS if any(c.on_old_task(way) for c in group.configurations)]


def curve(group: Group, configuration: Configuration, *, seed: int | None = None) -> list[Point]:
    """A configuration at every rate that was tested on the final seeds, or on one of them, in their order."""
    metric = str((configuration.runs[0].get("retained") or {}).get("metric"))
    runs: dict[float, list[Record]] = defaultdict(list)
    for record in (*configuration.runs, *swept(group, configuration)):
        if (lr := record["training"].get("lr")) is not None and seed in (None, record["seed"]):
            runs[float(lr)].append(record)
    chosen = configuration.runs[0]["training"].get("lr")
    points = []
    for rate, alike in sorted(runs.items()):
        old = {way: mean(known) for way in WAYS if (known := _scores(alike, way, metric))}
        new = _scores(alike, "test", configuration.metric)
        if new and old:
            points.append(Point(rate, mean(new), old, rate == chosen, len(alike)))
    return points


def swept(group: Group, configuration: Configuration) -> list[Record]:
    """The configuration's runs at the other values of its grid, and at the default one, on the final seeds."""
    spec = configuration.runs[0]["method"]["spec"]
    return [
        record
        for record in group.records
        if record["phase"] in ("sweep", "default") and record["status"] == "ok" and record["method"]["spec"] == spec
    ]


def adapting(group: Group) -> dict[Configuration, list[Point]]:
    """The curves of what trains the backbone and was tested at several rates: what may be read at matched score."""
    curves = {c: curve(group, c) for c in group.configurations if c.backbone}
    return {c: points for c, points in curves.items() if len(points) > 1}


def has_rates(groups: Sequence[Group]) -> bool:
    """Whether the old task was read at several rates of a method."""
    return bool(along_rates(groups))


def along_rates(groups: Sequence[Group]) -> list[Group]:
    """The groups whose old task was read at several rates, of one device and protocol."""
    return [g for g in differences.comparable(groups) if any(len(curve(g, c)) > 1 for c in g.configurations)]


def _scores(records: Sequence[Record], split: str, metric: str) -> list[float]:
    found = [(record["metrics"].get(split) or {}).get(metric) for record in records]
    return [float(value) for value in found if value is not None]


def matched(curves: Sequence[Sequence[Point]], way: str) -> tuple[float, list[float | None]]:
    """The old task's score of each method at one score on the new task: the highest that all of them reach.

    Between two neighbouring rates a straight line is drawn; nothing is read beyond what was measured.

    Args:
        curves: of each method, in the order of rates.
        way: of `WAYS`.

    Returns:
        The score on the new task, and for each curve the old score at it; None where it does not rise past it.
    """
    level = min(max(point.new for point in points) for points in curves)
    return level, [_at(points, level, way) for points in curves]


def beyond(group: Group, one: Configuration, other: Configuration, way: str) -> Difference | None:
    """The old task's score of one less another's, each seed at the highest score on the new task that both reach.

    Returns:
        Paired by seed; None where there is no seed on which both curves rise past that score.
    """
    values = []
    for seed in sorted({run["seed"] for run in one.runs} & {run["seed"] for run in other.runs}):
        curves = [curve(group, c, seed=seed) for c in (one, other)]
        if all(len(points) > 1 for points in curves):
            mine, theirs = matched(curves, way)[1]
            values += [mine - theirs] if mine is not None and theirs is not None else []
    most = bound(str((one.runs[0].get("retained") or {}).get("metric")))
    return mean_difference(values, np.random.default_rng(0), bound=most) if values else None


def _at(points: Sequence[Point], level: float, way: str) -> float | None:
    """Where the curve first rises past the level, from low rates on: the least training that reaches it.

    Not where it falls past it again: at a rate too high for the new task, the old one is lost for nothing.
    """
    known = [point for point in points if way in point.old]
    for low, high in pairwise(known):
        if low.new <= level <= high.new:
            share = (level - low.new) / (high.new - low.new) if high.new != low.new else 0.0
            return low.old[way] + share * (high.old[way] - low.old[way])
    return None


def facts(group: Group) -> dict[str, float]:
    """Chance and majority of the old task: share right, and macro-F1 of the majority class; {} in older records."""
    found: Any = next((r["retention"] for r in group.records if r.get("retention")), None)
    if not found:
        return {}
    majority = found.get("majority") or {}
    known = {"chance": 1 / found["classes"]} if found.get("classes") else {}
    known |= {"majority": majority["top1"]} if "top1" in majority else {}
    return known | ({"majority_f1": majority["macro_f1"]} if "macro_f1" in majority else {})
