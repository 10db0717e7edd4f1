"""Pareto fronts: what is worth its parameters, its memory and its time."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.report import style
from bench.report.data import flags, tradeoffs, wording
from bench.report.data.budgets import ALIKE
from bench.report.data.groups import Group
from bench.report.data.names import titles
from bench.report.figures import axis, lines
from bench.report.figures.canvas import Canvas
from bench.report.figures.labels import Label, along, place
from bench.report.figures.points import Pen, Point, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PEN = Pen(marker=6.0, bar=0.8, bar_alpha=0.45, curve=0.0, curve_alpha=0.0, seeds=False)
_EDGE = 8.0  # pixels from the left edge to what costs nothing


def fronts(groups: Sequence[Group]) -> Canvas:
    """A row a task, a column a cost that differs on any; what is on the front is joined and named."""
    costs, without = _costs(groups)
    rows, columns = len(groups), max(1, len(costs))
    width = {1: 6.4, 2: 9.0}.get(columns, 12.0)
    reaches = [axis.reach(group, pressed=1.0) for group in groups]
    keys = [*_keys(groups), *lines.keys(groups, reaches, letters=28)]
    below = 0.2 * ceil(sum(key.get_label().count("\n") + 1 for key in keys) / _across(width)) + 0.15
    canvas = Canvas(width, 2.9 * rows + 1.2 + below, "What is worth its cost: Pareto fronts of the means", "")
    every, legend = canvas.panels(rows, columns, below=below / 2.5)
    panels = [every[start : start + columns] for start in range(0, len(every), columns)]
    for row, (group, title) in enumerate(zip(groups, titles(groups), strict=True)):
        for ax, cost in zip(panels[row], costs, strict=False):
            _frame(ax, group, cost, reaches[row], last=row + 1 == rows)
        panels[row][0].set_ylabel(axis.score_name(group), fontsize=8.5)
        title = "\n".join(textwrap.wrap(title, 60))
        panels[row][0].set_title(title, fontsize=9.5, fontweight="bold", color="#222222").set_in_layout(False)
    legend.legend(handles=keys, loc="upper left", ncols=_across(width), fontsize=8.5, borderaxespad=0.0)
    canvas.finish([*_notes(groups, reaches, without), wording.tunings(groups), groups[0].device + "."])
    for row, group in enumerate(groups):
        for ax, cost in zip(panels[row], costs, strict=False):
            if cost.varies(group):
                _fill(ax, group, cost, reaches[row])
            else:
                _say_alike(ax, group, cost)
    return canvas


def _costs(groups: Sequence[Group]) -> tuple[list[tradeoffs.Cost], list[tradeoffs.Cost]]:
    """Those with a column, and those without one because they are about the same for all; of these never all."""
    known = tradeoffs.known(groups)
    shown = [cost for cost in known if any(cost.varies(group) for group in groups)] or known[:1]
    return shown, [cost for cost in known if cost not in shown]


def _across(width: float) -> int:
    return int(width / 2.1)


def _keys(groups: Sequence[Group]) -> list[Any]:
    """A key a method: what is not on a front has no name in its panel."""
    from matplotlib.lines import Line2D

    looks = dict.fromkeys(style.look(c.name) for group in groups for c in group.configurations)
    return [
        Line2D([], [], color=look.colour, linestyle="none", marker=look.marker, markersize=6.5,
               markeredgecolor="white", markeredgewidth=0.5, label=look.name)
        for look in looks
    ]  # fmt: skip


def _frame(ax: Axes, group: Group, cost: tradeoffs.Cost, reach: axis.Reach, *, last: bool) -> None:
    axis.draw_scale(ax, reach)
    axis.log_axis(ax, [value for value, _ in cost.priced(group)])
    ax.xaxis.set_major_formatter(lambda value, _: cost.unit(value))
    ax.tick_params(labelsize=8)
    if last:
        ax.set_xlabel(f"{cost.label} (log scale)", fontsize=8.5)


def _say_alike(ax: Axes, group: Group, cost: tradeoffs.Cost) -> None:
    """Instead of points one upon another."""
    priced = cost.priced(group)
    middle = sorted(value for value, _ in priced)[len(priced) // 2]
    ax.set_xticks([], minor=True)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(visible=False)
    text = f"{cost.label}:\nabout {cost.unit(middle)} for all of these configurations"
    odd = [f"{c.label} (0)" for value, c in cost.known(group) if not value]
    odd += [c.label for value, c in priced if not middle / ALIKE <= value <= middle * ALIKE]
    text += f"\nbut {wording.several(odd)}" * bool(odd)
    ax.text(0.5, 0.5, "\n".join(textwrap.fill(line, 36) for line in text.split("\n")), transform=ax.transAxes,
            ha="center", va="center", fontsize=8.5, color=style.NOTE)  # fmt: skip


def _notes(groups: Sequence[Group], reaches: Sequence[axis.Reach], without: Sequence[tradeoffs.Cost]) -> list[str]:
    notes = [
        "On a front: no other configuration has as high a mean at as low a cost. Neighbours on it need not differ "
        "significantly: thin bars are 95% intervals (Student's).",
        axis.cut(reaches),
    ]
    notes += [f"No column for {cost.label}: about the same for all configurations." for cost in without]
    if any(c.backbone == 0 for group in groups for c in group.configurations):
        notes.append("At the left edge: no trainable backbone parameters.")
    if any(reach.low < reach.floor for reach in reaches):
        notes.append("Grey band: below the axis.")
    notes += axis.beyond(groups, reaches)
    slow, measured = flags.waited(run for g in groups for c in g.configurations for run in c.runs)
    if slow:
        notes.append(f"Other work ran beside {slow} of {measured} runs: their times are too long.")
    return notes


def _fill(ax: Axes, group: Group, cost: tradeoffs.Cost, reach: axis.Reach) -> None:
    edge = float(ax.transData.inverted().transform((ax.get_window_extent().x0 + _EDGE, 0.0))[0])
    points = [Point(c, value or edge, reach) for value, c in cost.known(group)]
    covered = draw(ax, points, _PEN)
    for look, score in lines.within(reach):
        ax.axhline(score, color=look.colour, linewidth=0.9, linestyle=look.dash, zorder=1.5)
    best = tradeoffs.front(group, cost)
    at = {point.configuration: (point.x, point.y) for point in points}
    corners = [at[c] for c in best]
    steps = [(x, y) for (x, _), (_, y) in zip(corners[1:], corners, strict=False)]
    line = [corner for pair in zip(corners, [*steps, corners[-1]], strict=True) for corner in pair]
    ax.plot(*zip(*line, strict=True), color="#444444", linewidth=1.0, zorder=1.9)
    obstacles = [*covered, along(np.asarray(ax.transData.transform(line)))]
    labels = [Label(*at[c], c.label, style.look(c.name).ink, 7.5) for c in best]
    place(ax, labels, np.concatenate(obstacles))
