"""Pareto fronts: what is worth its parameters, its memory and its time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bench.report import style
from bench.report.data import flags, tradeoffs, wording
from bench.report.data.groups import Group
from bench.report.data.names import titles
from bench.report.figures import axis
from bench.report.figures.canvas import Canvas
from bench.report.figures.labels import Label, along, place
from bench.report.figures.points import Pen, Point, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PEN = Pen(marker=6.0, bar=0.8, bar_alpha=0.45, curve=0.0, curve_alpha=0.0, seeds=False)


def fronts(groups: Sequence[Group]) -> Canvas:
    """A row a task, a column a cost; what is on the front is joined and named."""
    costs = tradeoffs.known(groups)
    width = {1: 6.0, 2: 9.0}.get(len(costs), 12.0)
    canvas = Canvas(width, 2.9 * len(groups) + 1.2, "What is worth its cost: Pareto fronts of the means", "")
    panels = canvas.figure.subplots(len(groups), len(costs), squeeze=False)
    reaches = [axis.reach(group) for group in groups]
    for row, (group, title) in enumerate(zip(groups, titles(groups), strict=True)):
        for column, cost in enumerate(costs):
            ax = panels[row, column]
            axis.draw_scale(ax, reaches[row])
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
    notes.append(axis.cut(reaches))
    slow, measured = flags.waited(run for g in groups for c in g.configurations for run in c.runs)
    if slow:
        notes.append(f"Other work ran beside {slow} of {measured} runs: their times are too long.")
    canvas.finish([*notes, wording.tunings(groups), groups[0].device + "."])
    for row, group in enumerate(groups):
        for column, cost in enumerate(costs):
            _fill(panels[row, column], group, cost, reaches[row])
    return canvas


def _fill(ax: Axes, group: Group, cost: tradeoffs.Cost, reach: axis.Reach) -> None:
    points = [Point(c, value, reach) for value, c in cost.priced(group)]
    covered = draw(ax, points, _PEN)
    best = tradeoffs.front(group, cost)
    at = {point.configuration: (point.x, point.y) for point in points}
    corners = [at[c] for c in best]
    steps = [(x, y) for (x, _), (_, y) in zip(corners[1:], corners, strict=False)]
    line = [corner for pair in zip(corners, [*steps, corners[-1]], strict=True) for corner in pair]
    ax.plot(*zip(*line, strict=True), color="#444444", linewidth=1.0, zorder=1.9)
    obstacles = [*covered, along(np.asarray(ax.transData.transform(line)))]
    labels = [Label(*at[c], c.label, style.look(c.name).ink, 7.5) for c in best]
    place(ax, labels, np.concatenate(obstacles))
