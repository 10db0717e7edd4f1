"""Which configurations train about as many parameters: what may be compared without asking what more they cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from bench.report.data.differences import FULL
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration

ALIKE = 1.3
"""Configurations whose costs differ by less than this factor are of one budget."""
_CROWD = 3


def budgets(costs: Mapping[Configuration, float]) -> dict[Configuration, float]:
    """Each one's budget: the largest of the costs that are about as high as its own.

    Args:
        costs: of each, such as trainable backbone parameters.
    """
    found: dict[Configuration, float] = {}
    start = 0.0
    for c in sorted(costs, key=lambda c: -costs[c]):
        start = costs[c] if not start or costs[c] * ALIKE < start else start
        found[c] = start
    return found


def crowded(group: Group) -> bool:
    """Whether an axis of parameters would say nothing: most of what trains a part of the backbone is of one budget."""
    partial = [c for c in group.configurations if c.backbone and c.name != FULL]
    most = max(Counter(budgets({c: c.backbone for c in partial}).values()).values(), default=0)
    return most > 1 and (most == len(partial) or (most >= _CROWD and 2 * most >= len(partial)))
