"""Points with their intervals and the curves through them, and which pixels they cover."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from bench.report import style
from bench.report.data.measured import Configuration
from bench.report.data.ranks import series
from bench.report.figures.axis import Reach
from bench.report.figures.labels import Array, along

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Point:
    """Where a configuration stands.

    Args:
        configuration: whose score it shows.
        x: in data coordinates.
        reach: of the y axis.
        bar: where its interval stands; at `x` without.
        scale: of its mark, smaller where it stands on another.
    """

    configuration: Configuration
    x: float
    reach: Reach
    bar: float | None = None
    scale: float = 1.0

    @property
    def y(self) -> float:
        """The mean, or the band for what lies below the axis."""
        return self.reach.at(self.configuration.score.mean)

    @property
    def below(self) -> bool:
        """Whether the axis does not reach down to it."""
        return self.configuration.score.mean < self.reach.floor


@dataclass(frozen=True)
class Pen:
    """How heavily points are drawn: sizes and widths in points, alpha from 0 to 1.

    Args:
        aside: pixels between intervals of points with the same x.
    """

    marker: float = 7.5
    aside: float = 3.0
    bar: float = 1.2
    bar_alpha: float = 1.0
    curve: float = 1.6
    curve_alpha: float = 0.8
    seeds: bool = True


PLAIN = Pen()
FAINT = Pen(bar_alpha=0.5, curve=0.9, curve_alpha=0.5)  # intervals and curves stand back, where points crowd
SMALL = Pen(marker=5.8, aside=2.2, bar=0.9, curve=1.2, seeds=False)  # for panels


def at_parameters(ax: Axes, shown: Sequence[Configuration], reach: Reach, pen: Pen = PLAIN) -> list[Point]:
    """Every configuration at its own number of parameters: never beside it.

    Where intervals would cover each other, they are drawn a few pixels apart, within the width of the marks; where
    marks would, the upper one is smaller.
    """
    order = sorted(shown, key=lambda c: (c.rank is None, c.backbone, c.name))  # curves stay where they are
    bars: list[tuple[float, float, float]] = []
    marks: list[Array] = []
    points = []
    for c in order:
        low, high = c.score.interval or (c.score.mean,) * 2
        (x, y0), (_, y1), mark = ax.transData.transform([(c.backbone, y) for y in (low, high, reach.at(c.score.mean))])
        near = [other for other, bottom, top in bars if y0 - 8 <= top and y1 + 8 >= bottom]
        moves = (side * pen.aside * step for step in range(4) for side in (1, -1))
        move = next((m for m in moves if all(abs(x + m - other) >= pen.aside - 0.5 for other in near)), 0.0)
        under = sum(bool(np.hypot(*(mark - other)) < 0.8 * pen.marker) for other in marks)
        bars.append((x + move, y0, y1))
        marks.append(mark)
        moved = float(ax.transData.inverted().transform((x + move, y0))[0]) if move else float(c.backbone)
        points.append(Point(c, float(c.backbone), reach, moved, max(0.4, 0.68**under)))
    return points


def set_aside(points: Sequence[Point]) -> bool:
    """Whether any interval does not stand at its point's own x."""
    return any(point.bar not in (None, point.x) for point in points)


def draw(ax: Axes, points: Sequence[Point], pen: Pen = PLAIN) -> list[Array]:
    """Points, intervals, seeds and curves over ranks; returns the pixels they cover."""
    covered = [_draw_point(ax, point, pen) for point in points]
    for curve in curves(points):
        look = style.look(curve[0].configuration.name)
        corners = [(point.x, point.y) for point in curve]
        for pair in pairwise(curve):
            dash = ":" if any(point.below for point in pair) else "-"  # down to the band, no slope is true
            ax.plot(
                [point.x for point in pair], [point.y for point in pair], color=look.colour, zorder=2.8,
                linewidth=pen.curve, alpha=pen.curve_alpha, linestyle=dash,
            )  # fmt: skip
        covered.append(along(ax.transData.transform(corners)))
    return covered


def _draw_point(ax: Axes, point: Point, pen: Pen) -> Array:
    look, score = style.look(point.configuration.name), point.configuration.score
    low, high = (point.y, point.y) if point.below else score.interval or (score.mean, score.mean)
    bar = point.x if point.bar is None else point.bar
    if not point.below and pen.seeds:
        ax.plot(
            [bar] * len(score.values), score.values, linestyle="none", marker=".", markersize=5,
            markeredgewidth=0, color=look.colour, alpha=0.35, zorder=2,
        )  # fmt: skip
    if not point.below:
        ax.plot([bar] * 2, [low, high], color=look.colour, linewidth=pen.bar, alpha=pen.bar_alpha, zorder=3)
    ax.plot(
        [point.x], [point.y], linestyle="none", marker=look.marker, markersize=pen.marker * point.scale,
        color=look.colour, markeredgecolor="white", markeredgewidth=0.7, clip_on=False, zorder=5 - point.scale,
    )  # fmt: skip
    pixels = ax.transData.transform([(bar, low), (bar, high), (point.x, point.y)])
    return np.concatenate([along(pixels[:2]), pixels[2] + 5.0 * _disc()])


def _disc() -> Array:
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def curves(points: Sequence[Point]) -> list[list[Point]]:
    """Points of one `series`, in order of rank."""
    at = {point.configuration: point for point in points}
    return [[at[configuration] for configuration in one] for one in series(list(at))]
