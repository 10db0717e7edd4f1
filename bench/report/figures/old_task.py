"""The old task against the new one, along each method's learning rates: drift, and what a head can still read."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from statistics import mean
from typing import TYPE_CHECKING, Any

from bench.report import style
from bench.report.data import differences, retention, wording
from bench.report.data.groups import Group
from bench.report.data.retention import Point
from bench.report.figures import axis
from bench.report.figures.canvas import Canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ACROSS = 2.6  # inches that an entry of the legend takes
_TITLES = {
    "retained": "old head: drift",
    "restandardised": "old head, mean and scale\nof the features refitted",
    "refitted": "head refitted: knowledge",
}


def by_rate(groups: Sequence[Group]) -> Canvas:
    """A row a task, a column a way to read the old task, a curve a method along its learning rates."""
    shown = retention.along_rates(groups)
    ways = [way for way in retention.WAYS if any(way in retention.ways(group) for group in shown)]
    width = 1.4 + 3.1 * len(ways)
    names = list(dict.fromkeys(c.label for group in shown for c in group.configurations))
    across = max(1, int(width / _ACROSS))
    inches = 0.2 * (ceil(len(names) / across) + 2) + 0.1
    title = "Retained accuracy on an old task, along learning rates"
    canvas = Canvas(width, 3.1 * len(shown) + inches + 1.2, title, "")
    panels, below = canvas.panels(len(shown), len(ways), below=inches / 3.1)
    for at, group in enumerate(shown):
        own = panels[at * len(ways) : (at + 1) * len(ways)]
        for ax, way in zip(own, ways, strict=True):
            _panel(ax, group, way, last=at == len(shown) - 1, first=at == 0)
        _name(own, group)
    handles: dict[str, Any] = {
        str(line.get_label()): line for ax in panels for line in ax.get_lines() if str(line.get_label())[0] != "_"
    }
    below.legend(handles=handles.values(), loc="upper left", ncols=across, fontsize=8.5, borderaxespad=0.0)
    canvas.finish([
        _seeds(shown), "Along a curve the learning rate rises from its small mark to its large one; a ring marks the "
        "rate that tuning chose. Grey: the score on the new task that all of them reach: there they may be compared.",
        "Every head is a logistic regression on standardised features of the old task's training part; old: fitted to "
        "the network before training.", differences.left_out(groups), shown[0].device + ".",
    ])  # fmt: skip
    return canvas


def _seeds(groups: Sequence[Group]) -> str:
    counts = [p.seeds for group in groups for c in group.configurations for p in retention.curve(group, c)]
    return f"Means over {wording.span(counts)} seed{'s' * (max(counts) > 1)}, without intervals."


def _panel(ax: Axes, group: Group, way: str, *, first: bool, last: bool) -> None:
    """One task read in one way."""
    curves = {c: retention.curve(group, c) for c in group.configurations}
    colours = style.searched([c.name for c in curves])
    for (c, points), colour in zip(curves.items(), colours, strict=True):
        _curve(ax, [point for point in points if way in point.old], way, c.label, style.look(c.name), colour)
    before = mean(group.configurations[0].untouched.values())
    ax.axhline(before, color=style.NOTE, linewidth=1.0, linestyle=":", label="before training", zorder=1.2)
    for name, value in retention.facts(group).items():
        if name in ("chance", "majority"):
            look = style.CHANCE if name == "chance" else style.baseline_look(0)
            label = f"{name}, old task"
            ax.axhline(value, color=look.colour, linewidth=0.9, linestyle=look.dash, label=label, zorder=1.1)
    if known := retention.adapting(group):
        ax.axvline(retention.matched(list(known.values()), way)[0], color="#D8D8D8", linewidth=3.0, zorder=0.5)
    if first:
        ax.set_title(_TITLES[way], fontsize=style.pt(9.5), fontweight="bold", color="#222222")
    ax.set_xlabel(f"{group.task}, new: {axis.score_name(group)}", fontsize=style.pt(8.5))
    ax.tick_params(labelsize=style.pt(8.5))
    ax.set_ylim(-0.02, 1.02)


def _curve(ax: Axes, points: Sequence[Point], way: str, label: str, look: style.Look, colour: Any) -> None:
    if not points:
        return
    x, y = [p.new for p in points], [p.old[way] for p in points]
    ax.plot(x, y, color=colour, linestyle=look.dash, linewidth=1.2, marker=look.marker, markersize=0.1, zorder=3,
            label=label)  # fmt: skip
    for step, (p, height) in enumerate(zip(points, y, strict=True)):
        size = 3.2 + 3.6 * step / max(1, len(points) - 1)
        ax.plot([p.new], [height], marker=look.marker, color=colour, markersize=style.pt(size), linestyle="none",
                markeredgecolor="white", markeredgewidth=0.4, zorder=4, label="_")  # fmt: skip
        if p.chosen:
            ax.plot([p.new], [height], marker="o", markerfacecolor="none", markeredgecolor=colour, linestyle="none",
                    markersize=style.pt(size + 5), markeredgewidth=0.9, zorder=5, label="_")  # fmt: skip


def _name(panels: Sequence[Axes], group: Group) -> None:
    """The old task on the left, the same scale across."""
    name = group.configurations[0].old_task
    panels[0].set_ylabel(f"{group.subject}\n{name}, old: accuracy (test)", fontsize=style.pt(8.5))
    for ax in panels[1:]:
        ax.set_yticklabels([])
