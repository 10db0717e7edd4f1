"""How far an axis reaches: what is compared must not be pressed together by the few that lie far off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from bench.report import style
from bench.report.data.groups import Group
from bench.report.data.measured import Baseline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PRESSED = 0.25  # the least share of an axis that what is compared may be given


@dataclass(frozen=True)
class Reach:
    """Limits of the score's axis, and the baselines it reaches or leaves out."""

    low: float
    high: float
    shown: tuple[Baseline, ...]
    beyond: tuple[Baseline, ...]

    @property
    def notes(self) -> list[str]:
        """A sentence for every baseline that the axis does not reach."""
        return [
            f"{r.label}: {r.score.mean:.3f}, {'below' if r.score.mean < self.low else 'above'} the axis."
            for r in self.beyond
        ]


def reach(group: Group) -> Reach:
    """The scores of all methods but far outliers, then the baselines as far as the methods keep their room."""
    low = _floor(group)
    high = max(value for c in group.configurations for value in c.score.values)
    low, high = _with_intervals(group, low, high)
    room = max(high - low, 0.02) / _PRESSED if len(group.configurations) > 1 else float("inf")
    shown = []
    for baseline in sorted(group.baselines, key=lambda r: max(low - r.score.mean, r.score.mean - high)):
        ends = baseline.score.interval or (baseline.score.mean,) * 2
        if max(high, ends[1]) - min(low, ends[0]) <= room:
            low, high = min(low, ends[0]), max(high, ends[1])
            shown.append(baseline)
    margin = max(0.09 * (high - low), (0.02 - (high - low)) / 2)  # do not blow up what hardly differs
    kept = tuple(r for r in group.baselines if r in shown)
    return Reach(low - margin, high + margin, kept, tuple(r for r in group.baselines if r not in shown))


def _with_intervals(group: Group, low: float, high: float) -> tuple[float, float]:
    """Room for the intervals too, but no more than the scores themselves take: few seeds make long ones."""
    ends = [end for c in group.configurations if c.score.mean >= low and c.score.interval for end in c.score.interval]
    room = high - low
    return max(min([low, *ends]), low - room / 2), min(max([high, *ends]), high + room / 2)


def _floor(group: Group) -> float:
    """Where the axis begins: a few methods far below the others must not press those into one line."""
    means = sorted(c.score.mean for c in group.configurations)
    gaps = [upper - lower for lower, upper in pairwise(means)]
    few = len(means) // 3
    if few and max(gaps[:few]) > (1 - _PRESSED) * (means[-1] - means[0]):
        means = means[int(np.argmax(gaps[:few])) + 1 :]
    return min(value for c in group.configurations if c.score.mean >= means[0] for value in c.score.values)


def log_axis(ax: Axes, xs: Sequence[float]) -> None:
    """A log x axis around `xs`, with ticks that can be read."""
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = min(xs), max(xs)
    ax.set_xscale("log")
    around = max(1.4, (high / low) ** 0.09, (30 * low / high) ** 0.5)
    ax.set_xlim(low / around, high * around)
    subs = (1.0,) if high / low > 200 else (1.0, 2.0, 5.0)
    ax.xaxis.set_major_locator(LogLocator(subs=subs))
    ax.xaxis.set_minor_formatter(NullFormatter())


def linear_axis(ax: Axes, xs: Sequence[float]) -> None:
    """A linear x axis around `xs`."""
    from matplotlib.ticker import MaxNLocator

    low, high = min(xs), max(xs)
    around = 0.12 * (high - low) or 0.2 * high
    ax.set_xlim(max(0.0, low - around), high + around)
    ax.xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))


def score_name(group: Group) -> str:
    """The score's axis in words: "Top-1 accuracy (test)"."""
    name = style.metric_name(group.metric)
    return f"{name[0].upper()}{name[1:]} (test)"
