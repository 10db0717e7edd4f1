"""How fast methods learn: the score on validation against steps and against seconds, and the time to a target.

Reach and speed are two questions: which score a method ends at, and how soon it is there. The target of a group is the
best configuration's highest mean on validation, less the noise floor: what lies within the scatter of seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from bench.report.data.convergence import floor
from bench.report.data.differences import sign
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration, Record

_FEWEST = 4  # epochs that make a curve
MEASURES = ("steps", "cpu", "seconds")


@dataclass(frozen=True)
class Point:
    """A mean over seeds after one epoch.

    Args:
        score: on validation.
        low, high: the lowest and the highest seed.
        at: steps, and seconds where they are known, of training so far.
    """

    score: float
    low: float
    high: float
    at: Mapping[str, float]


@dataclass(frozen=True)
class Arrival:
    """When a configuration is at the target.

    Args:
        seeds: so many ever were.
        of: of so many.
        at: mean steps, and seconds, over the seeds that were; empty where none was.
    """

    seeds: int
    of: int
    at: Mapping[str, float]


def has_curves(group: Group) -> bool:
    """Whether a group can be drawn against steps: two configurations with curves, and a noise floor."""
    return floor(group) is not None and sum(bool(points(c)) for c in group.configurations) > 1


def clock(group: Group) -> str | None:
    """Which seconds compare: the processor's where all runs have them and trained on it, else a clock's; None without.

    Other work on a machine lengthens a clock's seconds, hardly the processor's.
    """
    rows = [row for c in group.configurations for run in c.runs for row in run.get("curve") or ()]
    on_cpu = all(run["environment"].get("device") == "cpu" for c in group.configurations for run in c.runs)
    for name in ("cpu", "seconds")[not on_cpu :]:
        if rows and all(row.get(name) is not None for row in rows):
            return name
    return None


def points(configuration: Configuration) -> list[Point]:
    """A mean over seeds for each epoch that every seed reached; empty for curves of fewer than four epochs."""
    curves = [_rows(run, configuration.metric) for run in configuration.runs]
    if not curves or min(map(len, curves)) < _FEWEST:
        return []
    found = []
    for rows in zip(*curves, strict=False):
        scores = [float(row["val"][configuration.metric]) for row in rows]
        known = [name for name in MEASURES if all(row.get(name) is not None for row in rows)]
        at = {name: mean(float(row[name]) for row in rows) for name in known}
        found.append(Point(mean(scores), min(scores), max(scores), at))
    return found


def target(group: Group) -> float:
    """The best configuration's highest mean on validation, less the noise floor."""
    most = max(best(c) for c in group.configurations if points(c))
    return sign(group.metric) * (most - (floor(group) or 0.0))


def best(configuration: Configuration) -> float:
    """Its highest mean on validation; of a metric of which less is better, less its lowest."""
    return max(sign(configuration.metric) * point.score for point in points(configuration))


def arrivals(group: Group) -> dict[Configuration, Arrival]:
    """When each configuration with a curve is at the group's target, seed by seed."""
    goal, way = target(group), sign(group.metric)
    found: dict[Configuration, Arrival] = {}
    for c in group.configurations:
        if not points(c):
            continue
        there = [row for run in c.runs if (row := _first(_rows(run, c.metric), c.metric, goal, way)) is not None]
        known = [name for name in MEASURES if there and all(row.get(name) is not None for row in there)]
        found[c] = Arrival(len(there), len(c.runs), {name: mean(float(row[name]) for row in there) for name in known})
    return found


def _rows(run: Record, metric: str) -> Sequence[Record]:
    """The epochs of a run that have a score and a number of steps; none where one lacks them."""
    rows = run.get("curve") or ()
    whole = all((row.get("val") or {}).get(metric) is not None and row.get("steps") is not None for row in rows)
    return rows if whole else ()


def _first(rows: Sequence[Record], metric: str, goal: float, way: int) -> Record | None:
    """The first epoch at the target; rounding in a mean is no miss."""
    for row in rows:
        score = way * float(row["val"][metric])
        if score >= way * goal or math.isclose(score, way * goal, rel_tol=1e-9):
            return row
    return None
