"""Learning against forgetting: the score on the new task, and on an old one under its old head."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from statistics import mean
from typing import TYPE_CHECKING

import numpy as np

from bench.report import style
from bench.report.data import differences, wording
from bench.report.data.chance import chance
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration, Estimate
from bench.report.figures import axis
from bench.report.figures.canvas import Canvas
from bench.report.figures.labels import Label, along, place

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 2  # panels side by side
_ROOM = 0.07  # of the axes, beyond what they show


def has_old_task(groups: Sequence[Group]) -> bool:
    """Whether it is known what networks still know of an old task."""
    return bool(_shown(groups))


def _shown(groups: Sequence[Group]) -> list[Group]:
    return [group for group in differences.comparable(groups) if _known(group)]


def _known(group: Group) -> list[Configuration]:
    return [c for c in group.configurations if c.retained and c.untouched]


def learning_vs_forgetting(groups: Sequence[Group]) -> Canvas:
    """Up and to the right is better. Biderman et al. 2024 draw the same of language models (arXiv:2405.09673)."""
    shown = _shown(groups)
    narrow = style.in_column()
    columns = 1 if narrow else min(_COLUMNS, len(shown))
    rows = ceil(len(shown) / columns)
    size = (style.COLUMN, 2.6 * rows) if narrow else (6.6 if columns == 1 else 10.6, 3.9 * rows + 1.2)
    canvas = Canvas(*size, "Accuracy on a new task, and on an old one under its old head", "")
    panels = canvas.figure.subplots(rows, columns, squeeze=False).flat
    for ax, group in zip(panels, shown, strict=False):
        _frame(ax, group)
    for ax in list(panels)[len(shown) :]:
        ax.set_axis_off()
    canvas.finish([
        wording.seeds(shown[0]) + " Upwards: accuracy on the old task's test part under a linear head that was "
        "fitted to the pretrained network only. A fall shows drift, not knowledge lost. Dotted: the pretrained "
        "network. Nothing is chosen by it.",
        _cut(shown),
        *_notes(shown), wording.tunings(shown), differences.left_out(groups), shown[0].device + ".",
    ])  # fmt: skip
    for ax, group in zip(canvas.figure.axes, shown, strict=False):
        _fill(ax, group)
    return canvas


def _old_task(c: Configuration) -> Estimate:
    """The accuracy on it under its old head."""
    return Estimate(tuple(c.retained.values()), *style.extent(str(c.runs[0]["retained"]["metric"])))


def _ends(group: Group) -> tuple[list[float], list[float]]:
    """Of the intervals, on both axes."""
    known = [(c.score.interval, _old_task(c).interval) for c in _known(group)]
    learned = [end for interval, _ in known for end in interval or ()]
    return learned, [end for _, interval in known for end in interval or ()]


def _limits(group: Group) -> tuple[tuple[float, float], tuple[float, float]]:
    """Of both axes: all means, the untouched network and chance, and intervals while means keep a third of it."""
    known, guess = _known(group), chance(group)
    learned = [c.score.mean for c in known]
    left = [_old_task(c).mean for c in known] + [mean(known[0].untouched.values())]
    span = max(learned) - min(learned)
    if guess is not None and min(learned) - guess < span:
        learned.append(guess)
    most = (style.extent(group.metric), style.extent(str(known[0].runs[0]["retained"]["metric"])))
    found = [_around(*pair) for pair in zip((learned, left), _ends(group), most, strict=True)]
    return found[0], found[1]


def _around(means: Sequence[float], ends: Sequence[float], most: tuple[float, float]) -> tuple[float, float]:
    """The limits of one axis, which go hardly beyond what a score can be."""
    low, high = min(means), max(means)
    room = max(high - low, 0.02)
    low, high = max(min([low, *ends]), low - room), min(max([high, *ends]), high + room)
    margin = _ROOM * (high - low) or 0.01
    return max(low - margin, most[0] - margin / 2), min(high + margin, most[1] + margin / 2)


def _cut(groups: Sequence[Group]) -> str:
    """A sentence where intervals go on beyond their panel."""
    pairs = [pair for group in groups for pair in zip(_limits(group), _ends(group), strict=True)]
    beyond = any(not low <= end <= high for (low, high), ends in pairs for end in ends)
    return "Intervals that meet the edge of a panel go on beyond it." if beyond else ""


def _notes(groups: Sequence[Group]) -> list[str]:
    """Of chance, where it is known and lies beyond an axis: in a panel its line is named."""
    far = []
    for group in groups:
        guess, (low, high) = chance(group), _limits(group)[0]
        far.append(([("chance", guess)] if guess is not None and not low <= guess <= high else [], low))
    return axis.outside(groups, far)


def _frame(ax: Axes, group: Group) -> None:
    """Names and limits."""
    known = _known(group)
    across, up = _limits(group)
    ax.set_xlim(*across)
    ax.set_ylim(*up)
    ax.set_xlabel(f"{group.task}, learned: {axis.score_name(group)}", fontsize=style.pt(9))
    ax.set_ylabel(f"{known[0].old_task}, old head: accuracy (test)", fontsize=style.pt(9))
    ax.set_title(group.subject, fontsize=style.pt(9.5), fontweight="bold", color="#222222")
    ax.tick_params(labelsize=style.pt(8.5))


def _fill(ax: Axes, group: Group) -> None:
    """Marks with intervals both ways, and their names."""
    known, guess = _known(group), chance(group)
    before = mean(known[0].untouched.values())
    ax.axhline(before, color=style.NOTE, linewidth=1.0, linestyle=":", zorder=1.5)
    obstacles = [along(np.asarray(ax.transData.transform([(x, before) for x in ax.get_xlim()])), step=8.0)]
    labels = []
    if guess is not None and ax.get_xlim()[0] <= guess <= ax.get_xlim()[1]:
        ax.axvline(guess, color=style.CHANCE.colour, linewidth=0.9, linestyle=style.CHANCE.dash, zorder=1.5)
        labels.append(Label(guess, sum(ax.get_ylim()) / 2, "chance", style.CHANCE.ink, style.pt(8.0)))
    for c in known:
        look, left = style.look(c.name), _old_task(c)
        x, y = c.score.mean, left.mean
        for ends, flat in ((c.score.interval, True), (left.interval, False)):
            if ends:
                line = [(end, y) if flat else (x, end) for end in ends]
                ax.plot(*zip(*line, strict=True), color=look.colour, linewidth=0.8, alpha=0.4, zorder=2)
        ax.plot(
            [x], [y], marker=look.marker, color=look.colour, markersize=style.pt(7.5), markeredgecolor="white",
            markeredgewidth=0.7, linestyle="none", zorder=4,
        )  # fmt: skip
        obstacles.append(
            np.asarray(ax.transData.transform([(x, y)])) + 4.0 * np.array([[-1, 0], [1, 0], [0, 1], [0, -1]])
        )
        labels.append(Label(x, y, c.label, look.ink, style.pt(8.0)))
    place(ax, labels, np.concatenate(obstacles))
