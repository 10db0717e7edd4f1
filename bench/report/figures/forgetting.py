"""Learning against forgetting: the score on the new task, and what is left of an old one."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from statistics import mean
from typing import TYPE_CHECKING

import numpy as np

from bench.report import style
from bench.report.data import differences, wording
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration, Estimate
from bench.report.figures import axis
from bench.report.figures.canvas import Canvas
from bench.report.figures.labels import Label, along, place

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 2  # panels side by side
_ROOM = 0.12  # of the axes, beyond what they show


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
    canvas = Canvas(*size, "What is learned, and what is left of an old task", "")
    panels = canvas.figure.subplots(rows, columns, squeeze=False).flat
    for ax, group in zip(panels, shown, strict=False):
        _frame(ax, group)
    for ax in list(panels)[len(shown) :]:
        ax.set_axis_off()
    canvas.finish([
        wording.seeds(shown[0]) + " Of an old task: accuracy on its test part under a linear head that was fitted to "
        "the untouched network and never again; the dotted line is the untouched network's. Nothing is chosen by it.",
        wording.tunings(shown), differences.left_out(groups), shown[0].device + ".",
    ])  # fmt: skip
    for ax, group in zip(canvas.figure.axes, shown, strict=False):
        _fill(ax, group)
    return canvas


def _frame(ax: Axes, group: Group) -> None:
    """Names and limits, which the means and the untouched network decide: few seeds make long intervals."""
    known = _known(group)
    xs = [c.score.mean for c in known]
    ys = [mean(c.retained.values()) for c in known] + [mean(known[0].untouched.values())]
    for values, set_limits in ((xs, ax.set_xlim), (ys, ax.set_ylim)):
        room = max(_ROOM * (max(values) - min(values)), 0.01)
        set_limits(min(values) - 2 * room, min(max(values) + 2 * room, 1.03))  # no accuracy is above 1
    ax.set_xlabel(f"{group.task}, learned: {axis.score_name(group)}", fontsize=style.pt(9))
    ax.set_ylabel(f"{known[0].old_task}, left: accuracy (test)", fontsize=style.pt(9))
    ax.set_title(group.subject, fontsize=style.pt(9.5), fontweight="bold", color="#222222")
    ax.tick_params(labelsize=style.pt(8.5))


def _fill(ax: Axes, group: Group) -> None:
    """Marks with intervals both ways, and their names."""
    known = _known(group)
    before = mean(known[0].untouched.values())
    ax.axhline(before, color=style.NOTE, linewidth=1.0, linestyle=":", zorder=1.5)
    obstacles = [along(np.asarray(ax.transData.transform([(x, before) for x in ax.get_xlim()])), step=8.0)]
    labels = []
    for c in known:
        look, left = style.look(c.name), Estimate(tuple(c.retained.values()))
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
