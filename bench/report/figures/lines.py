"""Horizontal lines: what has no place on the other axis, or is the mark that the others are measured by."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.report import style
from bench.report.data import wording
from bench.report.data.groups import Group
from bench.report.data.measured import Baseline, Configuration, Estimate
from bench.report.data.names import headings
from bench.report.figures.axis import Reach
from bench.report.figures.labels import Array, along, spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINE = 14.0  # pixels for a line of a name
_MOVED = 6.0  # pixels from which a name is tied to its line


@dataclass(frozen=True)
class Line:
    """One horizontal line with what it is called right of the axes, in as many lines as it takes."""

    name: str
    score: Estimate
    look: style.Look
    width: float = 1.2
    band: float = 0.08


def of_methods(configurations: Iterable[Configuration]) -> list[Line]:
    """Lines of methods: the thicker ones."""
    return [Line(c.label.replace(" ", "\n", 1), c.score, style.look(c.name)) for c in configurations]


def of_baselines(baselines: Iterable[Baseline]) -> list[Line]:
    """Lines of baselines: the thinner ones."""
    return [
        Line("\n".join(textwrap.wrap(r.label, 17)), r.score, style.baseline_look(r.number), width=1.0, band=0.1)
        for r in baselines
    ]


def of_chance(reach: Reach) -> list[Line]:
    """The line of guessing, where it is known: thin and dotted."""
    known = reach.chance is not None
    return [Line("chance", Estimate((reach.chance or 0.0,)), style.CHANCE, width=0.9)] * known


def within(reach: Reach) -> list[tuple[style.Look, float]]:
    """Baselines and chance that the axis reaches: look and score of each."""
    known = [(style.baseline_look(baseline.number), baseline.score.mean) for baseline in reach.shown]
    known += [(style.CHANCE, reach.guessing)] if reach.guessing is not None else []
    return [(look, score) for look, score in known if reach.holds(score)]


def draw_lines(ax: Axes, lines: Sequence[Line], reach: Reach) -> list[Any]:
    """Horizontal lines with bands, named right of the axes; returns the names.

    Args:
        ax: axes whose limits are final.
        lines: what to draw.
        reach: of the axis; what lies beyond is only named at its end.
    """
    names = []
    for line in sorted(lines, key=lambda line: line.score.mean):  # below the axis too, what is lower stands lower
        look, score = line.look, line.score
        beyond = " ↓" * (score.mean < reach.floor) + " ↑" * (score.mean > reach.high)
        if not beyond:
            ax.axhline(score.mean, color=look.colour, linewidth=line.width, linestyle=look.dash, zorder=1.5)
        if score.interval and not beyond:
            ax.axhspan(*score.interval, color=look.colour, alpha=line.band, linewidth=0, zorder=0.5)
        text, at = f"{line.name}\n{score.mean:.3f}{beyond}", min(reach.at(score.mean), reach.high)
        names.append(
            ax.text(
                1.012, at, text, transform=ax.get_yaxis_transform(), color=look.ink, fontsize=8.5, va="center",
                linespacing=1.05,
            )
        )  # fmt: skip
    return names


def keys(groups: Sequence[Group], reaches: Sequence[Reach], *, letters: int) -> list[Any]:
    """A key of a legend for every baseline that a panel shows, and for chance; with its tasks if not on all.

    Args:
        groups: of the panels.
        reaches: of their axes.
        letters: in a line of a key.
    """
    from matplotlib.lines import Line2D

    tasks: dict[tuple[style.Look, str], list[str]] = {}
    for task, reach in zip(headings(groups), reaches, strict=True):
        for baseline in reach.shown:
            tasks.setdefault((style.baseline_look(baseline.number), baseline.label), []).append(task)
    for task, reach in zip(headings(groups), reaches, strict=True):
        if reach.guessing is not None:
            tasks.setdefault((style.CHANCE, "chance"), []).append(task)
    found = []
    for (look, label), where in tasks.items():
        dash: Any = look.dash
        text = label if len(where) == len(groups) else f"{label} ({wording.several(where)})"
        text = "\n".join(textwrap.wrap(text, letters))
        found.append(Line2D([], [], color=look.colour, linestyle=dash, linewidth=1.2, label=text))
    return found


def move_apart(ax: Axes, names: Sequence[Any]) -> Array:
    """Move names apart that would touch; returns the pixels of the lines, few: a label may cover them."""
    left, right = ax.get_xlim()
    ends = [ax.transData.transform([(left, name.get_position()[1]), (right, name.get_position()[1])]) for name in names]
    heights = [_LINE * (name.get_text().count("\n") + 1) for name in names]
    frame = ax.get_window_extent()
    moved = spread([float(end[0, 1]) for end in ends], heights, within=(frame.y0 - 20.0, frame.y1 + 6.0))
    for name, end, height in zip(names, ends, moved, strict=True):
        at = float(ax.transData.inverted().transform((0.0, height))[1])
        if abs(height - end[1, 1]) > _MOVED:
            ax.plot(
                [1.001, 1.007], [name.get_position()[1], at], transform=ax.get_yaxis_transform(),
                color=name.get_color(), linewidth=0.7, clip_on=False, scalex=False, scaley=False,
            )  # fmt: skip
        name.set_y(at)
    return np.concatenate([np.empty((0, 2)), *(along(end, step=8.0) for end in ends)])
