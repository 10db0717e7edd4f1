"""How the score grows with the training samples: a line a method, where a study has a task at several sizes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

from bench.report import style
from bench.report.data import differences, wording
from bench.report.data.chance import chance
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration
from bench.report.figures import axis
from bench.report.figures.canvas import Canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 3  # panels side by side
_ASIDE = 1.05  # factor between neighbours that would cover each other


def sizes(groups: Sequence[Group]) -> list[dict[int, Group]]:
    """For each task and model run with several numbers of training samples, and alike else, its groups by number."""
    found: dict[tuple[str, str], dict[int, Group]] = defaultdict(dict)
    for group in differences.comparable(groups):
        if group.samples is not None:
            record = group.records[0]
            task = re.sub(r"\btrain=\d+(, )?", "", str(record["task"].get("spec") or group.task))
            found[task, str(record["model"].get("spec") or group.model)].setdefault(group.samples, group)
    return [dict(sorted(known.items())) for known in found.values() if len(known) > 1]


def has_sizes(groups: Sequence[Group]) -> bool:
    """Whether there is a task at several sizes."""
    return bool(sizes(groups))


def against_samples(groups: Sequence[Group]) -> Canvas:
    """Each method's score against the number of training samples, a panel a task."""
    shown = sizes(groups)
    narrow = style.in_column()
    columns = 1 if narrow else min(_COLUMNS, len(shown))
    rows = ceil(len(shown) / columns)
    parts = [g for by in shown for g in by.values()]
    keys = list(dict.fromkeys(differences.key(c) for g in parts for c in g.configurations))
    labels = {baseline.label for g in parts for baseline in g.baselines} | {"chance"}
    width = style.COLUMN if narrow else 3.8 + 2.6 * columns
    across = int(width / style.pt(2.1))
    inches = style.pt(0.19 * ceil((len(keys) + len(labels)) / across) + 0.1)
    high = 2.3 * rows + inches if narrow else 3.5 * rows + inches + 1.0
    canvas = Canvas(width, high, "What a training sample buys", "")
    panels, below = canvas.panels(rows, columns, below=inches / (2.0 if narrow else 3.2))
    for ax in panels[len(shown) :]:
        ax.set_axis_off()
    cut = False
    for number, (ax, by) in enumerate(zip(panels, shown, strict=False)):
        cut |= _panel(ax, by, keys)
        if number + columns >= len(shown):
            ax.set_xlabel("training samples (log scale)", fontsize=style.pt(9))
    handles = {
        line.get_label(): line for ax in panels for line in ax.get_lines() if not str(line.get_label()).startswith("_")
    }
    below.legend(handles=handles.values(), loc="upper left", ncols=across, fontsize=style.pt(8.5), borderaxespad=0.0)
    first = next(iter(shown[0].values()))
    canvas.finish([
        wording.seeds(first) + " Marks on one grey band are of the size below it. Every method is tuned at every size "
        "by itself.", "Intervals that meet the edge of a panel go on beyond it." * cut,
        wording.tunings(parts), differences.left_out(groups), first.device + ".",
    ])  # fmt: skip
    return canvas


def _panel(ax: Axes, by: dict[int, Group], keys: Sequence[differences.Key]) -> bool:
    """The lines of one task; returns whether intervals go on beyond the panel."""
    first = next(iter(by.values()))
    ends = [_ASIDE ** (side * (len(keys) - 1) / 2) for side in (-1, 1)]
    for place, key in enumerate(keys):
        aside = ends[0] * _ASIDE**place
        found = {n * aside: c for n, group in by.items() for c in group.configurations if differences.key(c) == key}
        if found:
            _line(ax, found)
    axis.log_axis(ax, list(map(float, by)))
    ax.set_xlim(min(by) / 1.5, max(by) * 1.5)
    ax.set_xticks(list(by), [f"{n:,}" for n in by])
    ax.set_xticks([], minor=True)
    ax.grid(visible=False, axis="x")
    for n in by if len(keys) > 1 else ():
        ax.axvspan(n * ends[0] / _ASIDE, n * ends[1] * _ASIDE, color="#F1F1F1", linewidth=0, zorder=0.1)
    low, high = _limits(by)
    ax.set_ylim(low, high)
    _without_network(ax, by, low, high)
    ax.set_ylabel(axis.score_name(first), fontsize=style.pt(9))
    ax.set_title(first.subject, fontsize=style.pt(9.5), fontweight="bold", color="#222222")
    ax.tick_params(labelsize=style.pt(8.5))
    shown = [end for group in by.values() for c in group.configurations for end in c.score.interval or ()]
    return any(not low <= end <= high for end in shown)


def _limits(by: dict[int, Group]) -> tuple[float, float]:
    """Of the score's axis: all means, then intervals, then baselines and chance, as far as means keep their room."""
    scores = [c.score for group in by.values() for c in group.configurations]
    low, high = min(score.mean for score in scores), max(score.mean for score in scores)
    span = max(high - low, 0.02)
    ends = [end for score in scores for end in score.interval or ()]
    low, high = max(min([low, *ends]), low - span / 2), min(max([high, *ends]), high + span / 2)
    others = [baseline.score.mean for group in by.values() for baseline in group.baselines]
    others += [guess for group in by.values() if (guess := chance(group)) is not None]
    near = [score for score in others if low - span <= score <= high + span]
    low, high = min([low, *near]), max([high, *near])
    margin = 0.06 * (high - low) or 0.01
    least, most = style.extent(next(iter(by.values())).metric)
    return max(low - margin, min(low, least) - margin / 3), min(high + margin, max(high, most) + margin / 3)


def _without_network(ax: Axes, by: dict[int, Group], low: float, high: float) -> None:
    """Baselines, joined over the sizes, and chance, where the axis reaches them."""
    known: dict[tuple[style.Look, str], dict[int, float]] = defaultdict(dict)
    for n, group in by.items():
        for baseline in group.baselines:
            known[style.baseline_look(baseline.number), baseline.label][n] = baseline.score.mean
        if (guess := chance(group)) is not None:
            known[style.CHANCE, "chance"][n] = guess
    for (look, label), scores in known.items():
        if any(low <= score <= high for score in scores.values()):
            pen: dict[str, Any] = {"color": look.colour, "linestyle": look.dash, "linewidth": 1.0, "zorder": 1.5}
            ax.plot(list(scores), list(scores.values()), marker=".", markersize=4, label=label, **pen)


def _line(ax: Axes, found: dict[float, Configuration]) -> None:
    """One method's means, joined, with their intervals."""
    configuration = next(iter(found.values()))
    look = style.look(configuration.name)
    ax.plot(
        list(found), [c.score.mean for c in found.values()], color=look.colour, marker=look.marker,
        markersize=style.pt(6.5), markeredgecolor="white", markeredgewidth=0.5, linestyle=look.dash, linewidth=1.3,
        label=configuration.label, zorder=3,
    )  # fmt: skip
    for x, c in found.items():
        if c.score.interval:
            ax.plot([x] * 2, c.score.interval, color=look.colour, linewidth=0.8, alpha=0.5, zorder=2)
