"""How far an axis reaches: what is compared must not be pressed together by the few that lie far off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from bench.report import style
from bench.report.data import wording
from bench.report.data.chance import chance
from bench.report.data.groups import Group
from bench.report.data.measured import Baseline
from bench.report.data.names import headings

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BELOW = "#EFEFEF"
_PRESSED = 0.25  # the least share of an axis that what is compared is left for the sake of baselines
_BY_CHANCE = 0.5  # and the least for the sake of the line of chance, which is far below where anything is learned
_BAND = 0.13  # of the axis, for what lies below it
_ROOM = 0.02  # of the axis, beyond what a score can be


@dataclass(frozen=True)
class Reach:
    """Limits of the score's axis, and the baselines it reaches or leaves out.

    Args:
        low, high: where the axis ends.
        floor: where its scale begins: between `low` and there stands what lies far below.
        shown: baselines that it reaches.
        beyond: baselines that it does not.
        chance: what guessing scores, where that is known.
        cut: whether intervals go on beyond the axis.
    """

    low: float
    high: float
    floor: float
    shown: tuple[Baseline, ...]
    beyond: tuple[Baseline, ...]
    chance: float | None = None
    cut: bool = False

    def at(self, score: float) -> float:
        """Where on the axis a score stands: what lies below its scale, in the middle of the band."""
        return score if score >= self.floor else (self.low + self.floor) / 2

    def holds(self, score: float) -> bool:
        """Whether the scale reaches to a score."""
        return self.floor <= score <= self.high

    @property
    def guessing(self) -> float | None:
        """What guessing scores, where the scale reaches to it."""
        return self.chance if self.chance is not None and self.holds(self.chance) else None

    @property
    def far(self) -> list[tuple[str, float]]:
        """Name and score of every baseline that the axis does not reach, and of chance."""
        unseen = self.chance is not None and self.guessing is None
        return [(r.label, r.score.mean) for r in self.beyond] + [("chance", self.chance or 0.0)] * unseen


def reach(group: Group, *, pressed: float = _PRESSED) -> Reach:
    """The scores of all methods but far outliers, then baselines and chance as far as the methods keep their room.

    Args:
        group: with configurations.
        pressed: the least share of the axis that is left to what is compared; 1 where no room is for baselines.
    """
    low = _floor(group)
    high = max(value for c in group.configurations for value in c.score.values)
    low, high = _with_intervals(group, low, high)
    room = max(high - low, 0.02) / pressed if len(group.configurations) > 1 else float("inf")
    shown = []
    for baseline in sorted(group.baselines, key=lambda r: max(low - r.score.mean, r.score.mean - high)):
        ends = baseline.score.interval or (baseline.score.mean,) * 2
        if max(high, ends[1]) - min(low, ends[0]) <= room:
            low, high = min(low, ends[0]), max(high, ends[1])
            shown.append(baseline)
    guess = chance(group)
    if guess is not None and max(high, guess) - min(low, guess) <= room * pressed / max(_BY_CHANCE, pressed):
        low, high = min(low, guess), max(high, guess)
    low, high = _margins(group, low, high)
    kept = tuple(r for r in group.baselines if r in shown or low <= r.score.mean <= high)  # its interval may be cut
    far = tuple(r for r in group.baselines if r not in kept)
    band = _BAND * (high - low) if any(c.score.mean < low for c in group.configurations) else 0.0
    scores = [c.score for c in group.configurations if c.score.mean >= low] + [r.score for r in kept]
    known = [score.interval for score in scores if score.interval]
    cut = any(not low <= end <= high for interval in known for end in interval)
    return Reach(low - band, high, low, kept, far, guess, cut)


def _margins(group: Group, low: float, high: float) -> tuple[float, float]:
    """Room around what is shown, but hardly any where no score can be."""
    margin = max(0.09 * (high - low), (0.02 - (high - low)) / 2)  # do not blow up what hardly differs
    least, most = style.extent(group.metric)
    room = _ROOM * (high - low + 2 * margin)
    return max(low - margin, min(low, least) - room), min(high + margin, max(high, most) + room)


def draw_scale(ax: Axes, reach: Reach, *, across: bool = False, size: float | None = None) -> None:
    """The limits and ticks of the score's axis, and the band for what lies below it.

    Args:
        ax: what gets them.
        reach: of the axis.
        across: whether the score is on the x axis.
        size: of the ticks' letters in points.
    """
    from matplotlib.ticker import MaxNLocator

    own = ax.xaxis if across else ax.yaxis
    (ax.set_xlim if across else ax.set_ylim)(reach.low, reach.high)
    steps = MaxNLocator(nbins=5 if across else 8, steps=[1, 2, 2.5, 5, 10]).tick_values(reach.floor, reach.high)
    ticks = [float(tick) for tick in steps if reach.holds(tick)]
    digits = next((d for d in range(1, 6) if all(abs(tick - round(tick, d)) < 1e-9 for tick in ticks)), 6)
    labels = [f"{tick:.{digits}f}".replace("-", "−") for tick in ticks]
    if reach.low < reach.floor:
        (ax.axvspan if across else ax.axhspan)(reach.low, reach.floor, color=_BELOW, linewidth=0, zorder=0.1)
        (ax.axvline if across else ax.axhline)(reach.floor, color=style.NOTE, linewidth=0.8, linestyle=(0, (3, 2)))
        ticks, labels = [reach.at(-np.inf), *ticks], ["below" if across else "below\nthe axis", *labels]
    own.set_ticks(ticks, labels)
    if size:
        own.set_tick_params(labelsize=size)


def _with_intervals(group: Group, low: float, high: float) -> tuple[float, float]:
    """Room for the intervals too, but no more than the scores themselves take: few seeds make long ones."""
    ends = [end for c in group.configurations if c.score.mean >= low and c.score.interval for end in c.score.interval]
    room = high - low if len(group.configurations) > 1 else float("inf")
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


def beyond(groups: Sequence[Group], reaches: Sequence[Reach]) -> list[str]:
    """A sentence for all that an axis does not reach: "Chance (0.500 on elpv and trec) lies below the axis."."""
    return outside(groups, [(reach.far, reach.floor) for reach in reaches])


def outside(groups: Sequence[Group], far: Sequence[tuple[Sequence[tuple[str, float]], float]]) -> list[str]:
    """The same of axes that are no `Reach`.

    Args:
        groups: of the panels.
        far: for each what its axis does not reach, by name, and where it begins.
    """
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for task, (scores, floor) in zip(headings(groups), far, strict=True):
        for name, score in scores:
            side = "below" if score < floor else "above"
            found.setdefault((name, side), {}).setdefault(f"{score:.3f}", []).append(task)
    said = []
    for (name, side), by in found.items():
        where = [f"{score} on {wording.several(on)}" if len(groups) > 1 else score for score, on in by.items()]
        said.append(f"{name[0].upper()}{name[1:]} ({'; '.join(where)}) lies {side} the axis.")
    return said


def cut(reaches: Sequence[Reach]) -> str:
    """A sentence where any interval goes on beyond its axis."""
    return "Intervals that meet the edge of a panel go on beyond it." if any(reach.cut for reach in reaches) else ""


def score_name(group: Group) -> str:
    """The score's axis in words: "Top-1 accuracy (test)"."""
    name = style.metric_name(group.metric)
    return f"{name[0].upper()}{name[1:]} (test)"
