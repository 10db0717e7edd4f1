"""Which configurations train about as many parameters: what may be compared without asking what more they cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.report.data.differences import FULL
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration

ALIKE = 1.3
"""Configurations whose parameters differ by less than this factor are of one budget."""
_CROWD = 3


def budgets(configurations: Sequence[Configuration]) -> dict[Configuration, int]:
    """Each one's budget: the largest number of trainable backbone parameters among those about as large."""
    found: dict[Configuration, int] = {}
    start = 0
    for c in sorted(configurations, key=lambda c: -c.backbone):
        start = c.backbone if not start or c.backbone * ALIKE < start else start
        found[c] = start
    return found


def crowded(group: Group) -> bool:
    """Whether an axis of parameters would say nothing: most of what trains a part of the backbone is of one budget."""
    partial = [c for c in group.configurations if c.backbone and c.name != FULL]
    most = max(Counter(budgets(partial).values()).values(), default=0)
    return most > 1 and (most == len(partial) or (most >= _CROWD and 2 * most >= len(partial)))
