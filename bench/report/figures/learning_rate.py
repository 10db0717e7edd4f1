"""Score against learning rate: every trial of every search, a panel a method or a search: how wide is the basin?"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from math import ceil
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.report import style
from bench.report.data import wording
from bench.report.data.groups import Group
from bench.report.data.names import titles
from bench.report.data.searches import Search, Trial, compared
from bench.report.figures import axis
from bench.report.figures.canvas import Canvas
from bench.report.figures.labels import Label, along, place

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 4
_TOGETHER = 4  # searches of one method in one panel; of more, each has its own
_BELOW = 0.6  # how far the axis goes below the lowest chosen score, in distances of that from the highest
_FAR = 5.0  # times as long may the axis be for the sake of a few searches that found nothing
_STRIP = 0.13  # of the axis, below its floor, for trials without a score
_DISC = 5.0 * np.array([(np.cos(angle), np.sin(angle)) for angle in np.arange(0, 2 * np.pi, 0.5)])


@dataclass(frozen=True)
class _Scale:
    """How far the score's axis of one group reaches; `strip` is where trials without a score stand."""

    floor: float
    top: float
    strip: float | None

    @property
    def limits(self) -> tuple[float, float]:
        """Of the axis, with room for whole marks."""
        room = self.top - self.floor
        return self.floor - room * (0.05 if self.strip is None else 0.07 + _STRIP), self.top + 0.07 * room


def figures(groups: Sequence[Group]) -> list[tuple[Group, ...]]:
    """Which groups stand in one figure, a row each: all, where no row gets too long; else each has its own."""
    shown = [group for group in groups if any(map(_rates, compared(group)))]
    if len(shown) > 1 and len(set(chain.from_iterable(map(_panels, shown)))) <= _COLUMNS:
        return [tuple(shown)]
    return [(group,) for group in shown]


def learning_rates(groups: Sequence[Group]) -> Canvas:
    """Validation score of every trial against its learning rate.

    Args:
        groups: as `figures` puts them together.
    """
    names = list(dict.fromkeys(chain.from_iterable(map(_panels, groups))))
    several = len(groups) > 1
    columns = min(_COLUMNS, len(names))
    rows = len(groups) if several else ceil(len(names) / columns)
    heading = "Validation score against learning rate" + f": {groups[0].title}" * (not several)
    canvas = Canvas(max(5.6, 2.5 * columns + 0.8), 2.4 * rows + 1.7, heading, "")
    panels = canvas.grid(rows, columns, alike=not several)
    _log_axis(panels[0], [_rate(trial) for group in groups for s in compared(group) for trial in _rates(s)])
    for number, (group, title) in enumerate(zip(groups, titles(groups), strict=True)):
        own = panels[number * columns : (number + 1) * columns] if several else panels
        _row(own, group, names)
        for ax in own[::columns]:
            ax.set_ylabel("\n".join([*textwrap.wrap(title, 30) * several, _score(group)]), fontsize=9.5)
    for ax in panels[-columns:] if several else panels[: len(names)][-columns:]:
        ax.set_xlabel("learning rate (log scale)", fontsize=9.5)
        ax.tick_params(labelbottom=True)
    canvas.finish(_notes(groups))
    for number, group in enumerate(groups):
        for ax, name in zip(panels[number * columns :] if several else panels, names, strict=False):
            _name(ax, _panels(group).get(name, []))
    return canvas


def _score(group: Group) -> str:
    return f"{style.metric_name(compared(group)[0].metric)} (validation)"


def _panels(group: Group) -> dict[str, list[Search]]:
    """What stands in one panel, by its title: the searches of one method, or one of many."""
    shown = [search for search in compared(group) if _rates(search)]
    times = Counter(search.method for search in shown)
    found: dict[str, list[Search]] = {}
    for search in shown:
        apart = times[search.method] > _TOGETHER
        found.setdefault(search.label if apart else style.look(search.method).name, []).append(search)
    return found


def _rate(trial: Trial) -> float:
    return float(trial.params["lr"])


def _rates(search: Search) -> list[Trial]:
    """The trials that say a learning rate, from the lowest on."""
    known = [trial for trial in search.trials if trial.params.get("lr")]
    return sorted(known, key=lambda trial: (_rate(trial), trial.number))


def _points(search: Search) -> list[tuple[Trial, float, float]]:
    """Trials with a score: learning rate and score."""
    return [(trial, _rate(trial), float(trial.score)) for trial in _rates(search) if trial.score is not None]


def _row(panels: Sequence[Axes], group: Group, names: Sequence[str]) -> None:
    """The panels of one group."""
    found = _panels(group)
    scale = _scale([search for own in found.values() for search in own])
    for ax, name in zip(panels, names, strict=False):
        _panel(ax, found.get(name, []), [one for other, own in found.items() if other != name for one in own], scale)
        inks = {style.look(search.method).ink for search in found.get(name, [])}
        title = "\n".join(textwrap.wrap(name, 24))
        ax.set_title(title, fontsize=10, fontweight="bold", color=inks.pop() if inks else style.NOTE)
    for ax in panels[len(names) :]:
        ax.set_axis_off()


def _scale(searches: Sequence[Search]) -> _Scale:
    """Down to the lowest trial, but not so far that what was chosen is pressed together."""
    every = [t for s in searches for t in _rates(s)]
    sign = -1.0 if searches[0].lower else 1.0
    scores = [sign * t.score for t in every if t.score is not None]
    if not scores:
        return _Scale(0.0, 1.0, -_STRIP)
    own = [sorted(sign * t.score for t in s.completed if t.score is not None) for s in searches]
    bests = sorted(known[-1] for known in own if known) or [max(scores)]
    drops = [known[-1] - known[(len(known) - 1) // 2] for known in own if known] or [0.0]
    floors = [_floor(bests[at:], drops) for at in range(1 + len(bests) // 3)]
    spans = [bests[-1] - floor for floor in floors]
    floor = next(floor for floor, span in zip(floors, spans, strict=True) if span <= _FAR * spans[-1])
    ends = sign * max(min(scores), floor), sign * max(scores)
    low, high = min(ends), max(ends)
    if high - low < 1e-9:
        low, high = low - 0.01, high + 0.01
    return _Scale(low, high, low - _STRIP * (high - low) if any(t.score is None for t in every) else None)


def _floor(bests: Sequence[float], drops: Sequence[float]) -> float:
    """Below the lowest of the best scores, as far as it takes to see how they fall off."""
    return bests[0] - max(_BELOW * (bests[-1] - bests[0]), 3.0 * median(drops), 0.005)


def _panel(ax: Axes, own: Sequence[Search], others: Sequence[Search], scale: _Scale) -> None:
    from matplotlib.patches import Rectangle
    from matplotlib.ticker import MaxNLocator

    ax.tick_params(axis="x", labelsize=8.5)
    ax.set_ylim(*scale.limits)
    above = Rectangle((0, scale.floor), 1, scale.limits[1] - scale.floor, transform=ax.get_yaxis_transform())
    ticks = MaxNLocator(nbins=6, steps=[1, 2, 5, 10]).tick_values(scale.floor, scale.top)
    ax.set_yticks([tick for tick in ticks if scale.floor - 1e-9 <= tick <= scale.limits[1]])
    if scale.strip is not None:
        ax.axhline((scale.floor + scale.strip) / 2, color="#999999", linewidth=0.7, zorder=1)
    for search in others:
        _line(ax, search, "#D9D9D9", 0.8, above)
    for search, colour in zip(own, _colours(own), strict=True):
        if search.default.get("lr"):
            ax.axvline(search.default["lr"], color="#777777", linewidth=1.0, linestyle=(0, (1, 1.5)), zorder=1.2)
        _line(ax, search, colour, 1.5, above)
        for trial in _rates(search):
            _mark(ax, search, trial, colour, scale)


def _name(ax: Axes, own: Sequence[Search]) -> None:
    """Several searches of one method are named at what each of them chose."""
    low, high = ax.get_ylim()
    labels, covered = [], []
    for search, colour in zip(own, _colours(own), strict=True):
        points = _points(search)
        if not points:
            continue
        best = search.chosen or (min if search.lower else max)(points, key=lambda one: one[2])[0]
        x, y = next((x, y) for trial, x, y in points if trial is best)
        labels.append(Label(x, min(max(y, low), high), search.detail or search.label, style.ink(colour), 8.0))
        marks = ax.transData.transform([(x, min(max(y, low), high)) for _, x, y in points])
        covered.append((marks[:, None] + _DISC).reshape(-1, 2))
        if line := [(x, y) for trial, x, y in points if trial.completed]:
            covered.append(along(ax.transData.transform(line)))
    if len(labels) > 1:
        place(ax, labels, np.concatenate(covered))


def _colours(own: Sequence[Search]) -> list[Any]:
    return style.shades(own[0].method, len(own)) if own else []


def _line(ax: Axes, search: Search, colour: Any, width: float, above: Any) -> None:
    """Through the completed trials, as far as the axis reaches; faint where they differ in more than the rate."""
    own = [(x, y) for trial, x, y in _points(search) if trial.completed]
    faint = width > 1 and len(search.trials[0].params) > 1
    if own:
        xs, ys = zip(*own, strict=True)
        pen: dict[str, Any] = {"linewidth": 0.9 if faint else width, "alpha": 0.5 if faint else 1.0}
        (line,) = ax.plot(xs, ys, color=colour, zorder=1.1 if width < 1 else 2, **pen)
        line.set_clip_path(above)


def _mark(ax: Axes, search: Search, trial: Trial, colour: Any, scale: _Scale) -> None:
    """One trial: filled, hollow where it was pruned, a cross where it has no score, ringed if it was chosen."""
    x, y, chosen = _rate(trial), trial.score, search.chosen is trial
    pen: dict[str, Any] = {"color": colour, "linestyle": "none", "zorder": 4 + chosen, "clip_on": False}
    if y is None:
        ax.plot([x], [scale.strip or scale.floor], marker="x", markersize=5, markeredgewidth=1.3, **pen)
        return
    pen |= {"markeredgecolor": "white", "markeredgewidth": 0.5} if trial.completed else {"fillstyle": "none"}
    if not scale.floor <= y <= scale.top:
        low = y < scale.floor
        at = scale.floor if low else scale.top
        ax.plot([x], [at], marker=7 if low else 6, markersize=5.5, **pen)
        if chosen:
            ax.annotate(
                f"{y:.3f}", (x, at), xytext=(0, 6 if low else -6), textcoords="offset points", fontsize=8,
                ha="center", va="bottom" if low else "top", color=style.ink(colour),
            )  # fmt: skip
        return
    pen |= {"markeredgecolor": "#000000", "markeredgewidth": 1.5} if chosen else {}
    marker = style.look(search.method).marker
    ax.plot([x], [y], marker=marker, markersize=8.5 if chosen else 5.5, **pen)


def _log_axis(ax: Axes, xs: Sequence[float]) -> None:
    """Decades, on all panels alike."""
    from matplotlib.ticker import NullLocator

    axis.log_axis(ax, xs)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda value, _: style.power(value))


def _notes(groups: Sequence[Group]) -> list[str]:
    shown = [[search for search in compared(group) if _rates(search)] for group in groups]
    every = [search for own in shown for search in own]
    trials = [trial for search in every for trial in _rates(search)]
    notes = [wording.tunings(groups), "A mark is a trial; ringed: chosen; dotted line: the default rate."]
    if any(trial.status == "pruned" for trial in trials):
        notes.append("Hollow: pruned, with its score so far.")
    if bare := {trial.status.replace("_", " ") for trial in trials if trial.score is None}:
        notes.append(f"× at the bottom: {' or '.join(sorted(bare))}.")
    scales = [(_scale(own), own) for own in shown]
    if any(not scale.floor <= y <= scale.top for scale, own in scales for search in own for _, _, y in _points(search)):
        notes.append("Arrowheads: beyond the axis.")
    if more := {name for search in every for trial in search.trials for name in trial.params} - {"lr"}:
        notes.append(f"Trials on one line differ in {wording.listed(more)} too.")
    if any(len(_panels(group)) > 1 for group in groups):
        notes.append("Grey: the other panels.")
    return [*notes, *(group.specs for group in groups[: len(groups) == 1])]
