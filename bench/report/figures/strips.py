"""A row a configuration: scores where trainable parameters hardly differ, so that their axis would say nothing."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

from bench.report import style
from bench.report.data import differences, wording
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration
from bench.report.data.names import titles
from bench.report.figures import axis, lines
from bench.report.figures.canvas import Canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 3  # panels side by side
_ROW, _PANEL, _LETTER = 0.235, 2.7, 0.068  # inches of a row, of a panel's width, of a letter
_LETTERS = 36  # of a name on one line


def strips(groups: Sequence[Group]) -> Canvas:
    """The score of every configuration, a row each, from few to many trainable parameters; a panel a group.

    Args:
        groups: with configurations, in the order of the panels.
    """
    narrow = style.in_column()
    columns = 1 if narrow else min(_COLUMNS, len(groups))
    rows = [_rows(groups[start : start + columns]) for start in range(0, len(groups), columns)]
    reaches = [axis.reach(group) for group in groups]
    names = {key: _name(key[0]) for own in rows for key in own}
    width = style.COLUMN if narrow else max(8.4, _LETTER * max(map(_longest, names.values())) + _PANEL * columns + 0.6)
    keys = [*_method_keys(groups), *lines.keys(groups, reaches, letters=38 if narrow else 100)]
    beside = _beside([key.get_label() for key in keys], width - _LETTER * max(map(_longest, names.values())))
    heights = [style.pt(_ROW * sum(names[key].count("\n") + 1 for key in own) + 0.75) for own in rows]
    below = style.pt(0.2) * ceil(len(keys) / beside) + 0.1
    heading = f"{_headline(groups)} by configuration, from few to many trainable backbone parameters"
    canvas = Canvas(width, sum(heights) + below + (0.1 if narrow else 1.4), heading, "")
    panels, legend = _panels(canvas, heights, columns, below)
    for number, (group, title) in enumerate(zip(groups, titles(groups), strict=True)):
        own = rows[number // columns]
        _panel(panels[number], group, reaches[number], own, [names[key] for key in own] if not number % columns else ())
        title = "\n".join(textwrap.wrap(title, 24 if style.in_column() else 30))
        panels[number].set_title(title, fontsize=style.pt(9.5), fontweight="bold", color="#222222")
    for ax in panels[len(groups) :]:
        ax.set_axis_off()
    legend.legend(handles=keys, loc="upper left", ncols=beside, fontsize=style.pt(8.5), handlelength=3.4,
                  borderaxespad=0.0, labelspacing=0.45)  # fmt: skip
    canvas.finish(_notes(groups, reaches))
    return canvas


def beside_memory(
    group: Group, known: Sequence[tuple[Configuration, float]], *, label: str, notes: Sequence[str]
) -> Canvas:
    """Memory and score of every configuration side by side, a row each, from little to much memory.

    Args:
        group: with configurations.
        known: configurations with their memory.
        label: of the memory's axis.
        notes: how it is known.
    """
    memory = {differences.key(c): (c, value) for c, value in sorted(known, key=lambda one: (one[1], one[0].label))}
    names, reach = {key: _name(key[0]) for key in memory}, axis.reach(group)
    keys = [*_method_keys([group]), *lines.keys([group], [reach], letters=100)]
    width = max(9.6, _LETTER * max(map(_longest, names.values())) + 2 * _PANEL + 0.6)
    beside = _beside([key.get_label() for key in keys], width - _LETTER * max(map(_longest, names.values())))
    high, below = (
        _ROW * sum(name.count("\n") + 1 for name in names.values()) + 0.75,
        0.2 * ceil(len(keys) / beside) + 0.1,
    )
    heading = f"{axis.score_name(group)} beside peak training memory, from little to much memory"
    canvas = Canvas(width, high + below + 1.4, heading, "")
    (left, right), legend = _panels(canvas, [high], 2, below)
    _panel(right, group, reach, list(memory), ())
    _memory(left, list(memory.values()))
    left.set_yticks(range(len(names)), list(names.values()), fontsize=8.5)
    left.set_xlabel(label, fontsize=9)
    left.set_title(group.title, fontsize=9.5, fontweight="bold", color="#222222")
    legend.legend(handles=keys, loc="upper left", ncols=beside, fontsize=8.5, handlelength=3.4,
                  borderaxespad=0.0, labelspacing=0.45)  # fmt: skip
    said = [wording.seeds(group), "Faint dots: single seeds.", wording.tuning(group), *notes, axis.cut([reach])]
    said.append("Grey band: below the axis, at the number given." if reach.low < reach.floor else "")
    canvas.finish([*said, *axis.beyond([group], [reach]), group.specs])
    return canvas


def _memory(ax: Axes, known: Sequence[tuple[Configuration, float]]) -> None:
    """A row a configuration: how far its memory goes from 0."""
    ax.set_ylim(len(known) - 0.4, -0.6)
    ax.set_xlim(0, 1.08 * max(value for _, value in known))
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelsize=8.5)
    for y, (c, value) in enumerate(known):
        look = style.look(c.name)
        ax.plot([0, value], [y, y], color=look.colour, linewidth=1.2, alpha=0.5, zorder=2)
        ax.plot([value], [y], marker=look.marker, markersize=7, color=look.colour, markeredgecolor="white", zorder=4)


def _panels(canvas: Canvas, heights: Sequence[float], columns: int, below: float) -> tuple[list[Axes], Axes]:
    """Axes row by row, each row as high as it has configurations, and empty ones for the legend."""
    grid = canvas.figure.add_gridspec(len(heights) + 1, columns, height_ratios=[*heights, below])
    panels = [canvas.figure.add_subplot(grid[row, column]) for row in range(len(heights)) for column in range(columns)]
    legend: Axes = canvas.figure.add_subplot(grid[len(heights), :])
    legend.set_axis_off()
    return panels, legend


def _rows(groups: Sequence[Group]) -> list[differences.Key]:
    """Configurations that any of the panels side by side has, by size in the first that has it."""
    found: dict[differences.Key, Configuration] = {}
    for group in groups:
        for c in group.configurations:
            found.setdefault(differences.key(c), c)
    return sorted(found, key=lambda key: (found[key].backbone, found[key].name))


def _beside(labels: Sequence[str], room: float) -> int:
    """In how many columns the keys of a legend fit into so many inches."""
    half = ceil(len(labels) / 2)
    needed = sum(0.7 + _LETTER * max(map(_longest, column), default=0) for column in (labels[:half], labels[half:]))
    return 1 if style.in_column() or needed > room else 2


def _name(label: str) -> str:
    return "\n".join(textwrap.wrap(label, 22 if style.in_column() else _LETTERS))


def _longest(name: str) -> int:
    return max(map(len, name.split("\n")))


def _headline(groups: Sequence[Group]) -> str:
    names = list(dict.fromkeys(axis.score_name(group) for group in groups))
    return names[0] if len(names) == 1 else "Test score"


def _panel(ax: Axes, group: Group, reach: axis.Reach, rows: Sequence[differences.Key], names: Sequence[str]) -> None:
    """One group; the names of the rows only where they are given."""
    axis.draw_scale(ax, reach, across=True, size=style.pt(8.5))
    ax.set_xlabel(axis.score_name(group), fontsize=style.pt(9))
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_yticks(range(len(rows)), names or [""] * len(rows), fontsize=style.pt(8.5))
    ax.tick_params(axis="y", length=0)
    for look, score in _vertical(group, reach):
        ax.axvline(score, color=look.colour, linestyle=look.dash, linewidth=1.1, zorder=1.5)
    known = {differences.key(c): c for c in group.configurations}
    for y, key in enumerate(rows):
        if key in known:
            _draw(ax, y, known[key], reach)
    ax.text(1.02, -0.75, "parameters", transform=ax.get_yaxis_transform(), fontsize=style.pt(7.5), color=style.NOTE,
            va="bottom")  # fmt: skip


def _draw(ax: Axes, y: int, c: Configuration, reach: axis.Reach) -> None:
    """One configuration: mean, interval, seeds, and what it trains."""
    look, below = style.look(c.name), c.score.mean < reach.floor
    if not below:
        ax.plot(c.score.values, [y] * len(c.score.values), linestyle="none", marker=".", markersize=style.pt(5),
                markeredgewidth=0, color=look.colour, alpha=0.35, zorder=2)  # fmt: skip
        if c.score.interval:
            ax.plot(c.score.interval, [y, y], color=look.colour, linewidth=1.2, zorder=3)
    ax.plot([reach.at(c.score.mean)], [y], marker=look.marker, markersize=style.pt(7), color=look.colour,
            markeredgecolor="white", markeredgewidth=0.7, zorder=4)  # fmt: skip
    if below:
        ax.annotate(f"{c.score.mean:.3f}", (reach.floor, y), xytext=(4, 0), textcoords="offset points", va="center",
                    fontsize=style.pt(8), color=look.ink)  # fmt: skip
    size = style.count(c.backbone) if c.backbone else "0"
    ax.text(1.02, y, size, transform=ax.get_yaxis_transform(), fontsize=style.pt(7.5), color=style.NOTE,
            va="center_baseline")  # fmt: skip


def _vertical(group: Group, reach: axis.Reach) -> list[tuple[style.Look, float]]:
    """Lines to hold the rows against: full fine-tuning, what leaves the backbone as it is, baselines, chance."""
    marks = [(style.look(c.name), c.score.mean) for c in group.configurations if _line(c)]
    return [(look, score) for look, score in marks if reach.holds(score)] + lines.within(reach)


def _line(configuration: Configuration) -> bool:
    return configuration.backbone == 0 or configuration.name == differences.FULL


def _method_keys(groups: Sequence[Group]) -> list[Any]:
    """Of the lines that are means of methods."""
    from matplotlib.lines import Line2D

    looks = dict.fromkeys(style.look(c.name) for group in groups for c in group.configurations if _line(c))
    return [
        Line2D([], [], color=look.colour, linestyle=look.dash, linewidth=1.1, label=f"mean of {look.name}")  # type: ignore[arg-type]
        for look in looks
    ]


def _notes(groups: Sequence[Group], reaches: Sequence[axis.Reach]) -> list[str]:
    notes = [
        wording.once(groups, wording.seeds),
        "Faint dots: single seeds. Most configurations train about the same number of backbone parameters: it stands "
        "right of each row, in place of an axis.",
        "The scores' scales differ from panel to panel." if len(groups) > 1 else wording.noise(groups[0]),
        wording.tunings(groups),
        axis.cut(reaches),
    ]
    if any(reach.low < reach.floor for reach in reaches):
        notes.append("Grey band: below the axis, at the number given.")
    notes += axis.beyond(groups, reaches)
    return [*notes, groups[0].specs if len(groups) == 1 else groups[0].device + "."]
