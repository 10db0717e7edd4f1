"""What holds the activations of a training step: bytes by operation and by block, a column a method."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.report import style
from bench.report.data.activations import columns, operations, places
from bench.report.figures.canvas import Canvas
from bench.report.figures.heatmaps import grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = ("#FFFFFF", "#C6DBEF", "#6BAED6", "#2171B5", "#08306B")  # from light to dark, in grey too
_ROW, _THIN, _COLUMN = 0.3, 0.22, 1.16
MIB = 2**20


def activations(record: Mapping[str, Any]) -> Canvas:
    """Above: MiB that each layer's operation keeps. Below: the same MiB by block."""
    found = columns(record)
    rows, blocks = operations(found), places(found)
    values = [[column.by_operation.get(row, 0) / MIB for column in found] for row in rows]
    rest = [(column.total - sum(column.by_operation.get(row, 0) for row in rows)) / MIB for column in found]
    heights = [_ROW * (len(rows) + 2), _THIN * len(blocks)]
    size = 3.0 + _COLUMN * len(found), sum(heights) + 2.3
    canvas = Canvas(*size, f"What the forward pass keeps for the backward pass, {_subject(record)}", "")
    parts = canvas.figure.add_gridspec(2 if blocks else 1, 1, height_ratios=heights[: 2 if blocks else 1])
    above = canvas.figure.add_subplot(parts[0])
    _map(above, [*values, rest, [column.total / MIB for column in found]], colours=len(rows) + 1)
    heads = ["\n".join(textwrap.wrap(column.label, 13, break_on_hyphens=False)) for column in found]
    grid(above, [*rows, "all other operations", "all of it, MiB"], heads)
    for text in (above.get_yticklabels()[-1], *above.texts[-len(found) :]):
        text.set_fontweight("bold")
    if blocks:
        below = canvas.figure.add_subplot(parts[1])
        _map(below, np.array([column.by_place for column in found]).T / MIB, colours=len(blocks), size=7)
        grid(below, blocks, [f"step's peak:\n{style.size(column.peak)}" for column in found])
        below.xaxis.tick_bottom()
        below.tick_params(length=0)
    canvas.finish(_notes(record))
    return canvas


def _subject(record: Mapping[str, Any]) -> str:
    return f"{record['model']}, batch {record['batch']:,}"


def _device(record: Mapping[str, Any]) -> str:
    return "on CUDA" if record["device"].startswith("cuda") else f"on {record['device']}"


def _notes(record: Mapping[str, Any]) -> list[str]:
    notes = [
        "MiB of tensors that live when the forward pass ends, estimated from shapes alone "
        f"({record['precision']}, {_device(record)}). Above by the layer and operation that made them, below by "
        "block. A cast is a copy in another precision. The peak is that of the whole step, with weights, gradients, "
        "optimizer state and what the backward pass makes.",
    ]
    if any(run["checkpointing"] for run in record["runs"]):
        notes.append("With checkpointing, the backward pass makes the rest of one block again at a time.")
    if any(column.by_place[1:-1] and not column.by_place[1] for column in columns(record)):
        notes.append("Frozen blocks before the first that trains run once, before training, and keep nothing.")
    return notes


def _map(ax: Axes, values: Any, *, colours: int, size: float = 8.0) -> None:
    """Cells with their numbers; only the first rows are coloured."""
    from matplotlib.colors import LinearSegmentedColormap

    shown = np.array(values, dtype=float)
    tinted = np.where(np.arange(len(shown))[:, None] < colours, shown, 0.0)
    palette = LinearSegmentedColormap.from_list("little to much", _COLOURS)
    image = ax.imshow(tinted, cmap=palette, vmin=0, vmax=max(float(tinted.max()), 1e-9), aspect="auto")
    for (row, column), value in np.ndenumerate(shown):
        colour = style.on(image.to_rgba(tinted[row, column])[:3]) if value >= 0.5 else style.NOTE
        ax.text(column, row, _number(value), ha="center", va="center", fontsize=size, color=colour)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 0.5 else "–" if value == 0 else "< 1"
