"""Figures of one's own data: confusion matrix, reliability diagram, score by the size of the training part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.report import style
from bench.report.data.own_data import Point, Reliability
from bench.report.figures.canvas import Canvas

MOST_CLASSES = 25
"""Of a confusion matrix; of more, those that are confused most."""
LETTERS = 18


def _brief(name: str) -> str:
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"


def confusion(matrix: NDArray[np.float64], names: Sequence[str], *, subject: str, notes: Sequence[str]) -> Canvas:
    """Of each true class (a row), the share that is taken for each class (a column), in per cent.

    Args:
        matrix: (classes, classes) samples.
        names: of the classes.
        subject: of which task and method.
        notes: below it.
    """
    wrong = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * np.diag(matrix)
    kept = np.sort(np.argsort(-wrong, kind="stable")[:MOST_CLASSES])
    part, shown = matrix[np.ix_(kept, kept)], [_brief(names[k]) for k in kept]
    shares = 100 * part / np.maximum(matrix.sum(axis=1)[kept, None], 1e-9)
    n = len(kept)
    side = max(3.2, 0.42 * n)
    canvas = Canvas(max(6.0, side + 2.6), side + 2.1, "Which classes are taken for which", subject)
    ax: Any = canvas.axes()
    ax.grid(visible=False)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="equal")
    size = 9 if n <= 12 else 7
    for row in range(n):
        for column in range(n):
            value = shares[row, column]
            if value >= 0.5:
                colour = "#FFFFFF" if value > 55 else "#222222"
                ax.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=size, color=colour)
    ax.set_xticks(range(n), shown, rotation=45 if n > 3 else 0, ha="right" if n > 3 else "center", fontsize=size)
    ax.set_yticks(range(n), shown, fontsize=size)
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")
    for spine in ax.spines.values():
        spine.set_visible(False)
    left = f"The {n} most confused of {len(names)} classes." if n < len(names) else ""
    canvas.finish(
        ["Per cent of each true class, a mean over seeds; less than half a per cent is left blank.", left, *notes]
    )
    return canvas


def reliability(found: Reliability, *, subject: str, notes: Sequence[str]) -> Canvas:
    """How often predictions of a certain confidence are right, and how many there are of each."""
    canvas = Canvas(6.0, 5.0, "How far its probabilities can be trusted", subject)
    top, bottom = canvas.figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    top.set_title(subject, fontsize=10, color=style.NOTE)
    top.plot([0, 1], [0, 1], color=style.NOTE, linewidth=1, linestyle=(0, (4, 3)))
    top.plot(found.confidence, found.accuracy, color="#0072B2", marker="o", markersize=6, linewidth=1.8)
    top.annotate("dashed: right as often as it says", (0.3, 0.1), fontsize=8.5, color=style.NOTE)
    top.annotate(f"calibration error {found.ece:.3f}", (0.03, 0.93), fontsize=10, va="top")
    top.set_ylim(-0.02, 1.02)
    top.set_ylabel("share that is right")
    bottom.bar(found.confidence, found.count / found.count.sum(), width=0.06, color="#999999")
    bottom.set_ylabel("share of all")
    bottom.set_xlabel("confidence: probability of the predicted class")
    bottom.set_xlim(0, 1.02)
    canvas.finish(["Below the dashed line it is surer than it should be, above it less sure.", *notes])
    return canvas


def data_curve(points: Sequence[Point], *, metric: str, method: str, subject: str, notes: Sequence[str]) -> Canvas:
    """The score on the same test part with parts of the training samples."""
    from matplotlib.patheffects import withStroke

    look = style.look(method)
    canvas = Canvas(6.0, 4.2, "Would more labels help?", subject)
    ax: Any = canvas.axes()
    x, y = [p.samples for p in points], [p.score.mean for p in points]
    for point in points:
        if point.score.interval is not None:
            low, high = point.score.interval
            ax.plot([point.samples] * 2, [low, high], color=look.colour, linewidth=1.6)
    ax.plot(x, y, color=look.colour, marker=look.marker, markersize=8, linewidth=1.8, linestyle=look.dash)
    for a, b in zip(x, y, strict=True):
        ax.annotate(
            f"{b:.3f}", (a, b), xytext=(9, 6), textcoords="offset points", fontsize=9,
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )  # fmt: skip
    ax.set_xscale("log", base=2)
    ax.set_xticks(x, [f"{n:,}" for n in x])
    ax.minorticks_off()
    ax.set_xlim(x[0] / 1.15, x[-1] * 1.35)
    ax.set_xlabel("training samples")
    ax.set_ylabel(style.metric_name(metric))
    canvas.finish([f"{look.name}, with as many steps on each.", *notes])
    return canvas
