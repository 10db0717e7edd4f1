"""What a budget buys: the best validation score so far against the number of trials, a line a search."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

from bench.report import style
from bench.report.data import wording
from bench.report.data.expected_best import Best, running_best
from bench.report.data.groups import Group
from bench.report.data.searches import Search, compared
from bench.report.figures.canvas import Canvas
from bench.report.figures.labels import spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TOGETHER = 8  # searches in one panel; more cannot be followed
_COLUMNS = 5  # panels side by side
_NAME = 13.0  # pixels for a name beside the axes
_APART = 0.45  # of the distance between two marks, for all searches side by side
_MARKS = 12  # numbers of trials that have marks and intervals; with more trials every second or third has


def draws_search(group: Group) -> bool:
    """Whether there is a search with a completed trial."""
    return any(search.completed for search in compared(group))


def best_so_far(group: Group) -> Canvas:
    """Mean and interval over all orders of each search's trials: in one panel, or with many searches a panel each."""
    shown = [search for search in compared(group) if search.completed]
    bests = [_best(search) for search in shown]
    if len(shown) > _TOGETHER:
        return _apart(group, shown, bests)
    metric = style.metric_name(shown[0].metric)
    canvas = Canvas(8.4, 5.4, f"Best {metric} (validation) so far against number of trials", group.title)
    ax = canvas.axes()
    budget = max(len(search.trials) for search in shown)
    _frame(ax, bests, metric, lower=shown[0].lower)
    inks = style.searched([search.method for search in shown])
    for place, (search, best, colour) in enumerate(zip(shown, bests, inks, strict=True)):
        beside = _APART * _step(budget) * ((place + 0.5) / len(shown) - 0.5)
        _draw(ax, best, style.look(search.method), colour, beside=beside)
    names = [
        ax.text(1.03, best[-1].mean, search.label, transform=ax.get_yaxis_transform(), color=style.ink(colour),
                fontsize=8.5, va="center")
        for search, best, colour in zip(shown, bests, inks, strict=True)
    ]  # fmt: skip
    canvas.finish([*_notes(group, shown, bests), group.specs])
    _name(ax, names, bests, budget)
    return canvas


def _apart(group: Group, shown: Sequence[Search], bests: Sequence[Sequence[Best]]) -> Canvas:
    """A panel a search on common axes, the other searches behind it in grey."""
    metric = style.metric_name(shown[0].metric)
    columns = min(_COLUMNS, len(shown))
    rows = ceil(len(shown) / columns)
    heading = f"Best {metric} (validation) so far against number of trials: {group.title}"
    canvas = Canvas(2.1 * columns + 0.8, 1.75 * rows + 1.5, heading, "")
    panels = canvas.grid(rows, columns)
    for number, (ax, search, best) in enumerate(zip(panels, shown, bests, strict=False)):
        _frame(ax, bests, metric, lower=search.lower)
        look = style.look(search.method)
        for other in bests:
            ax.plot([b.trials for b in other], [b.mean for b in other], color="#D9D9D9", linewidth=0.8, zorder=1)
        _draw(ax, best, look, look.colour, beside=0.0)
        title = f"{search.label}: {best[-1].mean:.3f}"
        ax.set_title("\n".join(textwrap.wrap(title, 24)), fontsize=8.5, fontweight="bold", color=look.ink)
        ax.set_ylabel(metric if not number % columns else "", fontsize=9)
        ax.set_xlabel("trials" if number + columns >= len(shown) else "", fontsize=9)
        ax.tick_params(labelsize=8.5, labelbottom=number + columns >= len(shown))
    for ax in panels[len(shown) :]:
        ax.set_axis_off()
    more = "A panel a search, with the best score that it ended at; grey: the other searches."
    canvas.finish([*_notes(group, shown, bests), more, group.specs])
    return canvas


def _best(search: Search) -> list[Best]:
    scores = [float(trial.score) for trial in search.completed if trial.score is not None]
    return running_best(scores, len(search.trials), lower=search.lower)


def _frame(ax: Axes, bests: Sequence[Sequence[Best]], metric: str, *, lower: bool) -> None:
    budget = max(map(len, bests))
    step = _step(budget)
    ax.set_xlim(1 - 0.4 * step, budget + 0.4 * step)
    ax.set_xticks(range(budget, 0, -step))
    low, high = _limits(bests, lower=lower)
    ax.set_ylim(low, high)
    ax.set_xlabel("trials")
    ax.set_ylabel(f"best {metric} (validation)")


def _limits(bests: Sequence[Sequence[Best]], *, lower: bool) -> tuple[float, float]:
    """Of the axis: every mean; intervals as far as they do not press the means together."""
    means = [b.mean for best in bests for b in best]
    low, high = min(b.low for best in bests for b in best), max(b.high for best in bests for b in best)
    room = 0.5 * (max(means) - min(means)) or 0.02
    low, high = (low, min(high, max(means) + room)) if lower else (max(low, min(means) - room), high)
    margin = 0.05 * (high - low) or 0.01
    return low - margin, high + margin


def _step(budget: int) -> int:
    """From one marked number of trials to the next."""
    return ceil(budget / _MARKS)


def _draw(ax: Axes, best: Sequence[Best], look: style.Look, colour: Any, *, beside: float) -> None:
    """One search: a line, dashed as far as some orders have nothing yet, and intervals."""
    xs = [b.trials + beside for b in best]
    means = [b.mean for b in best]
    since = sum(not b.sure for b in best)  # from here on, every order has a completed trial
    every = range(len(best) - 1, -1, -_step(len(best)))
    for at in every:
        ax.plot([xs[at]] * 2, [best[at].low, best[at].high], color=colour, linewidth=1.3, alpha=0.55, zorder=2)
    for part, dash in ((slice(None, since + 1), (0, (2, 1.5))), (slice(since, None), "-")):
        ax.plot(xs[part], means[part], color=colour, linewidth=1.6, linestyle=dash, zorder=3)
    ax.plot(
        [xs[at] for at in every], [means[at] for at in every], linestyle="none", marker=look.marker, markersize=6.5,
        color=colour, markeredgecolor="white", markeredgewidth=0.6, zorder=4,
    )  # fmt: skip


def _name(ax: Axes, names: Sequence[Any], bests: Sequence[Sequence[Best]], budget: int) -> None:
    """Names right of the axes, as high as their lines end, moved apart where they would touch."""
    ends = [float(ax.transData.transform((budget, best[-1].mean))[1]) for best in bests]
    frame = ax.get_window_extent()
    heights = spread(ends, [_NAME] * len(names), within=(frame.y0 - 20.0, frame.y1 + 6.0))
    for name, best, height in zip(names, bests, heights, strict=True):
        at = float(ax.transData.inverted().transform((0.0, height))[1])
        ax.plot(
            [1.003, 1.025], [best[-1].mean, at], transform=ax.get_yaxis_transform(), color=name.get_color(),
            linewidth=0.7, clip_on=False, scalex=False, scaley=False,
        )  # fmt: skip
        name.set_y(at)


def _notes(group: Group, shown: Sequence[Search], bests: Sequence[Sequence[Best]]) -> list[str]:
    notes = [wording.tuning(group)]
    notes.append(
        "Mean over all orders in which the trials could have come; bars: 95% of the orders. They say nothing of "
        "other trials or seeds. At the full budget every order has the same best, so they close."
    )
    if 1 < len(shown) <= _TOGETHER:
        notes.append("Marks of one number of trials stand side by side.")
    low, high = _limits(bests, lower=shown[0].lower)
    if any(not low <= end <= high for best in bests for b in best for end in (b.low, b.high)):
        notes.append("Bars that meet the edge go on beyond it.")
    if any(len(search.completed) < len(search.trials) for search in shown):
        notes.append("A pruned or failed trial counts and improves nothing.")
    if any(not b.sure for best in bests for b in best):
        notes.append("Dashed: over the orders in which a trial has completed by then.")
    if absent := [search.label for search in compared(group) if not search.completed]:
        notes.append(f"No trial completed: {', '.join(absent)}.")
    return notes
