"""Accuracy against what it costs: trainable parameters, seconds of training, bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bench.report import style
from bench.report.data import wording
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration
from bench.report.figures import axis, lines
from bench.report.figures.canvas import Canvas
from bench.report.figures.labels import Label, place
from bench.report.figures.points import FAINT, Point, curves, draw, side_by_side

FORETOLD = {
    "foretold": "counted on tensors without bytes, texts at their longest",
    "tracked": "counted over a real step on the CPU",
    "extended": "counted over real steps of smaller batches on the CPU, and extended in a straight line",
}


def against_parameters(group: Group) -> Canvas:
    """Accuracy against trainable backbone parameters; full fine-tuning, the probe and baselines are lines too."""
    canvas = Canvas(8.4, 5.4, f"{axis.score_name(group)} against trainable backbone parameters", group.subject)
    ax, reach = canvas.axes(), axis.reach(group)
    shown = [c for c in group.configurations if c.backbone > 0]
    flat = [c for c in group.configurations if c.backbone == 0 or c.name == "FullFineTuning"]
    ax.set_ylim(reach.low, reach.high)
    ax.set_ylabel(axis.score_name(group))
    axis.log_axis(ax, [float(c.backbone) for c in shown] or [1e4, 1e7])
    ax.set_xlabel("trainable backbone parameters (log scale; the head is trained too and not counted)")
    ax.xaxis.set_major_formatter(lambda value, _: style.count(value))
    notes = [*_notes(group, reach), wording.noise(group)]
    if flat:
        notes.append("Lines and bands: methods without trainable backbone parameters, and full fine-tuning.")
    notes += _about(reach)
    names = lines.draw_lines(ax, [*lines.of_methods(flat), *lines.of_baselines(reach.shown)], reach.low)
    canvas.finish([*notes, group.specs])
    points = side_by_side(ax, shown, reach.low)
    if any(point.x != point.configuration.backbone for point in points):
        canvas.finish([*notes, "Points of the same size stand side by side.", group.specs])
    covered = [lines.move_apart(ax, names), *draw(ax, points)]
    unnamed = [point for point in points if point.configuration not in flat]
    place(ax, _labels(unnamed), np.concatenate(covered))
    return canvas


def against_memory(group: Group) -> Canvas:
    """Accuracy against the peak memory of training, measured where it was measured and foretold otherwise."""
    bytes_of = {c: c.memory for c in group.configurations if c.memory}
    unit, power = ("GiB", 30) if max(bytes_of.values(), default=0) >= 2**32 else ("MiB", 20)
    known = [(c, peak / 2**power) for c, peak in bytes_of.items()]
    kinds = sorted({c.memory_kind for c, _ in known})
    batch = group.configurations[0].runs[0]["training"].get("batch_size")
    label = f"peak training memory in {unit}, {' or '.join(kinds)}" + (f", batch of {batch}" if batch else "")
    notes = [f"Memory {FORETOLD[kind]}." for kind in kinds if kind in FORETOLD]
    return _against(group, known, title="peak training memory", label=label, unit="{:,g}".format, notes=notes)


def has_memory(group: Group) -> bool:
    """Whether it is known of any configuration."""
    return any(c.memory for c in group.configurations)


def _against(
    group: Group, costs: Sequence[tuple[Configuration, float]], *, title: str, label: str,
    unit: Callable[[float], str], notes: Sequence[str] = (),
) -> Canvas:  # fmt: skip
    """Accuracy against a cost that every run has."""
    canvas = Canvas(8.4, 5.4, f"{axis.score_name(group)} against {title}", group.subject)
    ax, reach = canvas.axes(), axis.reach(group)
    xs = [x for _, x in costs] or [1.0, 10.0]
    log = max(xs) > 100 * min(xs)  # costs add up: a linear axis as long as it can be read
    ax.set_ylim(reach.low, reach.high)
    ax.set_ylabel(axis.score_name(group))
    (axis.log_axis if log else axis.linear_axis)(ax, xs)
    points = [Point(configuration, x, reach.low) for configuration, x in costs]
    ax.set_xlabel(label + (" (log scale)" if log else ""))
    ax.xaxis.set_major_formatter(lambda value, _: unit(value))
    names = lines.draw_lines(ax, lines.of_baselines(reach.shown), reach.low)
    canvas.finish([*_notes(group, reach), *notes, *_about(reach), group.specs])
    covered = [lines.move_apart(ax, names), *draw(ax, points, FAINT)]
    place(ax, _labels(points), np.concatenate(covered))
    return canvas


def _notes(group: Group, reach: axis.Reach) -> list[str]:
    notes = [wording.seeds(group) + " Faint dots: single seeds.", wording.tuning(group)]
    if any(c.score.mean < reach.low for c in group.configurations):
        notes.append("↓: lies below the axis, at the number given (hollow marker).")
    return notes


def _about(reach: axis.Reach) -> list[str]:
    """What the brown lines are, and which baselines the axis does not reach."""
    return ["Brown: baselines, which train no network."] * bool(reach.shown) + reach.notes


def _labels(points: Sequence[Point]) -> list[Label]:
    """Every point's name; on a curve the name stands once, at its end, and the ranks at the others."""
    short = {}
    for curve in curves(points):
        for point in curve[:-1]:
            short[point.configuration] = f"r={point.configuration.rank}"
    labels = []
    for point in points:
        text = short.get(point.configuration, point.configuration.label)
        text += f" {point.configuration.score.mean:.3f} ↓" if point.below else ""
        labels.append(Label(point.x, point.y, text, style.look(point.configuration.name).ink))
    return sorted(labels, key=lambda label: -len(label.text))
