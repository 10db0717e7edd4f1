"""Costs as lines: memory against the batch and the network's size, and a step's time against what trains."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.report import style
from bench.report.data.measured import Configuration
from bench.report.figures import axis
from bench.report.figures.canvas import Canvas
from bench.report.tables import costs
from bench.report.tables.costs import Groups

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CARDS = (8, 16, 24, 40, 80)
"""GiB of memory that GPUs have."""
_PANEL = 2.9
_ACROSS = 3.0


def memory_vs_batch(groups: Groups) -> Canvas:
    """Peak memory on a GPU against the batch, a panel a network."""
    groups = [group for group in groups if costs.has_memory([group])]
    canvas, panels, legend = _layout(groups, "Training memory against the batch")
    looks = costs.colours(groups)
    for ax, group in zip(panels, groups, strict=True):
        under: list[list[float]] = []
        for c in group.configurations:
            found = sorted(costs.estimated(c).items())
            _line(ax, c, [n for n, _ in found], [each["peak"] for _, each in found], looks[c.label], under)
        ax.set_xscale("log", base=2)
        ax.set_xticks(costs.batches(groups), [str(n) for n in costs.batches(groups)])
        ax.set_xlabel("samples a step (log scale)", fontsize=9)
        ax.set_title(costs.network(group), fontsize=9, color=style.NOTE)
    _memory_axes(panels, groups)
    _legend(legend, groups, looks, canvas.width)
    canvas.finish([*_cards(panels), costs.how(groups)])
    return canvas


def memory_vs_size(groups: Groups) -> Canvas:
    """Peak memory on a GPU against the network's size, for the typical batch."""
    groups = [group for group in groups if costs.has_memory([group])]
    n, looks = costs.typical(groups), costs.colours(groups)
    canvas, panels, legend = _layout(groups[:1], f"Training memory against the network's size: a step of {n} samples")
    (ax,) = panels
    under: list[list[float]] = []
    for label, _ in costs.rows_of(groups):
        known = [(group, c) for group in groups for c in group.configurations if c.label == label]
        points = [
            (costs.size(group), costs.estimated(c)[n]["peak"], c) for group, c in known if n in costs.estimated(c)
        ]
        if points:
            _line(ax, points[0][2], [x for x, _, _ in points], [y for _, y, _ in points], looks[label], under)
    sizes = [costs.size(group) for group in groups]
    ax.set_xscale("log")
    ax.set_xlim(sizes[0] / 1.3, sizes[-1] * 1.3)
    names = [costs.network(group) for group in groups]
    ax.set_xticks(sizes, names, fontsize=8, rotation=20, ha="right", rotation_mode="anchor")
    ax.set_xticks([], minor=True)
    ax.set_xlabel("parameters of the network (log scale)", fontsize=9)
    _memory_axes(panels, groups)
    _legend(legend, groups, looks, canvas.width)
    canvas.finish([*_cards(panels), costs.how(groups)])
    return canvas


def step_time(groups: Groups) -> Canvas:
    """Time of a training step against trainable backbone parameters, a panel a network."""
    groups = costs.stepped(groups)
    canvas, panels, legend = _layout(groups, "Time of a training step against trainable backbone parameters")
    looks, frozen = costs.colours(groups), False
    for ax, group in zip(panels, groups, strict=True):
        known = [c for c in group.configurations if "seconds" in costs.steps(c)]
        axis.log_axis(ax, [float(c.backbone) for c in known if c.backbone] or [1e3, 1e6])
        edge = ax.get_xlim()[0] / 3.0  # inside the panel, left of all others, for what trains no backbone parameter
        if any(not c.backbone for c in known):
            ax.set_xlim(left=edge / 2.0)
            ax.axvline(edge * 1.9, color="#999999", linewidth=0.7, linestyle=(0, (1, 2)))
        for c in known:
            x = float(c.backbone) or edge
            y, before = costs.steps(c)["seconds"], costs.steps(c).get("prefix", 0.0)
            mark: dict[str, Any] = {"marker": style.look(c.name).marker, "markersize": 7, "clip_on": False}
            ax.plot(x, y, color=looks[c.label], markeredgecolor="white", zorder=3, **mark)
            if before > 0.05 * y:
                frozen = True
                ax.plot([x, x], [y, y + before], color=looks[c.label], linewidth=0.9, zorder=2)
                ax.plot(x, y + before, markerfacecolor="white", markeredgecolor=looks[c.label], zorder=2.5, **mark)
        ax.set_ylim(bottom=-0.03 * ax.get_ylim()[1])
        ax.xaxis.set_major_formatter(partial(_sized, edge=edge))
        ax.yaxis.set_major_formatter(lambda value, _: costs.milliseconds(value) if value else "0")
        ax.tick_params(labelsize=8.5)
        ax.set_xlabel("trainable parameters (log scale)", fontsize=9)
        ax.set_title(costs.network(group), fontsize=9, color=style.NOTE)
    _legend(legend, groups, looks, canvas.width, joined=False)
    batch = groups[0].records[0]["training"].get("batch_size")
    notes = [f"A step of {batch} samples, median. Left of the dotted line: no trainable backbone parameters."]
    if frozen:
        notes.append("Hollow: with the pass of the frozen part, which is made once per sample, in the first epoch.")
    canvas.finish([*notes, f"{groups[0].device}. The scales of time differ."])
    return canvas


def _sized(value: float, _: int, *, edge: float) -> str:
    """A tick of the parameters' axis; left of the dotted line there is none."""
    return style.count(value) if value > 2 * edge else ""


def _layout(groups: Groups, heading: str) -> tuple[Canvas, list[Axes], Axes]:
    width = max(7.2, _PANEL * len(groups) + 0.5)
    rows = -(-len(costs.rows_of(groups)) // int(width / _ACROSS))
    high = 0.21 * rows + 0.1
    canvas = Canvas(width, 4.3 + high, heading, "")
    panels, legend = canvas.panels(1, len(groups), below=high / 3.4)
    return canvas, panels, legend


def _line(
    ax: Axes, of: Configuration, xs: Sequence[float], ys: Sequence[float], colour: Any, under: list[list[float]]
) -> None:  # fmt: skip
    """One configuration; smaller marks on those of one that is the same within a hundredth, so that both are seen."""
    look = style.look(of.name)
    alike = sum(len(one) == len(ys) and np.allclose(one, ys, rtol=0.01) for one in under)
    under.append(list(ys))
    ax.plot(xs, ys, color=colour, marker=look.marker, linestyle=look.dash, markersize=max(3.0, 8 - 3 * alike),
            linewidth=max(0.8, 1.6 - 0.6 * alike), markeredgecolor="white", markeredgewidth=0.5)  # fmt: skip


def _memory_axes(panels: Sequence[Axes], groups: Groups) -> None:
    """Bytes on a log axis that all panels share, with what cards have."""
    ends = [ax.get_ylim() for ax in panels]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    found = [each["peak"] for group in groups for c in group.configurations for each in costs.estimated(c).values()]
    low, high = max(low, min(found) / 1.6), max(found) * 1.6
    ticks = [2.0**power for power in range(10, 48) if low <= 2.0**power <= high]
    for number, ax in enumerate(panels):
        ax.set_yscale("log", base=2)
        ax.set_ylim(low, high)
        ax.set_yticks(ticks, [style.size(tick) for tick in ticks] if number == 0 else [""] * len(ticks))
        ax.tick_params(labelsize=8.5)
        for card in _seen(low, high):
            ax.axhline(card * 2**30, color="#777777", linewidth=0.9, linestyle=(0, (1, 2)), zorder=1.2)
        if number == len(panels) - 1:
            for card in _seen(low, high):
                ax.annotate(f"{card} GiB", (1.0, card * 2**30), xycoords=ax.get_yaxis_transform(), xytext=(3, 0),
                            textcoords="offset points", fontsize=7.5, color=style.NOTE, va="center")  # fmt: skip
    panels[0].set_ylabel("estimated peak training memory (log scale)", fontsize=9)


def _seen(low: float, high: float) -> list[int]:
    return [card for card in CARDS if low <= card * 2**30 <= high]


def _cards(panels: Iterable[Axes]) -> list[str]:
    seen = any(_seen(*ax.get_ylim()) for ax in panels)
    return ["Dotted: memory of common GPUs."] * seen


def _legend(ax: Axes, groups: Groups, looks: dict[str, Any], width: float, *, joined: bool = True) -> None:
    from matplotlib.lines import Line2D

    keys = []
    for label, name in costs.rows_of(groups):
        look = style.look(name)
        dash: Any = look.dash if joined else "none"
        keys.append(
            Line2D([], [], color=looks[label], marker=look.marker, linestyle=dash, linewidth=1.2, markersize=6,
                   markeredgecolor="white", markeredgewidth=0.5, label=label)
        )  # fmt: skip
    ax.legend(handles=keys, loc="upper left", ncols=int(width / _ACROSS), fontsize=8, borderaxespad=0.0,
              handlelength=3.0, columnspacing=1.4, labelspacing=0.4)  # fmt: skip
