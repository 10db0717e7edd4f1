"""Over all tasks at once: performance profiles, and mean ranks with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.report import style, versus
from bench.report.groups import Group
from bench.report.measured import Configuration
from bench.report.sheet import Sheet
from bench.stats import normalised, performance_profile, stratified_bootstrap

_RESAMPLES = 2_000


def has_profiles(groups: Sequence[Group]) -> bool:
    """Whether several tasks have configurations and seeds in common."""
    found = versus.blocks(groups)
    return found is not None and len(found.groups) > 1 and not _flat(found.scores).any()


def profiles(groups: Sequence[Group]) -> Sheet:
    """The share of runs above each score, tasks put on one scale. Agarwal et al. 2021 (arXiv:2108.13264)."""
    found = versus.blocks(groups)
    assert found is not None  # asked for only where there are common configurations
    scores = _scaled(found.scores)
    thresholds = np.linspace(-0.2, 1.2, 281)
    sheet = Sheet(8.4, 4.8, "Performance profiles over tasks", ", ".join(g.subject for g in found.groups))
    ax = sheet.axes()
    for configuration, (colour, dash), own in zip(found.rows, _looks(found.rows), scores, strict=True):
        share = performance_profile(own, thresholds)
        ax.step(thresholds, share, where="post", color=colour, linestyle=dash, label=configuration.label, linewidth=1.5)
    ax.set_xlabel("τ: score, from the task's worst configuration (0) to its best (1) by their means")
    ax.set_ylabel("share of runs that score above τ")
    ax.set_xlim(-0.2, 1.2)
    ax.set_ylim(-0.02, 1.02)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=8, handlelength=3.2)
    seeds = found.scores.shape[1]
    sheet.finish([
        f"{len(found.groups)} tasks × {seeds} seeds = {len(found.groups) * seeds} runs a curve: a step is one run. The "
        "higher a curve, the better; curves that cross do not order two methods. Only configurations that every task "
        "has.",
        versus.left_out(groups),
    ])  # fmt: skip
    return sheet


def has_ranking(groups: Sequence[Group]) -> bool:
    """Whether there are configurations to be ranked, on common seeds."""
    return versus.blocks(groups) is not None


def ranking(groups: Sequence[Group]) -> Sheet:
    """Mean rank over tasks and seeds, 1 the best, with intervals; what cannot be told from the first is hollow."""
    found = versus.blocks(groups)
    assert found is not None  # asked for only where there are common configurations
    ranks = stats.rankdata(-found.scores, axis=0)
    means = ranks.mean(axis=(1, 2))
    order = np.argsort(means, kind="stable")
    first = ranks[order[0]]
    tasks, seeds = len(found.groups), found.scores.shape[1]
    names = ", ".join(g.subject for g in found.groups)
    sheet = Sheet(
        7.4, 1.9 + 0.27 * len(order), "Mean rank over tasks and seeds", names if tasks < 3 else f"{tasks} tasks"
    )
    ax = sheet.axes()
    for at, row in enumerate(order):
        look = style.look(found.rows[row].name)
        low, high = _interval(ranks[row])
        alike = row != order[0] and _interval(ranks[row] - first)[0] <= 0
        ax.plot([low, high], [at, at], color=look.colour, linewidth=1.6)
        ax.plot(
            [means[row]], [at], marker=look.marker, color=look.colour, markersize=7, markeredgewidth=1.3,
            fillstyle="none" if alike else "full",
        )  # fmt: skip
    ax.set_yticks(range(len(order)), [found.rows[row].label for row in order])
    ax.invert_yaxis()
    ax.set_xlim(0.5, len(order) + 0.5)
    ax.set_xlabel(f"mean rank among {len(order)} configurations (1: best)")
    sheet.finish([
        f"Ranks within each of {tasks} task{'s' * (tasks > 1)} × {seeds} seeds, ties shared. Bars: 95% bootstrap over "
        f"seeds within tasks, with {seeds} seeds too narrow by about {1 - np.sqrt(1 - 1 / seeds):.0%}. Hollow: "
        "the rank less that of the first has an interval that holds 0. Only configurations that every task has.",
        versus.left_out(groups),
    ])  # fmt: skip
    return sheet


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Of a mean over (seeds, tasks)."""
    return stratified_bootstrap(
        values, lambda drawn: drawn.mean(axis=(1, 2)), np.random.default_rng(0), resamples=_RESAMPLES
    )


def _scaled(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """(configurations, seeds, tasks), 0 at a task's worst mean and 1 at its best."""
    means = scores.mean(axis=1, keepdims=True)
    return normalised(scores, means.min(axis=0, keepdims=True), means.max(axis=0, keepdims=True))


def _flat(scores: NDArray[np.float64]) -> NDArray[np.bool_]:
    """On which tasks all configurations are alike."""
    means = scores.mean(axis=1)
    return np.asarray(means.max(axis=0) == means.min(axis=0))


def _looks(configurations: Sequence[Configuration]) -> list[tuple[Any, Any]]:
    """Colour and dash of each: shades within a method, the dashes of the methods between them."""
    names = [c.name for c in configurations]
    return list(zip(style.searched(names), [style.look(name).dash for name in names], strict=True))
