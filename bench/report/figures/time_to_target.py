"""How fast methods learn: the score on validation against steps of training and against seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

from bench.report import style
from bench.report.data import speed, wording
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration
from bench.report.figures import axis
from bench.report.figures.canvas import Canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ACROSS = 3.4  # inches that an entry of the legend takes
_SHOWN = 8
_NAMES = {
    "steps": "steps of training",
    "cpu": "processor's seconds of training (log scale)",
    "seconds": "seconds of training (log scale)",
}


def time_to_target(group: Group) -> Canvas:
    """A line a configuration against each measure, and the target; the legend says when each is there."""
    shown = _chosen(group)
    clock = speed.clock(group)
    measures = ["steps", *([clock] if clock else [])]
    across = max(1, int(4.2 * len(measures) / _ACROSS))
    inches = 0.2 * ceil(len(shown) / across) + 0.1
    canvas = Canvas(4.2 * len(measures) + 0.4, 3.6 + inches + 1.0, "How fast methods learn", "")
    panels, below = canvas.panels(1, len(measures), below=inches / 3.4)
    curves = {c: speed.points(c) for c in shown}
    colours = dict(zip(shown, style.searched([c.name for c in shown]), strict=True))
    goal = speed.target(group)
    for ax, measure in zip(panels, measures, strict=True):
        _panel(ax, curves, measure, colours)
        ax.axhline(goal, color=style.NOTE, linewidth=1.0, linestyle=":", zorder=1.2)
        ax.set_xlabel(_NAMES[measure], fontsize=style.pt(9))
        ax.set_title(group.subject, fontsize=style.pt(9.5), fontweight="bold", color="#222222")
    panels[0].set_ylabel(f"{style.metric_name(group.metric)} (validation)", fontsize=style.pt(9))
    below.legend(
        handles=_handles(group, shown, panels[0]), loc="upper left", ncols=across, fontsize=8.5, borderaxespad=0.0
    )
    most = f"At most {_SHOWN} are shown: of each method the best by validation." * (len(curves) < _known(group))
    canvas.finish([
        f"Lines are means over {wording.span(len(c.runs) for c in shown)} seeds, bands reach from the lowest to the "
        "highest.",
        f"Dotted: the target, {goal:.3f}, the best mean less the noise floor. In the legend: the mean "
        "of the first epoch at which a run is there, over the runs that ever were.",
        wording.tuning(group), most, group.specs,
    ])  # fmt: skip
    return canvas


def _known(group: Group) -> int:
    return sum(bool(speed.points(c)) for c in group.configurations)


def _chosen(group: Group) -> list[Configuration]:
    """All configurations with a curve; of too many, those of each method with the best end."""
    known = [c for c in group.configurations if speed.points(c)]
    if len(known) <= _SHOWN:
        return known
    best: dict[str, Configuration] = {}
    for c in sorted(known, key=lambda c: speed.best(c)):
        best[c.name] = c
    return [c for c in known if c in best.values()][:_SHOWN]


def _panel(ax: Axes, curves: Mapping[Configuration, Sequence[speed.Point]], measure: str, colours: Any) -> None:
    for c, points in curves.items():
        look = style.look(c.name)
        xs = [point.at[measure] for point in points]
        lows, highs = [point.low for point in points], [point.high for point in points]
        ax.fill_between(xs, lows, highs, color=colours[c], alpha=0.1, linewidth=0, zorder=2)
        ax.plot(
            xs, [point.score for point in points], color=colours[c], linestyle=look.dash, linewidth=1.4,
            marker=look.marker, markersize=style.pt(4.5), markeredgecolor="white", markeredgewidth=0.4, zorder=3,
        )  # fmt: skip
    xs = [point.at[measure] for points in curves.values() for point in points]
    (axis.linear_axis if measure == "steps" else axis.log_axis)(ax, xs)
    ax.tick_params(labelsize=style.pt(8.5))


def _handles(group: Group, shown: Sequence[Configuration], ax: Axes) -> list[Any]:
    """The lines with their names: when each is at the target."""
    there, clock = speed.arrivals(group), speed.clock(group)
    handles = list(ax.get_lines()[: len(shown)])
    for line, c in zip(handles, shown, strict=True):
        line.set_label(f"{c.label}: {said(there[c], clock)}")
    return handles


def said(arrival: speed.Arrival, clock: str | None) -> str:
    """ "74 steps, 21 s (2 of 3 seeds)", or "never there"."""
    if not arrival.seeds:
        return "never there"
    took = f"{arrival.at['steps']:,.0f} steps"
    took += f", {style.seconds(arrival.at[clock])}" if clock and clock in arrival.at else ""
    return took + (f" ({arrival.seeds} of {arrival.of} seeds)" if arrival.seeds < arrival.of else "")
