"""Accuracy against cost: which costs are known, and which configurations no other beats in both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.report import style
from bench.report.data import differences
from bench.report.data.budgets import budgets
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration
from bench.stats import pareto_front


@dataclass(frozen=True)
class Cost:
    """What accuracy is held against.

    Args:
        label: of the axis.
        of: its value for a configuration, which may be 0; None where it is not known.
        unit: a value on the axis.
    """

    label: str
    of: Callable[[Configuration], float | None]
    unit: Callable[[float], str]

    def known(self, group: Group) -> list[tuple[float, Configuration]]:
        """The configurations of a group for which it is known; some may cost nothing."""
        return [(value, c) for c in group.configurations if (value := self.of(c)) is not None]

    def priced(self, group: Group) -> list[tuple[float, Configuration]]:
        """Those of them that cost anything: what has a place on a log axis."""
        return [(value, c) for value, c in self.known(group) if value]

    def varies(self, group: Group) -> bool:
        """Whether it differs between the configurations of a group: for more than one of those that cost anything."""
        priced = self.priced(group)
        budget = budgets({c: value for value, c in priced})
        most = max(Counter(budget.values()).values(), default=0)
        return most < max(2, len(priced) - 1)


COSTS = (
    Cost("trainable backbone parameters", lambda c: float(c.backbone), style.count),
    Cost("peak training memory in MiB", lambda c: c.memory / 2**20 if c.memory else None, "{:,.0f}".format),
    Cost("training time of one run", lambda c: c.seconds.mean if c.seconds else None, style.seconds),
)


def known(groups: Sequence[Group]) -> list[Cost]:
    """The costs that every group knows of two configurations or more."""
    return [cost for cost in COSTS if all(len(cost.priced(g)) > 1 for g in groups)]


def front(group: Group, cost: Cost) -> list[Configuration]:
    """The configurations that no other beats in accuracy and cost, from cheap to dear."""
    known = cost.known(group)
    if not known:
        return []
    sign = differences.sign(group.metric)
    on = pareto_front([value for value, _ in known], [sign * c.score.mean for _, c in known])
    kept = [pair for pair, there in zip(known, on, strict=True) if there]
    return [c for _, c in sorted(kept, key=lambda pair: pair[0])]
