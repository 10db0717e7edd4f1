"""Over all tasks at once: performance profiles, and mean ranks with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.report import style
from bench.report.data import differences
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration
from bench.report.data.names import headings
from bench.report.figures.canvas import Canvas
from bench.report.tables.aggregates import scaled, several
from bench.stats import has_width, performance_profile, stratified_interval

_FAR = 1.5  # beyond the worst and the best mean, in distances of these
_MARGIN = 0.05


def has_profiles(groups: Sequence[Group]) -> bool:
    """Whether several tasks have configurations and seeds in common."""
    return several(groups) is not None


def profiles(groups: Sequence[Group]) -> Canvas:
    """The share of runs above each score, tasks put on one scale. Agarwal et al. 2021 (arXiv:2108.13264)."""
    found = several(groups)
    assert found is not None  # asked for only where there are common configurations
    scores = scaled(found)
    ends = _reach(scores)
    thresholds = np.linspace(*ends, 561)
    narrow = style.in_column()
    size = (style.COLUMN, 2.4 + 0.13 * len(found.rows)) if narrow else (8.4, 4.8)
    canvas = Canvas(*size, "Performance profiles over tasks", _tasks(found.groups))
    ax = canvas.axes()
    for configuration, (colour, dash), own in zip(found.rows, _looks(found.rows), scores, strict=True):
        share = performance_profile(own, thresholds)
        ax.step(thresholds, share, where="post", color=colour, linestyle=dash, label=configuration.label, linewidth=1.5)
    words = "τ: score, from the task's worst configuration (0) to its best (1) by their means"
    ax.set_xlabel("τ: score, worst configuration (0) to best (1)" if narrow else words, fontsize=style.pt(10))
    ax.set_ylabel("share of runs that score above τ", fontsize=style.pt(10))
    ax.tick_params(labelsize=style.pt(9.5))
    ax.set_xlim(*ends)
    ax.set_ylim(-0.02, 1.02)
    if narrow:
        canvas.figure.legend(loc="outside lower center", ncols=2, fontsize=style.pt(8.5), handlelength=3.2)
    else:
        ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=8, handlelength=3.2)
    seeds = found.scores.shape[1]
    canvas.finish([
        f"{len(found.groups)} tasks × {seeds} seeds = {len(found.groups) * seeds} runs a curve: a step is one run. The "
        "higher a curve, the better; curves that cross do not order two methods. Only configurations that every task "
        "has.",
        _beyond(scores, ends), _flat(groups, found.groups), found.left, differences.left_out(groups),
    ])  # fmt: skip
    return canvas


def _reach(scores: NDArray[np.float64]) -> tuple[float, float]:
    """Of the axis: every run, unless one lies so far off that it would press the others together."""
    low, high = (max(float(scores.min()), -_FAR), min(float(scores.max()), 1.0 + _FAR))
    return min(low, 0.0) - _MARGIN, max(high, 1.0) + _MARGIN


def _beyond(scores: NDArray[np.float64], ends: tuple[float, float]) -> str:
    """A sentence on the runs that the axis does not reach; "" where there are none."""
    number = int(((scores < ends[0]) | (scores > ends[1])).sum())
    return f"{number} of {scores.size} runs lie beyond the axis." if number else ""


def _flat(groups: Sequence[Group], kept: Sequence[Group]) -> str:
    """A sentence on the tasks that are left out because only noise differs there; "" where there are none."""
    every = differences.comparable(groups)
    names = [name for group, name in zip(every, headings(every), strict=True) if group not in kept]
    return (
        f"Left out, as their configurations differ by little more than seeds do: {', '.join(names)}." if names else ""
    )


def has_ranking(groups: Sequence[Group]) -> bool:
    """Whether there are configurations to be ranked on several tasks; on one, three seeds rank alike by chance."""
    found = differences.blocks(groups)
    return found is not None and len(found.groups) > 1


def ranking(groups: Sequence[Group]) -> Canvas:
    """Mean rank over tasks and seeds, 1 the best, with intervals; hollow: no significant difference from the first."""
    found = differences.blocks(groups)
    assert found is not None  # asked for only where there are common configurations
    ranks = stats.rankdata(-found.scores, axis=0)
    means = ranks.mean(axis=(1, 2))
    order = np.argsort(means, kind="stable")
    first = ranks[order[0]]
    tasks, seeds = len(found.groups), found.scores.shape[1]
    size = (style.COLUMN, 0.8 + 0.19 * len(order)) if style.in_column() else (7.4, 1.9 + 0.27 * len(order))
    canvas = Canvas(*size, "Mean rank over tasks and seeds", _tasks(found.groups))
    ax = canvas.axes()
    for at, row in enumerate(order):
        look = style.look(found.rows[row].name)
        low, high = np.clip(_interval(ranks[row]), 1, len(order))
        less = _interval(ranks[row] - first)
        alike = row != order[0] and (less[0] <= 0 or not has_width(less))
        ax.plot([low, high], [at, at], color=look.colour, linewidth=1.6)
        ax.plot(
            [means[row]], [at], marker=look.marker, color=look.colour, markersize=style.pt(7), markeredgewidth=1.3,
            fillstyle="none" if alike else "full",
        )  # fmt: skip
    ax.set_yticks(range(len(order)), [found.rows[row].label for row in order], fontsize=style.pt(9.5))
    ax.tick_params(axis="x", labelsize=style.pt(9.5))
    ax.invert_yaxis()
    ax.set_xlim(0.5, len(order) + 0.5)
    among = f"among {len(order)}" if style.in_column() else f"among {len(order)} configurations"
    ax.set_xlabel(f"mean rank {among} (1: best)", fontsize=style.pt(10))
    canvas.finish([
        f"Ranks within each of {tasks} task{'s' * (tasks > 1)} × {seeds} seeds, ties shared. Bars: 95% intervals of "
        "the mean (Student's, after Welch over tasks). Hollow: no significant difference from "
        "the first. Only configurations that every task has.",
        found.left, differences.left_out(groups),
    ])  # fmt: skip
    return canvas


def _tasks(groups: Sequence[Group]) -> str:
    """Their names, where these fit on a line."""
    names = ", ".join(headings(groups))
    return names if len(names) < 40 else f"{len(groups)} tasks"


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Of a mean over (seeds, tasks): bootstrapped ranks of three seeds would scatter too little."""
    found = stratified_interval(list(values.T))
    assert found is not None  # there are two seeds or more
    return found


def _looks(configurations: Sequence[Configuration]) -> list[tuple[Any, Any]]:
    """Colour and dash of each: shades within a method, the dashes of the methods between them."""
    names = [c.name for c in configurations]
    return list(zip(style.searched(names), [style.look(name).dash for name in names], strict=True))
