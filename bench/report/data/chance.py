"""Guessing: what a score is worth that takes no look at the data."""

from __future__ import annotations

from bench.report.data.groups import Group

SHARES = frozenset({"top1", "accuracy"})
"""Metrics that are the share of samples that are right."""


def classes(group: Group) -> int | None:
    """How many classes the task has, where the majority-class baseline or a run says so.

    It stands in the records' provenance as "classes"; of several numbers (a small training part may lack a class)
    the largest.
    """
    runs = [*(run for baseline in group.baselines for run in baseline.runs), *group.records]
    said = [(run.get("provenance") or {}).get("classes") for run in runs]
    return max((int(number) for number in said if number), default=None)


def chance(group: Group) -> float | None:
    """The share that is right by guessing: 1/k of k classes, whatever their sizes.

    Returns:
        None where the headline metric is no such share, or the number of classes is not known.
    """
    number = classes(group)
    return 1 / number if number and group.metric in SHARES else None
