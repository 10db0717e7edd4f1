"""Pareto fronts: what is worth its parameters, its memory and its time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.report import axis, flags, style, versus, words
from bench.report.groups import Group
from bench.report.labels import Label, along, place
from bench.report.measured import Configuration
from bench.report.names import titles
from bench.report.points import Pen, Point, draw
from bench.report.sheet import Sheet
from bench.stats import pareto_front

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PEN = Pen(marker=6.0, bar=0.8, bar_alpha=0.45, curve=0.0, curve_alpha=0.0, seeds=False)


@dataclass(frozen=True)
class Cost:
    """What accuracy is held against.

    Args:
        label: of the axis.
        of: its value for a configuration; None where it is not known.
        unit: a value on the axis.
    """

    label: str
    of: Callable[[Configuration], float | None]
    unit: Callable[[float], str]

    def priced(self, group: Group) -> list[tuple[float, Configuration]]:
        """The configurations of a group for which it is known, and not nothing."""
        return [(value, c) for c in group.configurations if (value := self.of(c))]


COSTS = (
    Cost("trainable backbone parameters", lambda c: float(c.backbone) or None, style.count),
    Cost("peak training memory in MiB", lambda c: c.memory / 2**20 if c.memory else None, "{:,.0f}".format),
    Cost("training time of one run", lambda c: c.seconds.mean if c.seconds else None, style.seconds),
)


def known(groups: Sequence[Group]) -> list[Cost]:
    """The costs that every group knows of two configurations or more."""
    return [cost for cost in COSTS if all(len(cost.priced(g)) > 1 for g in groups)]


def front(group: Group, cost: Cost) -> list[Configuration]:
    """The configurations that no other beats in accuracy and cost, from cheap to dear."""
    priced = cost.priced(group)
    if not priced:
        return []
    sign = versus.sign(group.metric)
    on = pareto_front([value for value, _ in priced], [sign * c.score.mean for _, c in priced])
    kept = [pair for pair, there in zip(priced, on, strict=True) if there]
    return [c for _, c in sorted(kept, key=lambda pair: pair[0])]


def fronts(groups: Sequence[Group]) -> Sheet:
    """A row a task, a column a cost; what is on the front is joined and named."""
    costs = known(groups)
    width = {1: 6.0, 2: 9.0}.get(len(costs), 12.0)
    sheet = Sheet(width, 2.9 * len(groups) + 1.2, "What is worth its cost: Pareto fronts of the means", "")
    panels = sheet.figure.subplots(len(groups), len(costs), squeeze=False)
    reaches = [axis.reach(group) for group in groups]
    for row, (group, title) in enumerate(zip(groups, titles(groups), strict=True)):
        for column, cost in enumerate(costs):
            ax = panels[row, column]
            ax.set_ylim(reaches[row].low, reaches[row].high)
            axis.log_axis(ax, [value for value, _ in cost.priced(group)])
            ax.xaxis.set_major_formatter(lambda value, _, cost=cost: cost.unit(value))
            ax.tick_params(labelsize=8)
            if row + 1 == len(groups):
                ax.set_xlabel(f"{cost.label} (log scale)", fontsize=8.5)
        panels[row, 0].set_ylabel(axis.score_name(group), fontsize=8.5)
        panels[row, 0].set_title(title, fontsize=9.5, fontweight="bold", color="#222222").set_in_layout(False)
    notes = [
        "On a front: no other configuration has as high a mean at as low a cost. Neighbours on it may not be told "
        "apart: thin bars are 95% intervals (Student's).",
        "Methods without trainable backbone parameters have no place on the first axis." if len(costs) else "",
    ]
    slow, measured = flags.waited(run for g in groups for c in g.configurations for run in c.runs)
    if slow:
        notes.append(f"Other work ran beside {slow} of {measured} runs: their times are too long.")
    sheet.finish([*notes, words.tunings(groups), groups[0].device + "."])
    for row, group in enumerate(groups):
        for column, cost in enumerate(costs):
            _fill(panels[row, column], group, cost, reaches[row].low)
    return sheet


def _fill(ax: Axes, group: Group, cost: Cost, floor: float) -> None:
    points = [Point(c, value, floor) for value, c in cost.priced(group)]
    covered = draw(ax, points, _PEN)
    best = front(group, cost)
    at = {point.configuration: (point.x, point.y) for point in points}
    corners = [at[c] for c in best]
    steps = [(x, y) for (x, _), (_, y) in zip(corners[1:], corners, strict=False)]
    line = [corner for pair in zip(corners, [*steps, corners[-1]], strict=True) for corner in pair]
    ax.plot(*zip(*line, strict=True), color="#444444", linewidth=1.0, zorder=1.9)
    obstacles = [*covered, along(np.asarray(ax.transData.transform(line)))]
    labels = [Label(*at[c], c.label, style.look(c.name).ink, 7.5) for c in best]
    place(ax, labels, np.concatenate(obstacles))
