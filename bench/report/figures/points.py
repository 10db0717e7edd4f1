"""Points with their intervals and the curves through them, and which pixels they cover."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.report import style
from bench.report.data.measured import Configuration
from bench.report.data.ranks import series
from bench.report.figures.labels import Array, along

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Point:
    """Where a configuration stands.

    Args:
        configuration: whose score it shows.
        x: in data coordinates.
        floor: where the y axis begins.
    """

    configuration: Configuration
    x: float
    floor: float

    @property
    def y(self) -> float:
        """The mean, or the floor for what lies below the axis."""
        return max(self.configuration.score.mean, self.floor)

    @property
    def below(self) -> bool:
        """Whether the axis does not reach down to it."""
        return self.configuration.score.mean < self.floor


@dataclass(frozen=True)
class Pen:
    """How heavily points are drawn: sizes and widths in points, alpha from 0 to 1.

    Args:
        side: pixels between points that would cover each other.
    """

    marker: float = 7.5
    side: float = 10.0
    bar: float = 1.2
    bar_alpha: float = 1.0
    curve: float = 1.6
    curve_alpha: float = 0.8
    seeds: bool = True


PLAIN = Pen()
FAINT = Pen(bar_alpha=0.5, curve=0.9, curve_alpha=0.5)  # intervals and curves stand back, where points crowd
SMALL = Pen(marker=5.8, side=7.0, bar=0.9, curve=1.2, seeds=False)  # for panels


def side_by_side(ax: Axes, shown: Sequence[Configuration], floor: float, pen: Pen = PLAIN) -> list[Point]:
    """Where each point stands: at its own x, or a few pixels beside a point it would cover."""
    order = sorted(shown, key=lambda c: (c.rank is None, c.backbone, c.name))  # curves stay where they are
    taken: list[tuple[float, float, float]] = []
    points = []
    for configuration in order:
        low, high = configuration.score.interval or (configuration.score.mean,) * 2
        (x, y0), (_, y1) = ax.transData.transform([(configuration.backbone, y) for y in (low, high)])
        near = [other for other, bottom, top in taken if y0 - 8 <= top and y1 + 8 >= bottom]
        moves = (side * pen.side * step for step in range(6) for side in (1, -1))
        move = next((m for m in moves if all(abs(x + m - other) >= pen.side - 1 for other in near)), 0.0)
        taken.append((x + move, y0, y1))
        moved = float(ax.transData.inverted().transform((x + move, y0))[0])
        points.append(Point(configuration, moved if move else float(configuration.backbone), floor))
    return points


def draw(ax: Axes, points: Sequence[Point], pen: Pen = PLAIN) -> list[Array]:
    """Points, intervals, seeds and curves over ranks; returns the pixels they cover."""
    covered = [_draw_point(ax, point, pen) for point in points]
    for curve in curves(points):
        look = style.look(curve[0].configuration.name)
        corners = [(point.x, point.y) for point in curve]
        ax.plot(
            *zip(*corners, strict=True), color=look.colour, zorder=2.8, linewidth=pen.curve, alpha=pen.curve_alpha,
        )  # fmt: skip
        covered.append(along(ax.transData.transform(corners)))
    return covered


def _draw_point(ax: Axes, point: Point, pen: Pen) -> Array:
    look, score = style.look(point.configuration.name), point.configuration.score
    low, high = (point.y, point.y) if point.below else score.interval or (score.mean, score.mean)
    if not point.below and pen.seeds:
        ax.plot(
            [point.x] * len(score.values), score.values, linestyle="none", marker=".", markersize=5,
            markeredgewidth=0, color=look.colour, alpha=0.35, zorder=2,
        )  # fmt: skip
    if not point.below:
        ax.plot([point.x] * 2, [low, high], color=look.colour, linewidth=pen.bar, alpha=pen.bar_alpha, zorder=3)
    ax.plot(
        [point.x], [point.y], linestyle="none", marker=look.marker, markersize=pen.marker, color=look.colour,
        markeredgecolor=look.colour if point.below else "white", markeredgewidth=1.2 if point.below else 0.7,
        fillstyle="none" if point.below else "full", clip_on=False, zorder=4,
    )  # fmt: skip
    pixels = ax.transData.transform([(point.x, low), (point.x, high), (point.x, point.y)])
    return np.concatenate([along(pixels[:2]), pixels[2] + 5.0 * _disc()])


def _disc() -> Array:
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def curves(points: Sequence[Point]) -> list[list[Point]]:
    """Points of one `series`, in order of rank."""
    at = {point.configuration: point for point in points}
    return [[at[configuration] for configuration in one] for one in series(list(at))]
