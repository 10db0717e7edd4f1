"""Accuracy against what it costs: trainable parameters, or seconds of training."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.report import style, words
from bench.report.groups import Configuration, Group
from bench.report.labels import Array, Label, along, place, spread
from bench.report.sheet import Sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIDE = 10.0  # pixels between points that would cover each other


@dataclass(frozen=True)
class _Point:
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


def against_parameters(group: Group) -> Sheet:
    """Accuracy against trainable backbone parameters; full fine-tuning and the probe are also lines."""
    sheet = Sheet(8.4, 5.4, f"{_metric(group)} against trainable backbone parameters", group.subject)
    ax = sheet.axes()
    shown = [c for c in group.configurations if c.backbone > 0]
    lines = [c for c in group.configurations if c.backbone == 0 or c.name == "FullFineTuning"]
    floor = _frame(ax, group, [float(c.backbone) for c in shown] or [1e4, 1e7], log=True)
    ax.set_xlabel("trainable backbone parameters (log scale; the head is trained too and not counted)")
    ax.xaxis.set_major_formatter(lambda value, _: style.count(value))
    notes = [*_notes(group, floor), words.noise(group)]
    if lines:
        notes.append("Lines and bands: methods without trainable backbone parameters, and full fine-tuning.")
    names = _references(ax, lines, floor)
    sheet.finish([*notes, group.specs])
    points = _side_by_side(ax, shown, floor)
    if any(point.x != point.configuration.backbone for point in points):
        sheet.finish([*notes, "Points of the same size stand side by side.", group.specs])
    covered = [_apart(ax, names), *_draw(ax, points)]
    unnamed = [point for point in points if point.configuration not in lines]
    place(ax, _labels(unnamed), np.concatenate(covered))
    return sheet


def against_time(group: Group) -> Sheet:
    """Accuracy against seconds of training."""
    sheet = Sheet(8.4, 5.4, f"{_metric(group)} against training time", group.subject)
    ax = sheet.axes()
    timed = [(c, c.seconds.mean) for c in group.configurations if c.seconds and c.seconds.mean > 0]
    xs = [x for _, x in timed] or [1.0, 10.0]
    log = max(xs) > 100 * min(xs)  # seconds add up: a linear axis as long as it can be read
    floor = _frame(ax, group, xs, log=log)
    points = [_Point(configuration, x, floor) for configuration, x in timed]
    ax.set_xlabel("training time of one run, tuning not counted" + (" (log scale)" if log else ""))
    ax.xaxis.set_major_formatter(lambda value, _: style.seconds(value))
    sheet.finish([*_notes(group, floor), group.specs])
    place(ax, _labels(points), np.concatenate([np.empty((0, 2)), *_draw(ax, points, faint=True)]))
    return sheet


def _metric(group: Group) -> str:
    name = style.metric_name(group.metric)
    return f"{name[0].upper()}{name[1:]} (test)"


def _notes(group: Group, floor: float) -> list[str]:
    notes = [words.seeds(group) + " Faint dots: single seeds.", words.tuning(group)]
    if any(c.score.mean < floor for c in group.configurations):
        notes.append("↓: lies below the axis, at the number given (hollow marker).")
    return notes


def _floor(group: Group) -> float:
    """Where the axis begins: a few methods far below the others must not press those into one line."""
    means = sorted(c.score.mean for c in group.configurations)
    gaps = [upper - lower for lower, upper in pairwise(means)]
    few = len(means) // 3
    if few and max(gaps[:few]) > 0.75 * (means[-1] - means[0]):
        means = means[int(np.argmax(gaps[:few])) + 1 :]
    return min(value for c in group.configurations if c.score.mean >= means[0] for value in c.score.values)


def _frame(ax: Axes, group: Group, xs: Sequence[float], *, log: bool) -> float:
    """Set limits and scales, final before labels are placed; returns where the y axis begins."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    floor = _floor(group)
    top = max(value for c in group.configurations for value in c.score.values)
    margin = max(0.09 * (top - floor), (0.02 - (top - floor)) / 2)  # do not blow up what hardly differs
    ax.set_ylim(floor - margin, top + margin)
    ax.set_ylabel(_metric(group))
    low, high = min(xs), max(xs)
    if log:
        ax.set_xscale("log")
        around = max(1.4, (high / low) ** 0.09, (30 * low / high) ** 0.5)
        ax.set_xlim(low / around, high * around)
        subs = (1.0,) if high / low > 200 else (1.0, 2.0, 5.0)
        ax.xaxis.set_major_locator(LogLocator(subs=subs))
        ax.xaxis.set_minor_formatter(NullFormatter())
    else:
        around = 0.12 * (high - low) or 0.2 * high
        ax.set_xlim(max(0.0, low - around), high + around)
        ax.xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
    return floor - margin


def _references(ax: Axes, lines: Sequence[Configuration], floor: float) -> list[Any]:
    """Horizontal lines with bands, named right of the axes; returns the names."""
    names = []
    for configuration in lines:
        look, score = style.look(configuration.name), configuration.score
        below = score.mean < floor
        if not below:
            ax.axhline(score.mean, color=look.colour, linewidth=1.2, linestyle=look.dash, zorder=1.5)
        if score.interval and not below:
            ax.axhspan(*score.interval, color=look.colour, alpha=0.08, linewidth=0, zorder=0.5)
        text = f"{configuration.label.replace(' ', chr(10), 1)}\n{score.mean:.3f}{' ↓' * below}"
        names.append(
            ax.text(
                1.012, max(score.mean, floor), text, transform=ax.get_yaxis_transform(), color=look.ink, fontsize=8.5,
                va="center", linespacing=1.05,
            )
        )  # fmt: skip
    return names


def _apart(ax: Axes, names: Sequence[Any]) -> Array:
    """Move names apart that would touch; returns the pixels of the lines, few: a label may cover them."""
    left, right = ax.get_xlim()
    ends = [ax.transData.transform([(left, name.get_position()[1]), (right, name.get_position()[1])]) for name in names]
    heights = spread([float(end[0, 1]) for end in ends], gap=40.0)
    for name, height in zip(names, heights, strict=True):
        name.set_y(float(ax.transData.inverted().transform((0.0, height))[1]))
    return np.concatenate([np.empty((0, 2)), *(along(end, step=8.0) for end in ends)])


def _side_by_side(ax: Axes, shown: Sequence[Configuration], floor: float) -> list[_Point]:
    """Where each point stands: at its own x, or a few pixels beside a point it would cover."""
    order = sorted(shown, key=lambda c: (c.rank is None, c.backbone, c.name))  # curves stay where they are
    taken: list[tuple[float, float, float]] = []
    points = []
    for configuration in order:
        low, high = configuration.score.interval or (configuration.score.mean,) * 2
        (x, y0), (_, y1) = ax.transData.transform([(configuration.backbone, y) for y in (low, high)])
        near = [other for other, bottom, top in taken if y0 - 8 <= top and y1 + 8 >= bottom]
        moves = (side * _SIDE * step for step in range(6) for side in (1, -1))
        move = next((m for m in moves if all(abs(x + m - other) >= _SIDE - 1 for other in near)), 0.0)
        taken.append((x + move, y0, y1))
        moved = float(ax.transData.inverted().transform((x + move, y0))[0])
        points.append(_Point(configuration, moved if move else float(configuration.backbone), floor))
    return points


def _draw(ax: Axes, points: Sequence[_Point], *, faint: bool = False) -> list[Array]:
    """Points, intervals, seeds and curves over ranks; returns the pixels they cover.

    Args:
        faint: let intervals and curves stand back, where points crowd.
    """
    covered = [_draw_point(ax, point, alpha=0.5 if faint else 1.0) for point in points]
    for curve in _curves(points):
        look = style.look(curve[0].configuration.name)
        corners = [(point.x, point.y) for point in curve]
        ax.plot(
            *zip(*corners, strict=True), color=look.colour, zorder=2.8,
            linewidth=0.9 if faint else 1.6, alpha=0.5 if faint else 0.8,
        )  # fmt: skip
        covered.append(along(ax.transData.transform(corners)))
    return covered


def _draw_point(ax: Axes, point: _Point, *, alpha: float) -> Array:
    look, score = style.look(point.configuration.name), point.configuration.score
    low, high = (point.y, point.y) if point.below else score.interval or (score.mean, score.mean)
    if not point.below:
        ax.plot(
            [point.x] * len(score.values), score.values, linestyle="none", marker=".", markersize=5,
            markeredgewidth=0, color=look.colour, alpha=0.35, zorder=2,
        )  # fmt: skip
        ax.plot([point.x] * 2, [low, high], color=look.colour, linewidth=1.2, alpha=alpha, zorder=3)
    ax.plot(
        [point.x], [point.y], linestyle="none", marker=look.marker, markersize=7.5, color=look.colour,
        markeredgecolor=look.colour if point.below else "white", markeredgewidth=1.2 if point.below else 0.7,
        fillstyle="none" if point.below else "full", clip_on=False, zorder=4,
    )  # fmt: skip
    pixels = ax.transData.transform([(point.x, low), (point.x, high), (point.x, point.y)])
    return np.concatenate([along(pixels[:2]), pixels[2] + 5.0 * _disc()])


def _disc() -> Array:
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _curves(points: Sequence[_Point]) -> list[list[_Point]]:
    """Points that differ in nothing but rank (and the alpha that may go with it), in order of rank."""
    families: dict[str, list[_Point]] = defaultdict(list)
    for point in points:
        if point.configuration.rank is not None:
            fixed = {k: v for k, v in point.configuration.config.items() if k not in ("rank", "alpha")}
            families[json.dumps([point.configuration.name, fixed], sort_keys=True)].append(point)
    curves = [sorted(family, key=lambda p: p.configuration.rank or 0) for family in families.values()]
    ranks = [[point.configuration.rank for point in curve] for curve in curves]
    return [curve for curve, known in zip(curves, ranks, strict=True) if 1 < len(set(known)) == len(known)]


def _labels(points: Sequence[_Point]) -> list[Label]:
    """Every point's name; on a curve the name stands once, at its end, and the ranks at the others."""
    short = {}
    for curve in _curves(points):
        for point in curve[:-1]:
            short[point.configuration] = f"r={point.configuration.rank}"
    labels = []
    for point in points:
        text = short.get(point.configuration, point.configuration.label)
        text += f" {point.configuration.score.mean:.3f} ↓" if point.below else ""
        labels.append(Label(point.x, point.y, text, style.look(point.configuration.name).ink))
    return sorted(labels, key=lambda label: -len(label.text))
