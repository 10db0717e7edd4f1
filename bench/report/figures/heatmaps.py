"""A heat map of method × task: differences from full fine-tuning, each task in colours of its own."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.report import style
from bench.report.data import differences, wording
from bench.report.data.groups import Group
from bench.report.data.names import headings
from bench.report.figures.canvas import Canvas
from bench.stats import noise_floor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = ("#7F3B08", "#D98032", "#F7F7F7", "#B9CFEB", "#7C9FD3")  # worse is darker, so that grey has a sign too
UNDECIDED = "Undecided: seeds that agree to the last sample, or an interval as wide as can be."


def has_full(groups: Sequence[Group]) -> bool:
    """Whether anything can be held against full fine-tuning."""
    return any(differences.full(g) and len(g.configurations) > 1 for g in differences.comparable(groups))


def difference_map(groups: Sequence[Group]) -> Canvas:
    """Each configuration less full fine-tuning, a column a task: positive is better."""
    from matplotlib.colors import LinearSegmentedColormap

    shown = [g for g in differences.comparable(groups) if differences.full(g) and len(g.configurations) > 1]
    found = [_against_full(group) for group in shown]
    keys = list(dict.fromkeys(k for column in found for k in column))
    keys.sort(key=lambda k: _place(k, shown))
    canvas = Canvas(3.6 + 2.2 * len(shown), 2.1 + 0.36 * len(keys), "Difference from full fine-tuning", "")
    ax = canvas.figure.add_subplot()
    values = np.array([[_points(column.get(k)) for column in found] for k in keys], dtype=float)
    limits = np.array([_limit(group, own) for group, own in zip(shown, values.T, strict=True)])
    colours = LinearSegmentedColormap.from_list("worse to better", _COLOURS)
    image = ax.imshow(values / limits, cmap=colours, vmin=-1, vmax=1, aspect="auto")
    for row, k in enumerate(keys):
        for column, table in enumerate(found):
            _write(ax, column, row, table.get(k), image.to_rgba(values[row, column] / limits[column])[:3])
    grid(ax, [label for label, _ in keys], _heads(shown, limits))
    bar = canvas.figure.colorbar(image, ax=ax, pad=0.02, aspect=30)
    bar.set_ticks([-1, 0, 1], labels=["worse", "0", "better"], fontsize=9)
    notes = [
        "Mean difference with Student's 95% interval, paired by seed, in points (hundredths of the metric); positive: "
        "better than full fine-tuning. Bold, ▲ ▼: significant, as the interval leaves out 0; △ ▽: no significant "
        "difference. One interval in twenty leaves out 0 by chance. Each column has its own range of colours, given in "
        "its head and at least twice its noise floor. In grey, dark is worse.",
        UNDECIDED if any(map(_few, (one for column in found for one in column.values()))) else "",
        differences.left_out(groups),
    ]
    canvas.finish([*notes, wording.tunings(shown), shown[0].device + "."])
    return canvas


def _limit(group: Group, points: Sequence[float]) -> float:
    """Where a column's colours end: at its largest difference, but never so near 0 that noise is coloured."""
    floor = noise_floor([c.score.values for c in group.configurations]) or 0.0
    known = [abs(value) for value in points if np.isfinite(value)]
    return max([*known, 200 * floor, 1e-9])


def _heads(groups: Sequence[Group], limits: Iterable[float]) -> list[str]:
    """Of the columns: task, metric, what full fine-tuning scores, and how far the colours go."""
    found = []
    for name, group, limit in zip(headings(groups), groups, limits, strict=True):
        base = differences.full(group)
        score = f"full fine-tuning: {base.score.mean:.3f}" if base else ""
        name = "\n".join(textwrap.wrap(name, 30))
        found.append(f"{name}\n{style.metric_name(group.metric)}\n{score}\ncolours: ±{limit:.1f}")
    return found


def _few(one: differences.Comparison) -> bool:
    """Whether an interval is none to judge by."""
    return one.verdict == differences.UNDECIDED and one.difference is not None and one.difference.interval is not None


def _against_full(group: Group) -> dict[differences.Key, differences.Comparison]:
    base = differences.full(group)
    assert base is not None  # asked for only where there is one
    return {differences.key(one.configuration): one for one in differences.against(group, base)}


def _place(key: differences.Key, groups: Sequence[Group]) -> tuple[int, int, str]:
    """Methods as the first group that has them orders them, from small to large."""
    names = list(dict.fromkeys(c.name for g in groups for c in g.configurations))
    own = next(c for g in groups for c in g.configurations if differences.key(c) == key)
    return names.index(own.name), own.backbone, key[1]


def _points(one: differences.Comparison | None) -> float:
    return 100 * one.difference.mean if one and one.difference else np.nan


def _write(ax: Axes, column: int, row: int, one: differences.Comparison | None, colour: Any) -> None:
    """The number in a cell, readable on its colour."""
    if one is None or one.difference is None:
        ax.text(column, row, "–", ha="center", va="center", fontsize=8, color=style.NOTE)
        return
    found = one.difference
    ends = "({} to {})".format(*(_signed(end) for end in found.interval)) if found.interval else "(one seed)"
    ends = "(undecided)" if _few(one) else ends
    sure = one.verdict in (differences.BETTER, differences.WORSE)
    above = found.mean > 0
    symbol = ("▲" if above else "▼") if sure else ("△" if above else "▽") if abs(found.mean) > 1e-9 else ""
    text = f"{symbol} {_signed(found.mean)} {ends}".strip()
    weight = "bold" if sure else "normal"
    ax.text(column, row, text, ha="center", va="center", fontsize=7.8, color=style.on(colour), fontweight=weight)


def _signed(difference: float) -> str:
    """In points."""
    return style.signed(100 * difference)


def grid(ax: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
    """Names of rows and columns, and white lines between the cells."""
    ax.set_yticks(range(len(rows)), rows, fontsize=8.5)
    ax.set_xticks(range(len(columns)), columns, fontsize=8.5)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
    ax.grid(visible=True, which="minor", color="white", linewidth=1.5)
    ax.tick_params(which="minor", length=0)
