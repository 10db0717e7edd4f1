"""How unequal a task's classes are, as its majority-class baseline tells, and which scores must stand side by side."""

from __future__ import annotations

from bench.report import style
from bench.report.data.chance import chance
from bench.report.data.groups import Group
from bench.report.data.measured import Baseline, Configuration, on_test

_UNEQUAL = 1.2
"""How many times 1/k the share of the most common of k classes may be before accuracy alone misleads."""


def majority(group: Group) -> float | None:
    """The share of the most common class in the test part; None where no record says."""
    runs = [run for baseline in group.baselines for run in baseline.runs]
    said = [(run.get("provenance") or {}).get("majority") for run in runs]
    return next((float(share) for share in said if share is not None), None)


def unequal(group: Group) -> bool:
    """Whether the most common class is clearly more common than the others, so that a high accuracy proves little."""
    share, equal = majority(group), chance(group)
    return share is not None and equal is not None and share > _UNEQUAL * equal


def also(group: Group) -> list[str]:
    """Macro-F1 where classes are unequal and it was measured: accuracy must not stand alone there."""
    return _measured(group, ["macro_f1"] * unequal(group))


def beside(group: Group) -> list[str]:
    """All metrics that readers need beside the headline metric: those of `also`, AP50 beside AP."""
    return _measured(group, [style.BESIDE[group.metric]] if group.metric in style.BESIDE else []) + also(group)


def _measured(group: Group, metrics: list[str]) -> list[str]:
    every: tuple[Configuration | Baseline, ...] = (*group.configurations, *group.undefined, *group.baselines)
    return [metric for metric in metrics if any(on_test(one, metric) for one in every)]
