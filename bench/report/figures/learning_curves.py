"""Learning curves: a panel a method, the others behind it in grey, so that close lines stay legible."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil
from typing import TYPE_CHECKING

from bench.report import style
from bench.report.data import wording
from bench.report.data.chance import chance
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration, Estimate
from bench.report.figures.canvas import Canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHOWN = 4  # configurations of one method in its panel
_COLUMNS = 4


def learning_curves(group: Group) -> Canvas:
    """The validation metric after every epoch, mean and interval over seeds."""
    curves = {c: _curve(c) for c in group.configurations}
    methods = list(dict.fromkeys(c.name for c in curves if curves[c]))
    columns = min(_COLUMNS, max(1, len(methods)))
    rows = max(1, ceil(len(methods) / columns))
    metric = style.metric_name(group.metric)
    heading = f"Learning curves: {metric} (validation) by epoch"
    canvas = Canvas(max(5.2, 2.5 * columns + 0.6), 2.3 * rows + 1.5, heading, "")
    panels = canvas.grid(rows, columns)
    for ax, name in zip(panels, methods, strict=False):
        _panel(ax, group.of(name), curves)
        ax.set_title(style.look(name).name, fontsize=10, fontweight="bold", color=style.look(name).ink)
    for number, ax in enumerate(panels):
        if number >= len(methods):
            ax.set_axis_off()
        if number + columns >= len(methods):
            ax.set_xlabel("epoch")
            ax.tick_params(labelbottom=True)
        if number % columns == 0:
            ax.set_ylabel(metric)
    notes = [wording.seeds(group), wording.tuning(group), "Grey: the other methods." if len(methods) > 1 else ""]
    notes += _scale(panels[: len(methods)], group, curves.values())
    if any(len(group.of(name)) > _SHOWN for name in methods):
        notes.append(f"At most {_SHOWN} configurations of a method are shown.")
    canvas.finish([*notes, "A curve ends where the first of its seeds stopped.", group.specs])
    return canvas


def _curve(configuration: Configuration) -> list[tuple[float, Estimate]]:
    """Epoch and estimate over seeds, as far as every seed went."""
    traces = []
    for run in configuration.runs:
        rows = run.get("curve") or ()
        points = {row["epoch"]: (row.get("val") or {}).get(configuration.metric) for row in rows}
        traces.append({epoch: value for epoch, value in points.items() if value is not None})
    common = sorted(set.intersection(*map(set, traces)))
    most = style.extent(configuration.metric)
    return [(epoch, Estimate(tuple(trace[epoch] for trace in traces), *most)) for epoch in common]


def _limits(curves: Iterable[Sequence[tuple[float, Estimate]]]) -> tuple[float, float] | None:
    """Of the score's axis: all means, and intervals as far as the means keep half of it; None without curves."""
    estimates = [estimate for curve in curves for _, estimate in curve]
    if not estimates:
        return None
    means = [estimate.mean for estimate in estimates]
    ends = [end for estimate in estimates for end in estimate.interval or ()]
    low, high = min(means), max(means)
    room = max(high - low, 0.02) / 2
    low, high = max(min([low, *ends]), low - room), min(max([high, *ends]), high + room)
    margin = 0.04 * (high - low) or 0.01
    return low - margin, high + margin


def _scale(panels: Sequence[Axes], group: Group, curves: Iterable[Sequence[tuple[float, Estimate]]]) -> list[str]:
    """The score's axis of all panels, with the line of chance; returns what is to be said of it."""
    curves = list(curves)
    limits, guess = _limits(curves), chance(group)
    if limits is None:
        return []
    panels[0].set_ylim(*limits)
    notes = []
    if guess is not None and limits[0] <= guess <= limits[1]:
        notes.append(f"Brown, dotted: chance, {guess:.3f}.")
        for ax in panels:
            ax.axhline(guess, color=style.CHANCE.colour, linewidth=0.9, linestyle=style.CHANCE.dash, zorder=1.5)
    ends = [end for curve in curves for _, one in curve for end in one.interval or ()]
    cut = any(not limits[0] <= end <= limits[1] for end in ends)
    return notes + ["Bands that meet the edge of a panel go on beyond it."] * cut


def _panel(ax: Axes, own: Sequence[Configuration], curves: dict[Configuration, list[tuple[float, Estimate]]]) -> None:
    from matplotlib.ticker import MaxNLocator

    for other in (c for c in curves if c not in own and curves[c]):
        epochs, estimates = zip(*curves[other], strict=True)
        ax.plot(epochs, [estimate.mean for estimate in estimates], color="#D9D9D9", linewidth=0.8, zorder=1)
    shown = _spaced([c for c in own if curves[c]])
    for configuration, colour in zip(shown, style.shades(shown[0].name, len(shown)) if shown else (), strict=True):
        epochs, estimates = zip(*curves[configuration], strict=True)
        lows, highs = zip(*(estimate.interval or (estimate.mean,) * 2 for estimate in estimates), strict=True)
        look = style.look(configuration.name)
        ax.fill_between(epochs, lows, highs, color=colour, alpha=0.15, linewidth=0, zorder=2)
        ax.plot(
            epochs, [estimate.mean for estimate in estimates], color=colour, linewidth=1.7, zorder=3,
            marker=look.marker, markersize=4.5, markeredgecolor="white", markeredgewidth=0.4,
            label=configuration.detail or configuration.label,
        )  # fmt: skip
    if len(shown) > 1:
        ax.legend(fontsize=8, loc="best", handlelength=1.6, borderaxespad=0.2, labelspacing=0.3, frameon=True,
                  framealpha=0.7, edgecolor="none")  # fmt: skip
    ax.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))


def _spaced(configurations: Sequence[Configuration]) -> list[Configuration]:
    """At most four of them, evenly spaced, with the first and the last."""
    if len(configurations) <= _SHOWN:
        return list(configurations)
    step = (len(configurations) - 1) / (_SHOWN - 1)
    return [configurations[round(number * step)] for number in range(_SHOWN)]
