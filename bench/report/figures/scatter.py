"""Accuracy against what it costs: trainable parameters, seconds of training, bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bench.report import style
from bench.report.data import budgets, wording
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration
from bench.report.figures import axis, lines, strips
from bench.report.figures.canvas import Canvas
from bench.report.figures.labels import Label, place
from bench.report.figures.points import FAINT, Point, at_parameters, curves, draw, set_aside


def against_parameters(group: Group) -> Canvas:
    """Accuracy against trainable backbone parameters; full fine-tuning, the probe and baselines are lines too.

    Where these parameters hardly differ, a row a configuration.
    """
    if budgets.crowded(group):
        return strips.strips([group])
    canvas = Canvas(8.4, 5.4, f"{axis.score_name(group)} against trainable backbone parameters", group.title)
    ax, reach = canvas.axes(), axis.reach(group)
    shown = [c for c in group.configurations if c.backbone > 0]
    flat = [c for c in group.configurations if c.backbone == 0 or c.name == "FullFineTuning"]
    axis.draw_scale(ax, reach)
    ax.set_ylabel(axis.score_name(group))
    axis.log_axis(ax, [float(c.backbone) for c in shown] or [1e4, 1e7])
    ax.set_xlabel("trainable backbone parameters (log scale; the head is trained too and not counted)")
    ax.xaxis.set_major_formatter(lambda value, _: style.count(value))
    notes = [*_notes(group, reach), wording.noise(group)]
    if flat:
        notes.append("Lines and bands: methods without trainable backbone parameters, and full fine-tuning.")
    notes += _about(group, reach)
    names = lines.draw_lines(ax, [*lines.of_methods(flat), *_lines(reach)], reach)
    canvas.finish([*notes, group.specs])
    points = at_parameters(ax, shown, reach)
    if set_aside(points):
        canvas.finish([*notes, "Intervals that would cover each other stand a little apart.", group.specs])
    covered = [lines.move_apart(ax, names), *draw(ax, points)]
    unnamed = [point for point in points if point.configuration not in flat]
    place(ax, _labels(unnamed), np.concatenate(covered))
    return canvas


def against_memory(group: Group) -> Canvas:
    """Accuracy against the peak memory of training, measured where it was measured and estimated otherwise."""
    bytes_of = {c: c.memory for c in group.configurations if c.memory}
    unit, power = ("GiB", 30) if max(bytes_of.values(), default=0) >= 2**32 else ("MiB", 20)
    known = [(c, peak / 2**power) for c, peak in bytes_of.items()]
    kinds = sorted({c.memory_kind for c, _ in known})
    said = " or ".join(map(wording.memory_kind, kinds))
    batch = group.configurations[0].runs[0]["training"].get("batch_size")
    label = f"peak training memory in {unit}, {said}" + (f", batch of {batch}" if batch else "")
    notes = [f"Memory {wording.memory_how([kind])}." for kind in kinds if kind in wording.MEMORY and kind != "measured"]
    if "foretold" in kinds and group.records[0]["task"].get("family") == "text":
        notes.append("Texts are taken at their longest.")
    if known and budgets.crowded(group):  # their points would stand side by side, and their names find no room
        return strips.beside_memory(group, known, label=label, notes=notes)
    return _against(group, known, title="peak training memory", label=label, unit="{:,g}".format, notes=notes)


def has_memory(group: Group) -> bool:
    """Whether it is known of any configuration."""
    return any(c.memory for c in group.configurations)


def _against(
    group: Group, costs: Sequence[tuple[Configuration, float]], *, title: str, label: str,
    unit: Callable[[float], str], notes: Sequence[str] = (),
) -> Canvas:  # fmt: skip
    """Accuracy against a cost that every run has."""
    canvas = Canvas(8.4, 5.4, f"{axis.score_name(group)} against {title}", group.title)
    ax, reach = canvas.axes(), axis.reach(group)
    xs = [x for _, x in costs] or [1.0, 10.0]
    log = max(xs) > 100 * min(xs)  # costs add up: a linear axis as long as it can be read
    axis.draw_scale(ax, reach)
    ax.set_ylabel(axis.score_name(group))
    (axis.log_axis if log else axis.linear_axis)(ax, xs)
    points = [Point(configuration, x, reach) for configuration, x in costs]
    ax.set_xlabel(label + (" (log scale)" if log else ""))
    ax.xaxis.set_major_formatter(lambda value, _: unit(value))
    names = lines.draw_lines(ax, _lines(reach), reach)
    canvas.finish([*_notes(group, reach), *notes, *_about(group, reach), group.specs])
    covered = [lines.move_apart(ax, names), *draw(ax, points, FAINT)]
    place(ax, _labels(points), np.concatenate(covered))
    return canvas


def _notes(group: Group, reach: axis.Reach) -> list[str]:
    notes = [wording.seeds(group) + " Faint dots: single seeds.", wording.tuning(group)]
    if reach.low < reach.floor:
        notes.append("Grey band, ↓: below the axis, at the number given.")
    return [*notes, axis.cut([reach])]


def _lines(reach: axis.Reach) -> list[lines.Line]:
    """What no network has to do with."""
    return [*lines.of_baselines((*reach.shown, *reach.beyond)), *lines.of_chance(reach)]


def _about(group: Group, reach: axis.Reach) -> list[str]:
    """What the brown lines are, and which baselines the axis does not reach."""
    brown = bool(reach.shown) or reach.guessing is not None
    return ["Brown: baselines, which train no network."] * brown + axis.beyond([group], [reach])


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
