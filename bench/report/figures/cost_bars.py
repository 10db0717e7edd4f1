"""Costs as bars and dots, a row a configuration and a panel a network: what memory is made of, and latency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.report import style
from bench.report.figures.canvas import Canvas
from bench.report.tables import costs
from bench.report.tables.costs import Groups

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PARTS = {
    "weights": ("#3B3B6D", ""),
    "gradients": ("#D55E00", ""),
    "optimizer": ("#F0B93B", ""),
    "activations": ("#56B4E9", "////"),
    "other": ("#D9D9D9", "...."),
}
"""Colour and hatching of each part, which differ in grey too."""
_ROW = 0.3
_LABELS = 2.6
_PANEL = 2.55


def memory_breakdown(groups: Groups) -> Canvas:
    """What the peak of a training step on a GPU is made of, for the typical batch."""
    groups = [group for group in groups if costs.has_memory([group])]
    n, rows = costs.typical(groups), costs.rows_of(groups)
    canvas, panels, legend = _layout(groups, rows, f"What training memory is made of: a step of {n} samples")
    prefixed = False
    for ax, group in zip(panels, groups, strict=True):
        at = {c.label: costs.estimated(c).get(n) for c in group.configurations}
        peaks = [found["peak"] for found in at.values() if found]
        unit, power = ("GiB", 30) if max(peaks) >= 2**30 else ("MiB", 20)
        for y, (label, _) in enumerate(rows):
            if found := at.get(label):
                _stack(ax, y, found["breakdown"], 2**power)
                early = found.get("phase") == "prefix"
                prefixed |= early
                text = style.size(found["peak"]) + " *" * early
                ax.annotate(text, (found["peak"] / 2**power, y), xytext=(3, 0), textcoords="offset points",
                            va="center_baseline", fontsize=7.5, color=style.NOTE)  # fmt: skip
        ax.set_xlim(0, max(peaks) / 2**power * 1.3)
        ax.set_xlabel(f"estimated peak memory in {unit}", fontsize=9)
    from matplotlib.patches import Patch

    keys = [Patch(facecolor=c, hatch=hatch, edgecolor="white", label=part) for part, (c, hatch) in PARTS.items()]
    legend.legend(handles=keys, loc="upper left", ncols=len(keys), fontsize=8.5, borderaxespad=0.0)
    at_peak = [found["breakdown"] for g in groups for c in g.configurations if (found := costs.estimated(c).get(n))]
    notes = ["Activations: what the forward pass makes, kept for the backward pass or not. The axes differ in scale."]
    if not any(breakdown["gradients"] for breakdown in at_peak if breakdown["optimizer"] > breakdown["weights"]):
        notes.append("At the peak, the end of the forward pass, gradients are not there yet.")
    if prefixed:
        notes.append("*: highest in the one pass of the frozen part, before training.")
    canvas.finish([*notes, costs.how(groups)])
    return canvas


def latency(groups: Groups) -> Canvas:
    """Latency of one sample as a multiple of the untouched network's: as trained, and merged."""
    groups = [group for group in groups if any(costs.latency(c) for c in group.configurations)]
    rows = costs.rows_of(groups)
    canvas, panels, legend = _layout(groups, rows, "Inference latency relative to the untouched network")
    from matplotlib.lines import Line2D

    for ax, group in zip(panels, groups, strict=True):
        found = {c.label: costs.latency(c) for c in group.configurations}
        base = sorted(times["base"] for times in found.values() if times)
        ax.axvline(1.0, color="#222222", linewidth=1.0, linestyle=(0, (4, 2)), zorder=1)
        for y, (label, name) in enumerate(rows):
            times, look = found.get(label) or {}, style.look(name)
            if "unmerged" in times:
                ax.plot(times["unmerged"] / times["base"], y, marker=look.marker, color=look.colour, markersize=7)
            if "merged" in times:
                ax.plot(times["merged"] / times["base"], y, marker=look.marker, markersize=7, markerfacecolor="white",
                        markeredgecolor=look.colour, markeredgewidth=1.4, zorder=3)  # fmt: skip
        low, high = ax.get_xlim()
        ax.set_xlim(min(low, 0.9), max(high, 1.2))
        middle = costs.milliseconds(base[len(base) // 2])
        ax.set_xlabel(f"× untouched network ({middle})", fontsize=9)
    marks: list[dict[str, Any]] = [{"color": style.NOTE, "label": "as trained"}]
    marks.append({"markerfacecolor": "white", "markeredgecolor": style.NOTE, "label": "merged into the weights"})
    keys = [Line2D([], [], linestyle="none", marker="o", markersize=7, **mark) for mark in marks]
    legend.legend(handles=keys, loc="upper left", ncols=2, fontsize=8.5, borderaxespad=0.0)
    device = groups[0].device
    canvas.finish(
        [
            "Median time of one sample, measured in turns with the untouched network: a few per cent around 1.00 are "
            f"noise. A method without a hollow mark cannot be merged or has nothing to merge. {device}."
        ]
    )
    return canvas


def _layout(groups: Groups, rows: Sequence[tuple[str, str]], heading: str) -> tuple[Canvas, list[Axes], Axes]:
    """A panel a network, whose rows have their names at the left."""
    height = _ROW * len(rows) + 1.9
    subject = groups[0].records[0]["task"].get("family") or groups[0].task
    canvas = Canvas(_LABELS + _PANEL * max(2, len(groups)), height, heading, subject)
    below = 0.35 / (height - 1.2)
    panels, legend = canvas.panels(1, len(groups), below=below)
    for number, (ax, group) in enumerate(zip(panels, groups, strict=True)):
        ax.set_title(costs.network(group), fontsize=9, color=style.NOTE)
        ax.set_yticks(range(len(rows)), [label for label, _ in rows] if number == 0 else [""] * len(rows), fontsize=8.5)
        ax.set_ylim(len(rows) - 0.4, -0.6)
        ax.grid(visible=False, axis="y")
        ax.tick_params(axis="y", length=0)
        ax.tick_params(axis="x", labelsize=8.5)
    return canvas, panels, legend


def _stack(ax: Axes, y: int, breakdown: dict[str, int], unit: int) -> None:
    left = 0.0
    for part, (colour, hatch) in PARTS.items():
        width = breakdown[part] / unit
        ax.barh(y, width, left=left, height=0.7, color=colour, hatch=hatch, edgecolor="white", linewidth=0.3, zorder=2)
        left += width
