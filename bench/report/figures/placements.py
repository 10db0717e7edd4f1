"""A heat map of rank × placement: where LoRA goes, and what it scores there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.report import style
from bench.report.data import differences, wording
from bench.report.data.budgets import budgets
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration
from bench.report.data.names import titles
from bench.report.figures import axis
from bench.report.figures.canvas import Canvas
from bench.report.figures.heatmaps import grid
from bench.stats import noise_floor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ORDER = {"q": 1, "k": 2, "v": 3, "o": 4, "q+v": 5, "attention": 6, "MLP": 7, "all linear": 8}
_ENDS = ("LinearProbe", "FullFineTuning")
_SPAN = 4  # noise floors that the colours span at least


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
    """Rank × placement of LoRA, a panel a task, with the linear probe and full fine-tuning below."""
    shown = [(g, table) for g in differences.comparable(groups) if (table := _table(g))]
    places = _sorted(place for _, table in shown for place in table.rows)
    ends = [name for name in _ENDS if any(g.of(name) for g, _ in shown)]
    across = min(3, len(shown))
    wide = max(len(table.columns) for _, table in shown)
    width = max(6.5, 1.4 + across * (0.9 + 1.3 * wide))
    high = 1.2 + 0.34 * (len(places) + len(ends))
    canvas = Canvas(width, ceil(len(shown) / across) * high + 1.3, "LoRA by placement and rank", "")
    panels = canvas.figure.subplots(ceil(len(shown) / across), across, squeeze=False)
    for ax in panels.flat[len(shown) :]:
        ax.set_axis_off()
    names = titles([g for g, _ in shown])
    for number, (ax, (group, table), title) in enumerate(zip(panels.flat, shown, names, strict=False)):
        _panel(ax, group, table, places, ends, named=number % across == 0)
        ax.set_title(f"{title}\n{axis.score_name(group)}", fontsize=8.5, color=style.NOTE)
    notes = [wording.seeds(shown[0][0]).replace("with", "±", 1).replace("95% interval", "half its 95% interval")]
    notes.append(
        f"Brighter is better. The colours span the placements' means, at least {_SPAN} times the noise floor, so that "
        "noise looks alike. Scores beyond that span have the colour of its end."
    )
    if any(table.budgets for _, table in shown):
        notes.append("A column: the same number of trainable parameters, within 30%.")
    canvas.finish(
        [*notes, differences.left_out(groups), wording.tunings([g for g, _ in shown]), shown[0][0].device + "."]
    )
    return canvas


def _panel(
    ax: Axes, group: Group, table: Table, places: Sequence[str], ends: Sequence[str], *, named: bool
) -> None:  # fmt: skip
    """One task: cells of the placements, and a row each for what is below them."""
    from matplotlib.patches import Rectangle

    values = np.full((len(places) + len(ends), len(table.columns)), np.nan)
    cells = {(places.index(table.rows[row]), column): c for (row, column), c in table.cells.items()}
    for at, configuration in cells.items():
        values[at] = configuration.score.mean
    low, high = _colours(group, [c.score.mean for c in cells.values()])
    colours = "cividis" if differences.sign(group.metric) > 0 else "cividis_r"  # bright is better
    image = ax.imshow(values, cmap=colours, aspect="auto", vmin=low, vmax=high)
    for row, column in np.ndindex(len(places), len(table.columns)):
        if c := cells.get((row, column)):
            _write(ax, (column, row), f"r={c.rank}: " if table.budgets else "", c, image)
        else:
            ax.text(column, row, "–", ha="center", va="center", fontsize=8, color=style.NOTE)
    grid(ax, [*places, *(style.look(name).name for name in ends)] if named else [""] * len(values), table.columns)
    middle = (len(table.columns) - 1) / 2
    for row, name in enumerate(ends, len(places)):
        if c := max(differences.whole(group.of(name)), key=lambda c: _better(c), default=None):
            colour = image.to_rgba(np.array(c.score.mean))
            corner = (-0.5, row - 0.47)
            ax.add_patch(Rectangle(corner, len(table.columns), 0.94, facecolor=colour, linewidth=0, zorder=2.6))
            _write(ax, (middle, row), "", c, image)
        else:
            ax.text(middle, row, "–", ha="center", va="center", fontsize=8, color=style.NOTE)
    if ends:
        ax.axhline(len(places) - 0.5, color="white", linewidth=5, zorder=2.7)
    ax.set_xlabel("trainable parameters" if table.budgets else "rank", fontsize=8.5)
    ax.xaxis.set_label_position("top")


def _write(ax: Axes, at: tuple[float, float], before: str, c: Configuration, image: Any) -> None:
    """Mean and half the interval, readable on their colour."""
    half = f" ±{(c.score.interval[1] - c.score.interval[0]) / 2:.3f}" if c.score.interval else ""
    colour = style.on(image.to_rgba(np.array(c.score.mean))[:3])
    ax.text(*at, f"{before}{c.score.mean:.3f}{half}", ha="center", va="center", fontsize=7.8, color=colour, zorder=3)


def _better(c: Configuration) -> float:
    return differences.sign(c.metric) * c.score.mean


def _colours(group: Group, means: Sequence[float]) -> tuple[float, float]:
    """Between which scores the colours run: no nearer together than noise alone sets means apart."""
    floor = noise_floor([c.score.values for c in group.configurations]) or 0.0
    half, middle = max((max(means) - min(means)) / 2, _SPAN * floor / 2, 1e-6), (max(means) + min(means)) / 2
    return middle - half, middle + half


def _table(group: Group) -> Table | None:
    """LoRA's placements; by budget of parameters where that fills the table better than by rank."""
    loras = [c for c in group.of("LoRA") if c.rank is not None]
    places = _sorted(map(_placement, loras))
    if len(places) < 2:
        return None
    budget = budgets({c: c.backbone for c in loras})
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


def _sorted(places: Iterable[str]) -> list[str]:
    """From single projections to all, in all blocks before in some."""
    return sorted(set(places), key=lambda name: (name.count(","), _ORDER.get(name.split(",")[0], 0), name))


def _placement(configuration: Configuration) -> str:
    """q+v, attention, MLP or all linear, and in which blocks."""
    at, blocks = configuration.config.get("at") or (), configuration.config.get("blocks")
    text = style.short("at", at)
    return text + (f",\n{style.short('blocks', blocks)}" if blocks else "")
