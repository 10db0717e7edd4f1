"""A forest plot of published claims: our effect with its interval beside what was claimed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.report import style
from bench.report.figures.canvas import Canvas

MARKS = {
    "CONFIRMED": ("o", "black"),
    "NO BETTER": ("s", "0.6"),
    "REFUTED": ("X", "black"),
    "INCONCLUSIVE": ("o", "white"),
}
"""They differ in shape and fill, in grey too."""
_REACH = 10.0  # points: what goes on beyond is cut, with an arrow


@dataclass(frozen=True)
class Row:
    """One difference of a claim.

    Args:
        name: the claim's.
        verdict: the claim's.
        effect, interval: ours, in points.
        claimed: theirs, in points; None where no figure is stated.
    """

    name: str
    verdict: str
    effect: float
    interval: tuple[float, float]
    claimed: float | None


def forest(rows: Sequence[Row], subject: str) -> Canvas:
    """A line a difference; the claimed effect is a bar across it, and grey is what counts as a point or less."""
    canvas = Canvas(7.2, 1.6 + 0.26 * len(rows), "Published claims, and what our records say", subject)
    ax = canvas.axes()
    ax.axvspan(-1, 1, color="0.92", zorder=0)
    ax.axvline(0, color="0.4", linewidth=0.8, zorder=1)
    for y, row in enumerate(rows):
        low, high = (max(-_REACH, min(_REACH, end)) for end in row.interval)
        ax.plot([low, high], [y, y], color="black", linewidth=1.2, zorder=2)
        for end, cut, mark in ((low, row.interval[0] < -_REACH, "<"), (high, row.interval[1] > _REACH, ">")):
            if cut:
                ax.plot(end, y, marker=mark, color="black", markersize=5, zorder=3)
        if row.claimed is not None:
            ax.plot(row.claimed, y, marker="|", color="black", markersize=13, markeredgewidth=2, zorder=3)
        mark, fill = MARKS[row.verdict]
        ax.plot(row.effect, y, marker=mark, color="black", markerfacecolor=fill, markersize=6, zorder=4)
    ax.set_yticks(range(len(rows)), [row.name for row in rows], fontsize=style.pt(8))
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlim(-_REACH * 1.04, _REACH * 1.04)
    ax.set_xlabel("difference in points of accuracy, 95% interval", fontsize=style.pt(9))
    canvas.finish([
        "Black circle: confirmed. Grey square: no better by more than a point. Cross: refuted. White circle: "
        "inconclusive. Upright bar: the effect claimed, where the source states one. Grey band: a point either way. "
        "Arrow: goes on. Claims whose rule is not on a difference, or without records, are left out.",
    ])  # fmt: skip
    return canvas
