"""Scores where data shift: against severity, and of means of weights before and after training."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

from bench.report import style
from bench.report.data import differences, robustness, wording
from bench.report.data.chance import chance
from bench.report.data.groups import Group
from bench.report.figures import axis
from bench.report.figures.canvas import Canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 2  # panels side by side
_ACROSS = 2.6  # inches that an entry of the legend takes
_ASIDE = 0.05  # of a severity, between neighbours


def against_severity(groups: Sequence[Group]) -> Canvas:
    """A panel a task, a line a method."""
    shown = robustness.shown(groups)
    canvas, panels, below, across = _canvas("Scores where data shift", shown)
    cut = False
    for ax, group in zip(panels, shown, strict=False):
        cut |= _severities(ax, group)
    _finish(canvas, panels, below, across, shown, [
        wording.seeds(shown[0]), "Intervals that meet the edge of a panel go on beyond it." * cut,
        "Mean over the task's corruptions at each severity; 0: the same samples as they are.",
        " ".join(f"{g.task}: {', '.join(robustness.corruptions(g))}." for g in shown),
    ])  # fmt: skip
    return canvas


def along_weights(groups: Sequence[Group]) -> Canvas:
    """A panel a task: under corruptions against as they are, a curve a method from the network before to the tuned."""
    shown = [g for g in robustness.shown(groups) if any(map(robustness.interpolation, g.configurations))]
    canvas, panels, below, across = _canvas("Means of the weights before and after training", shown)
    for ax, group in zip(panels, shown, strict=False):
        _weights(ax, group)
    _finish(canvas, panels, below, across, shown, [
        f"Means over {wording.span(len(c.runs) for g in shown for c in g.configurations)} seeds, without intervals.",
        "θ = (1 − α)·before + α·tuned, of the backbone, under the head as trained. From the small mark (the smallest "
        "α) to the large one (α = 1). Methods that add modules of their own, or train no backbone, have none.",
    ])  # fmt: skip
    return canvas


def _canvas(heading: str, shown: Sequence[Group]) -> tuple[Canvas, list[Axes], Axes, int]:
    columns = min(_COLUMNS, len(shown))
    rows = ceil(len(shown) / columns)
    width = 6.2 if columns == 1 else 10.2
    across = max(1, int(width / _ACROSS))
    names = {c.label for group in shown for c in group.configurations}
    inches = 0.2 * (ceil(len(names) / across) + 1) + 0.1
    canvas = Canvas(width, 3.5 * rows + inches + 1.2, heading, "")
    panels, below = canvas.panels(rows, columns, below=inches / 3.5)
    for ax in panels[len(shown) :]:
        ax.set_axis_off()
    return canvas, panels, below, across


def _finish(
    canvas: Canvas, panels: Sequence[Axes], below: Axes, across: int, shown: Sequence[Group], notes: Sequence[str]
) -> None:
    handles: dict[str, Any] = {
        str(line.get_label()): line for ax in panels for line in ax.get_lines() if str(line.get_label())[0] != "_"
    }
    below.legend(handles=handles.values(), loc="upper left", ncols=across, fontsize=8.5, borderaxespad=0.0)
    counts = [run["samples"] for g in shown for c in g.configurations for run in robustness.found(c)]
    canvas.finish([
        *notes, f"{wording.span(counts)} samples of the test part; nothing is chosen by them.",
        differences.left_out(shown), shown[0].device + ".",
    ])  # fmt: skip


def _severities(ax: Axes, group: Group) -> bool:
    """The lines of one task; returns whether intervals go on beyond the panel."""
    levels = [0, *robustness.severities(group)]
    colours = style.searched([c.name for c in group.configurations])
    middle = (len(colours) - 1) / 2
    for place, (c, colour) in enumerate(zip(group.configurations, colours, strict=True)):
        known = [(s + _ASIDE * (place - middle), e) for s in levels if (e := robustness.at_severity(c, s))]
        look = style.look(c.name)
        ax.plot([x for x, _ in known], [e.mean for _, e in known], color=colour, linestyle=look.dash,
                marker=look.marker, markersize=style.pt(6), markeredgecolor="white", markeredgewidth=0.5,
                linewidth=1.2, label=c.label, zorder=3)  # fmt: skip
        for x, e in known:
            if e.interval:
                ax.plot([x, x], e.interval, color=colour, linewidth=0.8, alpha=0.45, zorder=2, label="_")
    every = [e for c in group.configurations for s in levels if (e := robustness.at_severity(c, s))]
    means = [e.mean for e in every]
    without = (
        ("chance", style.CHANCE, chance(group)),
        ("majority class", style.baseline_look(0), robustness.majority(group)),
    )
    lines = [(name, look, score) for name, look, score in without if score is not None]
    low, high = min([*means, *(score for _, _, score in lines)]), max(means)
    for name, look, score in lines:
        ax.axhline(score, color=look.colour, linewidth=0.9, linestyle=look.dash, label=name, zorder=1.1)
    margin = 0.12 * (high - low) or 0.05
    ax.set_ylim(max(0.0, low - margin), min(1.0, high + margin))
    ax.set_xticks(levels)
    ax.grid(visible=False, axis="x")
    _name(ax, group, "severity", axis.score_name(group))
    return any(not ax.get_ylim()[0] <= end <= ax.get_ylim()[1] for e in every for end in e.interval or ())


def _weights(ax: Axes, group: Group) -> None:
    colours = style.searched([c.name for c in group.configurations])
    for c, colour in zip(group.configurations, colours, strict=True):
        rows = robustness.interpolation(c)
        if not rows:
            continue
        look = style.look(c.name)
        ax.plot([x for _, x, _ in rows], [y for _, _, y in rows], color=colour, linestyle=look.dash, linewidth=1.2,
                marker=look.marker, markersize=0.1, label=c.label, zorder=3)  # fmt: skip
        for step, (_, x, y) in enumerate(rows):
            size = 3.2 + 4.0 * step / max(1, len(rows) - 1)
            ax.plot([x], [y], color=colour, marker=look.marker, markersize=style.pt(size), linestyle="none",
                    markeredgecolor="white", markeredgewidth=0.4, zorder=4, label="_")  # fmt: skip
    _name(ax, group, f"as they are: {axis.score_name(group)}", "under corruptions at one severity")


def _name(ax: Axes, group: Group, x: str, y: str) -> None:
    ax.set_xlabel(x, fontsize=style.pt(9))
    ax.set_ylabel(y, fontsize=style.pt(9))
    ax.set_title(group.title, fontsize=style.pt(9.5), fontweight="bold", color="#222222")
    ax.tick_params(labelsize=style.pt(8.5))
