"""Labels that do not overlap: each goes to the free place nearest to its point, with a thin leader if far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]
_ANGLES = np.deg2rad(np.arange(0, 360, 22.5) + 90)  # upward first: the usual place of a label
_GAPS = (8.0, 12.0, 19.0, 28.0, 40.0, 55.0, 72.0)  # pixels between the point and the label
_LEADER_FROM = 14.0


@dataclass(frozen=True)
class Label:
    """A text that belongs to a point, in data coordinates."""

    x: float
    y: float
    text: str
    colour: str
    size: float = 8.5
    weight: str = "normal"


@dataclass(frozen=True)
class _Places:
    """Where one label could stand, in pixels: c candidates, from near and above to far.

    Args:
        boxes: (c, 4) x0, y0, x1, y1.
        leaders: (c, k, 2) points along the leader, not a number where the label stands close enough without.
        costs: (c,) what each place costs before other labels are considered.
    """

    boxes: Array
    leaders: Array
    costs: Array


def along(points: Array, step: float = 3.0) -> Array:
    """Points every `step` pixels along a line: obstacles for labels.

    Args:
        points: (n, 2) corners of the line in pixels.

    Returns:
        (m, 2) pixels.
    """
    parts = [points[:1]]
    for start, end in pairwise(points):
        number = max(2, int(np.hypot(*(end - start)) / step) + 1)
        parts.append(start + np.linspace(0, 1, number)[1:, None] * (end - start))
    return np.concatenate(parts)


def place(ax: Axes, labels: Sequence[Label], obstacles: Array) -> None:
    """Write every label where it covers neither another nor what is drawn, as near to its point as can be.

    Args:
        ax: axes whose layout and limits are final.
        labels: in order of importance; the first choose first.
        obstacles: (n, 2) pixels that are better not covered: markers, error bars, lines.
    """
    texts = [_text(ax, label) for label in labels]
    renderer = cast("Any", ax.figure.canvas).get_renderer()
    frame = np.array(ax.get_window_extent(renderer).extents) + np.array([5.0, 5.0, -5.0, -5.0])
    places = []
    for text, label in zip(texts, labels, strict=True):
        point = np.array(ax.transData.transform((label.x, label.y)))
        places.append(_places(point, np.array(text.get_window_extent(renderer).size), frame, obstacles))
    back = ax.transData.inverted()
    for text, label, (box, leader) in zip(texts, labels, _choose(places), strict=True):
        text.set_position(back.transform((box[:2] + box[2:]) / 2))
        if np.isfinite(leader).all():
            ends = back.transform(leader[[0, -1]])
            ax.plot(*ends.T, color=label.colour, linewidth=0.6, alpha=0.8, zorder=2.5, scalex=False)


def _choose(places: Sequence[_Places]) -> list[tuple[Array, Array]]:
    """A box and a leader for every label; later rounds mend what the first labels could not know."""
    chosen: dict[int, tuple[Array, Array]] = {}
    for _ in range(3):
        for index, own in enumerate(places):
            others = [other for key, other in chosen.items() if key != index]
            best = int(np.argmin(own.costs + _conflicts(own, others)))
            chosen[index] = own.boxes[best], own.leaders[best]
    return [chosen[index] for index in range(len(places))]


def _text(ax: Axes, label: Label) -> Any:
    from matplotlib.patheffects import withStroke

    halo = withStroke(linewidth=2.0, foreground="white")
    return ax.text(
        label.x, label.y, label.text, color=label.colour, fontsize=label.size, fontweight=label.weight,
        ha="center", va="center_baseline", zorder=6, path_effects=[halo],
    )  # fmt: skip


def _places(point: Array, size: Array, frame: Array, obstacles: Array) -> _Places:
    """All places around a point, costed by their distance, what they cover, and leaving the frame."""
    gaps, angles = (grid.ravel() for grid in np.meshgrid(_GAPS, _ANGLES, indexing="ij"))
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    centres = point + directions * (gaps[:, None] + size / 2)
    boxes = np.concatenate([centres - size / 2, centres + size / 2], axis=1)
    nearest = np.clip(point, boxes[:, :2], boxes[:, 2:])
    near = (obstacles > boxes[:, :2].min(axis=0)) & (obstacles < boxes[:, 2:].max(axis=0))
    obstacles = obstacles[near[:, 0] & near[:, 1]]  # no others can be covered
    away = np.hypot(*(nearest - point).T)[:, None]
    starts = point + (nearest - point) * np.minimum(1.0, 5.0 / np.maximum(away, 1e-9))  # outside the marker
    leaders = starts[:, None] + np.linspace(0, 1, 14)[None, :, None] * (nearest - starts)[:, None]
    leaders[gaps < _LEADER_FROM] = np.nan
    costs = 0.16 * gaps + 0.02 * np.tile(np.arange(len(_ANGLES)), len(_GAPS))
    costs += 3.0 * _inside(obstacles, boxes)
    outside = np.concatenate([frame[:2] - boxes[:, :2], boxes[:, 2:] - frame[2:]], axis=1)
    costs += 5.0 * np.maximum(0, outside).sum(axis=1)
    middle = leaders[:, 3:-1].reshape(-1, 2)  # the ends may touch the marker and the text
    crossed = _inside(obstacles, np.concatenate([middle - 2.0, middle + 2.0], axis=1)) > 0
    return _Places(boxes, leaders, costs + 0.8 * crossed.reshape(len(boxes), -1).sum(axis=1))


def _conflicts(own: _Places, others: Sequence[tuple[Array, Array]]) -> Array:
    """(c,) what each place costs because other labels and their leaders stand there."""
    cost = np.zeros(len(own.boxes))
    for box, leader in others:
        shared = np.minimum(own.boxes[:, 2:], box[2:] + 3) - np.maximum(own.boxes[:, :2], box[:2] - 3)
        cost += np.where((shared > 0).all(axis=1), 100.0 + shared.prod(axis=1), 0.0)
        cost += 6.0 * _inside(leader, own.boxes)
        cost += 6.0 * ((own.leaders > box[:2]) & (own.leaders < box[2:])).all(axis=2).sum(axis=1)
    return cost


def _inside(points: Array, boxes: Array) -> NDArray[np.int64]:
    """(c,) how many of the points lie in each of the boxes."""
    x, y = points[None, :, 0], points[None, :, 1]
    left, bottom, right, top = (boxes[:, at, None] for at in range(4))
    return np.asarray(((x > left) & (x < right) & (y > bottom) & (y < top)).sum(axis=1))


def spread(
    positions: Sequence[float], heights: Sequence[float], *, within: tuple[float, float] = (-np.inf, np.inf)
) -> list[float]:
    """Centres of things that shall not touch, moved as little as it takes, in the same order.

    Args:
        positions: where each would stand.
        heights: how much room each takes.
        within: where the outermost edges may lie, as long as all fit in.
    """
    order = np.argsort(positions, kind="stable")
    sizes = np.array([heights[index] for index in order])
    offsets = np.cumsum(sizes) - (sizes + sizes[:1]) / 2  # of each from the first, where all touch
    blocks: list[list[float]] = []  # each: sum of wished starts, members
    for count, index in enumerate(order):
        blocks.append([positions[index] - float(offsets[count]), 1.0])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            last = blocks.pop()
            blocks[-1] = [blocks[-1][0] + last[0], blocks[-1][1] + last[1]]
    moved = [total / number for total, number in blocks for _ in range(int(number))]
    result = [0.0] * len(positions)
    for count, index in enumerate(order):
        lowest = within[0] + float(sizes[0]) / 2
        highest = within[1] - float(offsets[-1]) - float(sizes[-1]) / 2
        result[index] = max(min(moved[count], highest), lowest) + float(offsets[count])
    return result
