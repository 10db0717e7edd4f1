"""What was found where data shift: scores by severity, calibration, and means of weights, over the seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from bench.report.data import differences
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration, Estimate
from bench.report.style import extent

NAMES = {"ece": "ECE", "brier": "Brier", "nll": "NLL"}
"""Figures of calibration, lower is better."""


def found(c: Configuration) -> list[Mapping[str, Any]]:
    """Of each run, in the order of seeds; none where it was not asked for."""
    return [run["robustness"] for run in c.runs if run.get("robustness")]


def shown(groups: Sequence[Group]) -> list[Group]:
    """Groups with such figures, of one device and protocol."""
    return [g for g in differences.comparable(groups) if any(found(c) for c in g.configurations)]


def has_shifts(groups: Sequence[Group]) -> bool:
    """Whether any run was measured where data shift."""
    return bool(shown(groups))


def has_means(groups: Sequence[Group]) -> bool:
    """Whether means of weights were measured."""
    return any(interpolation(c) for g in shown(groups) for c in g.configurations)


def corruptions(group: Group) -> list[str]:
    """Their names, in the order measured."""
    return list(dict.fromkeys(name for c in group.configurations for run in found(c) for name in run["corruptions"]))


def severities(group: Group) -> list[int]:
    """Those measured, without 0."""
    levels = {int(s) for c in group.configurations for r in found(c) for by in r["corruptions"].values() for s in by}
    return sorted(levels)


def at_severity(c: Configuration, severity: int, names: Sequence[str] = (), *, metric: str = "") -> Estimate | None:
    """A metric at a severity, mean over corruptions, a value a seed; 0 is the same samples as they are.

    Args:
        names: only these corruptions.
        metric: the headline one without.
    """
    metric, values = metric or c.metric, []
    for run in found(c):
        by = [each for name, each in run["corruptions"].items() if not names or name in names]
        scores = [run["clean"]] if severity == 0 else [each[str(severity)] for each in by if str(severity) in each]
        known = [float(score[metric]) for score in scores if score.get(metric) is not None]
        values += [mean(known)] * bool(known)
    return Estimate(tuple(values), *extent(metric)) if values else None


def corrupted(c: Configuration, group: Group, names: Sequence[str] = (), *, metric: str = "") -> float | None:
    """Mean over severities and corruptions."""
    known = [each.mean for s in severities(group) if (each := at_severity(c, s, names, metric=metric))]
    return mean(known) if known else None


def majority(group: Group) -> float | None:
    """The majority class's score on the whole test part."""
    known = [baseline.score.mean for baseline in group.baselines if baseline.label == "majority class"]
    return known[0] if known else None


def calibration(c: Configuration, when: str, name: str) -> float | None:
    """Mean over seeds of a figure of `NAMES`, "before" or "after" the temperature."""
    values = [(run.get("calibration") or {}).get(when, {}).get(name) for run in found(c)]
    known = [float(value) for value in values if value is not None]
    return mean(known) if known else None


def temperature(c: Configuration) -> float | None:
    """Mean over seeds."""
    known = [float(t) for run in found(c) if (t := (run.get("calibration") or {}).get("temperature"))]
    return mean(known) if known else None


def interpolation(c: Configuration) -> list[tuple[float, float, float]]:
    """By α: the score on samples as they are, and under corruptions; means over seeds."""
    runs = [run["interpolation"] for run in found(c) if run.get("interpolation")]
    alphas = sorted({float(alpha) for run in runs for alpha in run})
    rows = []
    for alpha in alphas:
        at = [run[f"{alpha:g}"] for run in runs if f"{alpha:g}" in run]
        pair = [[one[kind].get(c.metric) for one in at] for kind in ("clean", "corrupted")]
        if all(value is not None for values in pair for value in values):
            rows.append((alpha, *(mean(map(float, values)) for values in pair)))
    return rows  # type: ignore[return-value]
