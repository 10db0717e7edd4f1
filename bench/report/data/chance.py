"""Guessing: what a score is worth that takes no look at the data."""

from __future__ import annotations

from bench.report.data.groups import Group
from bench.report.data.measured import Configuration

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


NEARLY = 0.05
"""By how much the F1 of all classes together may exceed that of the one class that is predicted."""


def of_one_class(group: Group, configuration: Configuration) -> list[int]:
    """The seeds on which it predicts one class only, or nearly.

    Where a share p of the samples is right, all of the one class, its F1 is 2p / (1 + p) and every other's 0, so that
    their mean over k classes, the macro F1, is that over k: near 1/k where the class is common.

    Returns:
        Empty where it is not known: no macro F1, no number of classes.
    """
    number = classes(group)
    found = []
    for run in configuration.runs:
        scores = (run.get("metrics") or {}).get("test") or {}
        right, macro = scores.get("top1"), scores.get("macro_f1")
        if number and number > 1 and isinstance(right, float | int) and isinstance(macro, float | int) and right >= 0:
            found += [int(run["seed"])] * (macro * number <= 2 * right / (1 + right) + NEARLY)
    return found


def one_class(group: Group, configuration: Configuration) -> str:
    """Such as "LoRA r=1 predicts one class only, or nearly, on 2 of 3 seeds (macro F1 0.41 of 2 classes)"; or ""."""
    seeds = of_one_class(group, configuration)
    if not seeds:
        return ""
    macro = max(float(run["metrics"]["test"]["macro_f1"]) for run in configuration.runs if run["seed"] in seeds)
    how_many = "its one seed" if len(configuration.runs) == 1 else f"{len(seeds)} of {len(configuration.runs)} seeds"
    return (
        f"{configuration.label} predicts one class only, or nearly, on {how_many} "
        f"(macro F1 {macro:.2f} of {classes(group)} classes)"
    )
