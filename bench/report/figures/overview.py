"""All groups of a study in one figure: a panel each, one legend for all, few words."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.report import style
from bench.report.data import budgets, wording
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration
from bench.report.data.names import titles
from bench.report.data.ranks import series
from bench.report.figures import axis, lines, strips
from bench.report.figures.canvas import Canvas
from bench.report.figures.labels import Array, Label, along, place
from bench.report.figures.points import SMALL, Point, at_parameters, curves, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 3  # panels side by side
_KEY = 0.175  # inches of a line of the legend
_EDGE = 8.0  # pixels from the left edge to what has no place on a log axis


def overview(groups: Sequence[Group]) -> Canvas:
    """Each group's headline metric against trainable backbone parameters; in a column one below the other.

    Where these hardly differ in most groups, a row a configuration.

    Args:
        groups: with configurations, in the order of the panels.
    """
    if 2 * sum(map(budgets.crowded, groups)) >= len(groups):
        return strips.strips(groups)
    rows = len(groups) if style.in_column() else ceil(len(groups) / _COLUMNS)
    columns = ceil(len(groups) / rows)
    reaches = [axis.reach(group) for group in groups]
    methods = _method_keys(groups)
    baselines = lines.keys(groups, reaches, letters=50 if style.in_column() else 100)
    width = style.COLUMN if style.in_column() else 8.8 if columns <= 2 else 11.0
    keys = ceil(len(methods) / _across(width)) + sum(key.get_label().count("\n") + 1 for key in baselines)
    inches = style.pt(_KEY) * keys + 0.2
    heading = f"{_headline(groups)} against trainable backbone parameters, by task and model"
    notes = _notes(groups, reaches)
    room = max(0.0, 0.15 * (len(" ".join(notes)) / (17.3 * width) - 4))  # for notes of more than four lines
    high = 2.2 * rows + inches if style.in_column() else 2.9 * rows + inches + 1.1 + room
    canvas = Canvas(width, high, heading, "")
    panels, below = canvas.panels(rows, columns, below=inches / style.pt(2.4))
    for ax in panels[len(groups) :]:
        ax.set_axis_off()
    xs = [float(c.backbone) for group in groups for c in group.configurations if c.backbone] or [1e4, 1e7]
    for number, (ax, group, title) in enumerate(zip(panels, groups, titles(groups), strict=False)):
        _frame(ax, group, reaches[number], xs)
        title = "\n".join(textwrap.wrap(title, 46))
        ax.set_title(title, fontsize=style.pt(9.5), fontweight="bold", color="#222222")
        if number + columns >= len(groups):
            ax.set_xlabel("trainable backbone parameters (log scale)", fontsize=style.pt(9))
    _legend(below, methods, baselines, across=_across(width))
    canvas.finish(notes)
    for ax, group, reach in zip(panels, groups, reaches, strict=False):
        _fill(ax, group, reach)
    return canvas


def _across(width: float) -> int:
    """How many methods stand side by side in the legend."""
    return int(width / style.pt(2.1))


def _headline(groups: Sequence[Group]) -> str:
    names = list(dict.fromkeys(axis.score_name(group) for group in groups))
    return names[0] if len(names) == 1 else "Test score"


def _frame(ax: Axes, group: Group, reach: axis.Reach, xs: Sequence[float]) -> None:
    """Limits, ticks and the name of the score; the panels share their x axis's limits, for models differ little."""
    ax.set_ylabel(axis.score_name(group), fontsize=style.pt(9))
    axis.log_axis(ax, xs)
    ax.xaxis.set_major_formatter(lambda value, _: style.count(value))
    ax.tick_params(labelsize=style.pt(8.5))
    axis.draw_scale(ax, reach)


def _fill(ax: Axes, group: Group, reach: axis.Reach) -> None:
    """Lines, points and curves of one panel; only the ends of curves have a word."""
    obstacles: list[Array] = [np.empty((0, 2))]
    flat = [c for c in group.configurations if _flat(c)]
    horizontal = [(c.score.mean, style.look(c.name), 1.1) for c in flat if reach.holds(c.score.mean)]
    horizontal += [(score, look, 1.0) for look, score in lines.within(reach)]
    for score, look, width in horizontal:
        ax.axhline(score, color=look.colour, linewidth=width, linestyle=look.dash, zorder=1.5)
        across = ax.transData.transform([(limit, score) for limit in ax.get_xlim()])
        obstacles.append(along(across, step=8.0))
    edges = ax.get_window_extent()
    sure = [(interval, style.baseline_look(r.number)) for r in reach.shown if (interval := r.score.interval)]
    for number, (interval, look) in enumerate(sure, 1):
        ax.plot([_at(ax, edges.x1 - _EDGE * number)] * 2, interval, color=look.colour, linewidth=SMALL.bar, zorder=3)
    untrained = [c for c in flat if c.backbone == 0]
    points = [Point(c, _at(ax, edges.x0 + _EDGE * number), reach) for number, c in enumerate(untrained, 1)]
    points += at_parameters(ax, [c for c in group.configurations if c.backbone > 0], reach, SMALL)
    obstacles += draw(ax, points, SMALL)
    ends = [point for curve in curves(points) for point in (curve[0], curve[-1])]
    ink = [style.look(point.configuration.name).ink for point in ends]
    labels = [
        Label(p.x, p.y, f"r={p.configuration.rank}", colour, style.pt(8.0)) for p, colour in zip(ends, ink, strict=True)
    ]
    below = [(point, point.configuration) for point in points if point.below]
    labels += [Label(p.x, p.y, f"{c.score.mean:.3f}", style.look(c.name).ink, style.pt(8.0)) for p, c in below]
    place(ax, labels, np.concatenate(obstacles))


def _at(ax: Axes, pixel: float) -> float:
    """The x in data coordinates of a column of pixels."""
    return float(ax.transData.inverted().transform((pixel, 0.0))[0])


def _flat(configuration: Configuration) -> bool:
    """Whether it is a line across its panel."""
    return configuration.backbone == 0 or configuration.name == "FullFineTuning"


def _method_keys(groups: Sequence[Group]) -> list[Any]:
    """One key a method for the legend, in the order of the first panel that has it."""
    from matplotlib.lines import Line2D

    found: dict[str, list[Configuration]] = {}
    for group in groups:
        for configuration in group.configurations:
            found.setdefault(configuration.name, []).append(configuration)
    joined = {c.name for group in groups for one in series(group.configurations) for c in one}
    keys = []
    for name, configurations in found.items():
        look = style.look(name)
        ranks = sorted({c.rank for c in configurations if c.rank is not None})
        dash: Any = look.dash if any(map(_flat, configurations)) else "-" if name in joined else "none"
        text = f"{look.name}, rank {ranks[0]} … {ranks[-1]}" if name in joined else look.name
        keys.append(
            Line2D(
                [], [], color=look.colour, linestyle=dash, linewidth=1.2, marker=look.marker, markersize=6.5,
                markeredgecolor="white", markeredgewidth=0.5, label=text,
            )
        )  # fmt: skip
    return keys


def _legend(ax: Axes, methods: Sequence[Any], baselines: Sequence[Any], *, across: int) -> None:
    """Methods side by side, baselines right below them, a line each."""
    from matplotlib.transforms import ScaledTranslation

    common: dict[str, Any] = {
        "fontsize": style.pt(8.5), "handlelength": 3.4, "borderaxespad": 0.0, "labelspacing": 0.45,
    }  # fmt: skip
    above = ax.legend(handles=methods, loc="upper left", ncols=across, columnspacing=1.6, **common)
    if baselines:
        ax.add_artist(above)
        down = ScaledTranslation(0.0, -style.pt(_KEY) * ceil(len(methods) / across), ax.figure.dpi_scale_trans)
        ax.legend(handles=baselines, loc="upper left", bbox_to_anchor=(0.0, 1.0),
                  bbox_transform=ax.transAxes + down, **common)  # fmt: skip


def _notes(groups: Sequence[Group], reaches: Sequence[axis.Reach]) -> list[str]:
    """What the marks mean, and what the panels do not show."""
    notes = [wording.once(groups, wording.seeds), wording.tunings(groups)]
    notes.append(
        "The scores' scales differ from panel to panel. Intervals that would cover each other stand a little apart."
    )
    if any(c.backbone == 0 for group in groups for c in group.configurations):
        notes.append("At the left edge: methods without trainable backbone parameters.")
    if any(reach.shown or reach.guessing is not None for reach in reaches):
        notes.append("Brown: baselines, which train no network; their intervals at the right edge.")
    notes.append(axis.cut(reaches))
    if any(_loose(group) for group in groups):
        notes.append("Marks of one method that no line joins differ in more than rank: see the task's own figures.")
    if any(reach.low < reach.floor for reach in reaches):
        notes.append("Grey band: below the axis, at the number given.")
    return [*notes, *axis.beyond(groups, reaches)]


def _loose(group: Group) -> bool:
    """Whether some method has several marks that are not all on one curve."""
    joined = [set(one) for one in series(group.configurations)]
    methods = {configuration.name for configuration in group.configurations}
    alike = [set(group.of(name)) for name in methods]
    return any(len(own) > 1 and own not in joined for own in alike)
