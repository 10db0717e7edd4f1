"""Predictions of a detector on a few test pictures: a column a picture, a row a configuration, the truth on top."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.report import style
from bench.report.data import wording
from bench.report.data.groups import Group
from bench.report.data.matched_boxes import ENOUGH, Box, outcome
from bench.report.data.measured import Configuration
from bench.report.figures.canvas import Canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROWS = 6  # configurations; more would not be looked at
_PICTURES = 3
_FIRST = ("LinearProbe", "FullFineTuning", "LoRA")
_WIDE, _HIGH = 7.8, 2.6  # inches for all pictures of a row, and at most for each one's height
_BESIDE = 1.7  # inches for the names of the rows
_LETTER = 0.073  # inches of a letter in a panel's title
_BLANK = (0.91, 0.91, 0.91)  # in place of a picture

Example = Mapping[str, Any]


@dataclass(frozen=True)
class Pen:
    """How a box is drawn: a line on a wider black one, so that it shows on any picture, in grey too."""

    name: str
    colour: str
    width: float
    dash: str | tuple[int, tuple[float, ...]] = "-"

    def box(self, corner: tuple[float, float], width: float, height: float) -> Any:
        """A rectangle."""
        from matplotlib.patches import Rectangle
        from matplotlib.patheffects import Normal, Stroke

        solid = {"dash_offset": 0, "dash_list": None}
        under = Stroke(linewidth=self.width + 1.1, foreground="black", dashes=solid)
        return Rectangle(
            corner, width, height, fill=False, edgecolor=self.colour, linewidth=self.width, linestyle=self.dash,
            path_effects=[under, Normal()],
        )  # fmt: skip


FOUND = Pen("prediction on a true box", "#56B4E9", 1.9)
WRONG = Pen("prediction that is on none", "#F5A623", 1.2, (0, (1.5, 1)))
MISSED = Pen("true box without a prediction", "#FFFFFF", 0.9, (0, (4, 3)))
COLOURS = ("#FFFFFF", "#000000", FOUND.colour, WRONG.colour)


def shows_examples(group: Group) -> bool:
    """Whether any final run of the group has predictions to show."""
    return any(map(_run, group.configurations))


def examples(group: Group, pictures: Path) -> Canvas:
    """Up to three pictures: the true boxes, then what the first seed of each configuration found.

    Args:
        group: with examples in its records.
        pictures: the folder with the pictures; without one, its panels have the boxes alone.
    """
    recorded = [configuration for configuration in group.configurations if _run(configuration)]
    shown = chosen(recorded)
    columns = _columns(shown)
    aspects = [example["width"] / example["height"] for example in columns]
    high = min(_HIGH, _WIDE / sum(aspects))
    widths = [max(1.4, high * aspect) for aspect in aspects]  # room for the titles and for the names of the rows
    rows, across = len(shown) + 1, len(columns)
    heading = f"Boxes found on {across} test picture{'s' * (across != 1)}: {group.title}"
    canvas = Canvas(max(8.0, sum(widths) + _BESIDE), (max(0.9, high) + 0.3) * rows + 1.6, heading, "")
    panels, below = canvas.panels(rows, across, below=0.14, widths=widths)
    backgrounds = [_read(pictures / example["picture"]) for example in columns]
    for ax, example, background, width in zip(panels, columns, backgrounds, widths, strict=False):
        number = len(example["true"])
        title = f"{_brief(example['title'], int(width / _LETTER))}\n{number} box{'es' * (number != 1)}"
        _frame(ax, example, background, title)
        _draw(ax, example["true"], MISSED, example["classes"])
    _name(panels[0], "true boxes")
    for number, configuration in enumerate(shown, 1):
        row = panels[number * across : (number + 1) * across]
        _name(row[0], configuration.label, _scores(configuration))
        own = {example["picture"]: example for example in _run(configuration)}
        for ax, example, background in zip(row, columns, backgrounds, strict=True):
            _predictions(ax, own.get(example["picture"]), example, background)
    keys = [pen.box((0, 0), 1, 1) for pen in (FOUND, WRONG, MISSED)]
    below.legend(keys, [pen.name for pen in (FOUND, WRONG, MISSED)], loc="center left", ncols=3, fontsize=9)
    absent = [example["picture"] for example, there in zip(columns, backgrounds, strict=True) if there is None]
    canvas.finish([*_notes(group, recorded, shown), *(f"Missing: pictures/{name}." for name in absent), group.specs])
    return canvas


def chosen(configurations: Sequence[Configuration]) -> list[Configuration]:
    """All, or six by a rule that knows no score: each method's middle one, then the largest, then the smallest."""
    if len(configurations) <= _ROWS:
        return list(configurations)
    methods: dict[str, list[Configuration]] = defaultdict(list)
    for configuration in configurations:
        methods[configuration.name].append(configuration)
    order = sorted(methods, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))
    spread = [[own[(len(own) - 1) // 2], own[-1], own[0]] for own in map(methods.__getitem__, order)]
    rounds = dict.fromkeys(chain.from_iterable(zip(*spread, strict=True)))
    return [configuration for configuration in configurations if configuration in list(rounds)[:_ROWS]]


def _run(configuration: Configuration) -> Sequence[Example]:
    """The examples of its first seed that has any."""
    return next((run["examples"] for run in configuration.runs if run.get("examples")), ())


def _columns(shown: Sequence[Configuration]) -> list[Example]:
    """The pictures, in the order of the records."""
    found: dict[str, Example] = {}
    for example in chain.from_iterable(map(_run, shown)):
        found.setdefault(example["picture"], example)
    return list(found.values())[:_PICTURES]


def _read(path: Path) -> Any:
    """The picture's pixels, or None where there is no whole one."""
    import numpy as np
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    except OSError:
        return None


def _frame(ax: Axes, example: Example, background: Any, title: str) -> None:
    """A panel with the picture and nothing on it yet."""
    ax.set_axis_off()
    ax.set_title(title, fontsize=8.5, color="#222222", pad=3)
    ax.set_xlim(0, example["width"])
    ax.set_ylim(example["height"], 0)
    ax.set_aspect("equal")
    extent = (0, example["width"], example["height"], 0)
    ax.imshow([[_BLANK]] if background is None else background, extent=extent, interpolation="antialiased")
    if background is None:
        ax.text(
            0.5, 0.5, "picture missing", transform=ax.transAxes, fontsize=8, ha="center", va="center",
            bbox={"facecolor": _BLANK, "edgecolor": "none", "pad": 2},
        )  # fmt: skip


def _predictions(ax: Axes, own: Example | None, example: Example, background: Any) -> None:
    """What one run made of one picture."""
    if own is None:
        _frame(ax, example, background, "not recorded")
        return
    came = outcome(own["found"], own["true"])
    said = f"{len(came.found)} of {len(own['true'])} found" if own["true"] else "no box to find"
    _frame(ax, example, background, said)
    for boxes, pen in ((came.missed, MISSED), (came.wrong, WRONG), (came.found, FOUND)):
        _draw(ax, boxes, pen, own["classes"])


def _draw(ax: Axes, boxes: Sequence[Box], pen: Pen, classes: Sequence[str]) -> None:
    """Boxes with one pen, named where there are several classes."""
    from matplotlib.patheffects import withStroke

    for x1, y1, x2, y2, label, *_ in boxes:
        ax.add_patch(pen.box((x1, y1), x2 - x1, y2 - y1))
        if len(classes) > 1:
            above = y1 > 0.06 * ax.get_ylim()[0]  # where there is room
            ax.text(
                x1, y1, classes[int(label)], color=pen.colour, fontsize=8, va="bottom" if above else "top",
                clip_on=True, path_effects=[withStroke(linewidth=2, foreground="black")],
            )  # fmt: skip


def _name(ax: Axes, name: str, below: str = "") -> None:
    """What a row shows, left of its first panel."""
    name = "\n".join(textwrap.wrap(name, 16))
    common: Any = {"transform": ax.transAxes, "ha": "right", "linespacing": 1.25}
    ax.text(-0.04, 0.5, name, va="bottom", fontsize=10, fontweight="bold", **common)
    ax.text(-0.04, 0.48, below, va="top", fontsize=9, color=style.NOTE, **common)


def _scores(configuration: Configuration) -> str:
    """The headline metric on the whole test part."""
    score = configuration.score
    text = f"{style.metric_name(configuration.metric)} {score.mean:.3f}"
    if score.interval is None:
        return f"{text}\n(one seed)"
    low, high = score.interval
    return f"{text}\n({low:.3f} to {high:.3f},\n{len(score.values)} seeds)"


def _brief(title: str, letters: int) -> str:
    half = (letters - 1) // 2
    return title if len(title) <= letters else f"{title[:half]}…{title[-half:]}"


def _notes(group: Group, recorded: Sequence[Configuration], shown: Sequence[Configuration]) -> list[str]:
    """Which predictions of which runs are shown."""
    notes = [
        "On every picture as many of the highest-scoring predictions as there are true boxes, so that no threshold "
        f"is chosen; one is on a true box if they are of one class and their intersection over union is {ENOUGH} or "
        "more.",
        f"Predictions are those of the first seed, {style.metric_name(group.metric)} is that of all test pictures. "
        f"{wording.seeds(group)}",
        wording.tuning(group),
    ]
    if len(shown) < len(recorded):
        notes.append(
            f"{len(shown)} of {len(recorded)} configurations, by rule and not by score: of each method the middle "
            "one by size, then the largest, then the smallest; linear probe, full fine-tuning and LoRA before the "
            "others, of which the smallest first."
        )
    if len(recorded) < len(group.configurations):
        notes.append(f"Without recorded predictions: {len(group.configurations) - len(recorded)} more.")
    return notes
