"""One table over all groups of a study: a row a configuration, a column a group."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report import style
from bench.report.data import differences
from bench.report.data.groups import Group
from bench.report.data.measured import Estimate
from bench.report.data.names import headings
from bench.report.data.wording import UNDEFINED
from bench.report.tables.markdown import cell, table

_MISSING = "–"


def across(groups: Sequence[Group]) -> str:
    """Mean and interval of every configuration on every group; references last.

    Args:
        groups: with configurations.
    """
    columns = [f"{name}: {style.metric_name(g.metric)}" for name, g in zip(headings(groups), groups, strict=True)]
    found: dict[tuple[str, str], dict[int, str]] = {}
    for number, group in enumerate(groups):
        for configuration in group.configurations:
            found.setdefault(differences.key(configuration), {})[number] = _score(configuration.score)
        for configuration in group.undefined:
            found.setdefault(differences.key(configuration), {}).setdefault(number, UNDEFINED)
    order = _order(groups)
    keys = sorted(found, key=lambda key: order[key])
    labels = [label for label, _ in keys]
    rows = []
    for label, spec in keys:  # one label, two methods: a width of 64 here and of 32 there
        name = label if labels.count(label) == 1 else f"{label} `{spec}`"
        rows.append([cell(name), *(found[label, spec].get(number, _MISSING) for number in range(len(groups)))])
    for label in dict.fromkeys(r.label for group in groups for r in group.baselines):
        scores = [next((r.score for r in group.baselines if r.label == label), None) for group in groups]
        rows.append([f"*{cell(label)}* (reference)", *(_score(score) if score else _MISSING for score in scores)])
    return table(["method", *columns], rows)


def _order(groups: Sequence[Group]) -> dict[tuple[str, str], tuple[int, int, int]]:
    """Methods as the first group that has them orders them, the ranks of one side by side."""
    methods: dict[str, int] = {}
    order: dict[tuple[str, str], tuple[int, int, int]] = {}
    for group in groups:
        for configuration in (*group.configurations, *group.undefined):
            method = methods.setdefault(configuration.name, len(methods))
            order.setdefault(differences.key(configuration), (method, configuration.rank or 0, len(order)))
    return order


def _score(estimate: Estimate) -> str:
    interval = estimate.interval
    return f"{estimate.mean:.3f}" + (f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "")
