"""Heat maps: method × task against full fine-tuning, and rank × placement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.report import style
from bench.report.data import differences, wording
from bench.report.data.budgets import budgets
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration
from bench.report.data.names import headings, titles
from bench.report.figures import axis
from bench.report.figures.canvas import Canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ORDER = {"q": 1, "k": 2, "v": 3, "o": 4, "q+v": 5, "attention": 6, "MLP": 7, "all linear": 8}
UNDECIDED = "Undecided: seeds that agree to the last sample, or an interval as wide as can be."


def has_full(groups: Sequence[Group]) -> bool:
    """Whether anything can be held against full fine-tuning."""
    return any(differences.full(g) and len(g.configurations) > 1 for g in differences.comparable(groups))


def difference_map(groups: Sequence[Group]) -> Canvas:
    """Each configuration less full fine-tuning, a column a task: positive is better."""
    shown = [g for g in differences.comparable(groups) if differences.full(g) and len(g.configurations) > 1]
    found = [_against_full(group) for group in shown]
    keys = list(dict.fromkeys(k for column in found for k in column))
    keys.sort(key=lambda k: _place(k, shown))
    canvas = Canvas(3.6 + 2.0 * len(shown), 1.9 + 0.36 * len(keys), "Difference from full fine-tuning", "")
    ax = canvas.figure.add_subplot()
    values = np.array([[_points(column.get(k)) for column in found] for k in keys], dtype=float)
    limit = max(1.0, float(np.nanquantile(np.abs(values), 0.9))) if np.isfinite(values).any() else 1.0
    image = ax.imshow(values, cmap="PuOr", vmin=-1.5 * limit, vmax=1.5 * limit, aspect="auto")
    for row, k in enumerate(keys):
        for column, table in enumerate(found):
            _write(ax, column, row, table.get(k), image)
    names = [f"{name}\n{style.metric_name(g.metric)}" for name, g in zip(headings(shown), shown, strict=True)]
    _grid(ax, [label for label, _ in keys], names)
    bar = canvas.figure.colorbar(image, ax=ax, extend="both", pad=0.02, aspect=30)
    bar.set_label("points (hundredths of the metric)", fontsize=9)
    notes = [
        "Mean difference with Student's 95% interval, paired by seed, in points; positive: better than full "
        "fine-tuning. Bold: the interval leaves out 0; else there is no significant difference. Of many intervals "
        "one in twenty leaves 0 out by chance.",
        UNDECIDED if any(map(_few, (one for column in found for one in column.values()))) else "",
        differences.left_out(groups),
    ]
    canvas.finish([*notes, wording.tunings(shown), shown[0].device + "."])
    return canvas


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


def _write(ax: Axes, column: int, row: int, one: differences.Comparison | None, image: Any) -> None:
    """The number in a cell, readable on its colour."""
    if one is None or one.difference is None:
        ax.text(column, row, "–", ha="center", va="center", fontsize=8, color=style.NOTE)
        return
    found = one.difference
    ends = f"({_signed(found.interval[0])} to {_signed(found.interval[1])})" if found.interval else "(one seed)"
    ends = "(undecided)" if _few(one) else ends
    weight = "bold" if one.verdict in (differences.BETTER, differences.WORSE) else "normal"
    colour = style.on(image.to_rgba(100 * found.mean)[:3])
    text = f"{_signed(found.mean)}  {ends}"
    ax.text(column, row, text, ha="center", va="center", fontsize=7.8, color=colour, fontweight=weight)


def _signed(difference: float) -> str:
    """In points, with a sign, and no minus before zero."""
    return f"{round(100 * difference, 1) + 0.0:+.1f}"


def _grid(ax: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
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


@dataclass(frozen=True)
class Table:
    """Placements of one method on one task.

    Args:
        rows: placements.
        columns: ranks, or budgets of parameters where placements have ranks of their own.
        cells: by row and column.
        budgets: whether columns are budgets.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: Mapping[tuple[int, int], Configuration]
    budgets: bool


def has_placements(groups: Sequence[Group]) -> bool:
    """Whether any group has a method at several placements."""
    return any(_table(group) for group in differences.comparable(groups))


def placements(groups: Sequence[Group]) -> Canvas:
    """Rank × placement of LoRA, a panel a task."""
    shown = [(g, table) for g in differences.comparable(groups) if (table := _table(g))]
    across = min(3, len(shown))
    rows = max(len(table.rows) for _, table in shown)
    wide = max(len(table.columns) for _, table in shown)
    width = max(6.5, across * (2.1 + 1.3 * wide))
    canvas = Canvas(width, ceil(len(shown) / across) * (1.1 + 0.34 * rows) + 1.3, "LoRA by placement and rank", "")
    panels = canvas.figure.subplots(ceil(len(shown) / across), across, squeeze=False)
    for ax in panels.flat[len(shown) :]:
        ax.set_axis_off()
    for ax, (group, table), title in zip(panels.flat, shown, titles([g for g, _ in shown]), strict=False):
        _panel(ax, group, table, title)
    notes = [wording.seeds(shown[0][0]).replace("with", "±", 1).replace("95% interval", "half its 95% interval")]
    if any(table.budgets for _, table in shown):
        notes.append("A column: the same number of trainable parameters, within three tenths.")
    canvas.finish(
        [*notes, differences.left_out(groups), wording.tunings([g for g, _ in shown]), shown[0][0].device + "."]
    )
    return canvas


def _panel(ax: Axes, group: Group, table: Table, title: str) -> None:
    values = np.full((len(table.rows), len(table.columns)), np.nan)
    for at, configuration in table.cells.items():
        values[at] = configuration.score.mean
    image = ax.imshow(values, cmap="cividis", aspect="auto")
    for (row, column), c in table.cells.items():
        half = (c.score.interval[1] - c.score.interval[0]) / 2 if c.score.interval else None
        text = f"{c.score.mean:.3f}" + (f" ±{half:.3f}" if half is not None else "")
        text = f"r={c.rank}: {text}" if table.budgets else text
        colour = style.on(image.to_rgba(np.array(c.score.mean))[:3])
        ax.text(column, row, text, ha="center", va="center", fontsize=7.8, color=colour)
    _grid(ax, table.rows, table.columns)
    ax.set_xlabel("trainable parameters" if table.budgets else "rank", fontsize=8.5)
    ax.xaxis.set_label_position("top")
    ax.set_title(f"{title}\n{axis.score_name(group)}", fontsize=8.5, color=style.NOTE)


def _table(group: Group) -> Table | None:
    """LoRA's placements; by budget of parameters where that fills the table better than by rank."""
    loras = [c for c in group.of("LoRA") if c.rank is not None]
    places = sorted({_placement(c) for c in loras}, key=lambda name: (name.count(","), _ORDER.get(name, 0), name))
    if len(places) < 2:
        return None
    budget = budgets(loras)
    options: list[tuple[list[Any], dict[Configuration, Any], bool]] = [
        (sorted({c.rank for c in loras}), {c: c.rank for c in loras}, False),
        (sorted(set(budget.values())), budget, True),
    ]
    columns, of, by_budget = min(options, key=lambda option: len(option[0]))
    cells = {(places.index(_placement(c)), columns.index(of[c])): c for c in loras}
    if len(cells) < len(loras):
        return None  # two in one place: they differ in more than rank and placement
    names = [style.count(column) if by_budget else str(column) for column in columns]
    return Table(tuple(places), tuple(names), cells, by_budget)


def _placement(configuration: Configuration) -> str:
    """q+v, attention, MLP or all linear, and in which blocks."""
    at, blocks = configuration.config.get("at") or (), configuration.config.get("blocks")
    text = style.short("at", at)
    return text + (f",\n{style.short('blocks', blocks)}" if blocks else "")
