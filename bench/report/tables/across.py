"""One table over all groups of a study: a row a configuration, a column a group."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report import style
from bench.report.data import differences
from bench.report.data.groups import Group
from bench.report.data.measured import Baseline, Configuration, on_test
from bench.report.data.names import headings
from bench.report.data.wording import UNDEFINED
from bench.report.tables.classes import also
from bench.report.tables.markdown import MISSING, cell, table
from bench.stats import has_width


def across(groups: Sequence[Group]) -> str:
    """Mean and interval of every configuration on every group, with macro-F1 where classes are unequal; baselines last.

    Args:
        groups: with configurations.
    """
    names = dict(zip(groups, headings(groups), strict=True))
    columns = [(group, metric) for group in groups for metric in (group.metric, *also(group))]
    heads = [f"{names[group]}: {style.metric_name(metric)}" for group, metric in columns]
    order = _order(groups)
    keys = sorted(order, key=lambda key: order[key])
    labels = [label for label, _ in keys]
    known = {group: {differences.key(c): c for c in (*group.undefined, *group.configurations)} for group in groups}
    rows = []
    for label, spec in keys:  # one label, two methods: a width of 64 here and of 32 there
        name = label if labels.count(label) == 1 else f"{label} `{spec}`"
        rows.append([cell(name), *(_score(known[group].get((label, spec)), metric) for group, metric in columns)])
    of_group = {group: {baseline.label: baseline for baseline in group.baselines} for group in groups}
    for label in dict.fromkeys(label for group in groups for label in of_group[group]):
        scores = (_score(of_group[group].get(label), metric) for group, metric in columns)
        rows.append([f"*{cell(label)}* (baseline)", *scores])
    return table(["method", *heads], rows)


def _order(groups: Sequence[Group]) -> dict[tuple[str, str], tuple[int, int, int]]:
    """Methods as the first group that has them orders them, the ranks of one side by side."""
    methods: dict[str, int] = {}
    order: dict[tuple[str, str], tuple[int, int, int]] = {}
    for group in groups:
        for configuration in (*group.configurations, *group.undefined):
            method = methods.setdefault(configuration.name, len(methods))
            order.setdefault(differences.key(configuration), (method, configuration.rank or 0, len(order)))
    return order


def _score(of: Configuration | Baseline | None, metric: str) -> str:
    if of is None:
        return MISSING
    estimate = on_test(of, metric)
    if estimate is None:
        return UNDEFINED
    interval = estimate.interval if metric == of.metric else None  # one interval a task: of the headline metric
    sure = f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval and has_width(interval) else ""
    return f"{estimate.mean:.3f}{sure}"
