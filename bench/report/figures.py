"""The figures of a study: what is drawn, under which name, with which caption."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.report import bars, curves, overview, scatter, style
from bench.report.groups import Group
from bench.report.names import slugs
from bench.report.sheet import Sheet


@dataclass(frozen=True)
class Kind:
    """A figure that is drawn for every group."""

    name: str
    draw: Callable[[Group], Sheet]
    caption: str


KINDS = (
    Kind(
        "accuracy_vs_parameters",
        scatter.against_parameters,
        "What a trainable backbone parameter buys. Ranks of one method are joined; the dashed and dotted "
        "lines are full fine-tuning and methods that leave the backbone as it is.",
    ),
    Kind("accuracy_vs_time", scatter.against_time, "What a second of training buys on this device."),
    Kind("learning_curves", curves.learning_curves, "How each method learns: validation after every epoch."),
    Kind("trainable_parameters", bars.parameter_bars, "What each method trains, backbone and head apart."),
)


OVERVIEW = "overview"
OVERVIEW_CAPTION = (
    "Every task and model at once, a panel each with its own scale: what a trainable backbone parameter buys. "
    "Ranks of one method are joined; thin bars are intervals over seeds."
)


@dataclass(frozen=True)
class Drawn:
    """A figure on disk.

    Args:
        name: of its kind.
        caption: what it shows.
        group: of which group; None for the overview of all.
    """

    name: str
    caption: str
    group: Group | None
    png: Path
    svg: Path


def draw_all(folder: Path, groups: Sequence[Group]) -> list[Drawn]:
    """Draw the overview and every figure of every group that has results; figures that no longer exist go.

    Args:
        folder: results/<study>/<scale>/figures.
        groups: never drawn into one panel; where there are several, a name ends on the group's part.
    """
    shown = [group for group in groups if group.configurations]
    drawn = []
    if shown:
        folder.mkdir(parents=True, exist_ok=True)
        with style.drawing():
            if len(shown) > 1:
                png, svg = overview.overview(shown).save(folder, OVERVIEW)
                drawn.append(Drawn(OVERVIEW, OVERVIEW_CAPTION, None, png, svg))
            for group, slug in zip(shown, slugs(shown), strict=True):
                for kind in KINDS:
                    stem = kind.name if len(shown) == 1 else f"{kind.name}.{slug}"
                    png, svg = kind.draw(group).save(folder, stem)
                    drawn.append(Drawn(kind.name, kind.caption, group, png, svg))
    kept = {path for figure in drawn for path in (figure.png, figure.svg)}
    for name in (OVERVIEW, *(kind.name for kind in KINDS)):
        for path in folder.glob(f"{name}.*"):
            if path not in kept and path.suffix in (".png", ".svg"):
                path.unlink()
    return drawn
