"""Memory as published against ours, and every error beside its neighbours."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.report import style
from bench.report.data.published import MEASURED, Row, of_kind
from bench.report.figures.canvas import Canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOOKS = {
    "allocated": ("#0072B2", "o"),
    "after step": ("#009E73", "D"),
    "reserved": ("#E69F00", "s"),
    "nvidia-smi": ("#8B3A8B", "^"),
}
"""Colour and marker by what was measured; in grey the markers differ."""
_WITHIN = 0.08
"""How far below a figure of allocated memory no estimate should lie."""
_BAND, _LINE = "#EDEDED", "#777777"


def published(found: Sequence[Row]) -> Canvas:
    """Left: ours against published, log scales. Right: each error, a lane a kind of measurement."""
    known = [row for row in found if row.error is not None]
    canvas = Canvas(9.6, 5.2, "Estimated memory of a training step against published figures", "")
    (left, right), legend = canvas.panels(1, 2, below=0.1, widths=(1.0, 1.15))
    _against(left, known)
    _errors(right, known)
    handles, labels = left.get_legend_handles_labels()
    legend.legend(handles, labels, loc="center", ncols=4, fontsize=8.5, handletextpad=0.3)
    canvas.finish(
        [
            "Filled: all settings are told by the source; hollow: some are not. "
            f"Grey band: from {100 * _WITHIN:.0f} % below to {100 * _WITHIN:.0f} % above. Below the line: ours is too "
            "little, the dangerous side.",
            f"{len(known)} figures of {len({row.figure['source']['repository'] for row in known})} repositories; "
            "nothing was fitted to them.",
        ]
    )
    return canvas


def _against(ax: Axes, known: Sequence[Row]) -> None:
    sizes = [size / 2**30 for row in known for size in (row.published, row.ours or 0)]
    low, high = min(sizes, default=1.0) / 1.25, max(sizes, default=10.0) * 1.25
    ends = np.array([low, high])
    ax.fill_between(ends, ends * (1 - _WITHIN), ends * (1 + _WITHIN), color=_BAND, zorder=0)
    ax.plot(ends, ends, color=_LINE, linewidth=0.9, zorder=1)
    for measured, (colour, marker) in LOOKS.items():
        some = of_kind(known, measured)
        for row in some:
            _mark(ax, row.published / 2**30, (row.ours or 0) / 2**30, row, colour, marker)
        if some:
            ax.plot([], [], linestyle="", color=colour, marker=marker, markersize=6.5, label=MEASURED[measured])
    ticks = [n for n in (1, 2, 4, 8, 16, 32, 64, 128) if low <= n <= high]
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xticks(ticks, [str(n) for n in ticks])
    ax.set_yticks(ticks, [str(n) for n in ticks])
    ax.set_xticks([], minor=True)
    ax.set_yticks([], minor=True)
    ax.set_xlim(low, high)
    ax.set_ylim(low, high)
    ax.set_xlabel("published, GiB (log scale)")
    ax.set_ylabel("ours, GiB (log scale)")


def _errors(ax: Axes, known: Sequence[Row]) -> None:
    lanes = [measured for measured in LOOKS if of_kind(known, measured)]
    ax.axvspan(-100 * _WITHIN, 100 * _WITHIN, color=_BAND, zorder=0)
    ax.axvline(0, color=_LINE, linewidth=0.9, zorder=1)
    for lane, measured in enumerate(lanes):
        some = sorted(of_kind(known, measured), key=lambda row: (bool(row.unknown), row.error))
        for number, row in enumerate(some):
            y = lane - 0.36 + 0.72 * (number + 0.5) / len(some)
            _mark(ax, 100 * (row.error or 0.0), y, row, *LOOKS[measured])
    ax.set_yticks(range(len(lanes)), ["\n".join(textwrap.wrap(MEASURED[lane], 13)) for lane in lanes])
    ax.set_ylim(len(lanes) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("error of ours, % of the published figure")


def _mark(ax: Axes, x: float, y: float, row: Row, colour: str, marker: str) -> None:
    face = "white" if row.unknown else colour
    look: dict[str, Any] = {"marker": marker, "markersize": 6, "markerfacecolor": face, "markeredgewidth": 0.9}
    ax.plot(x, y, linestyle="", markeredgecolor=style.ink(colour), zorder=3, **look)
