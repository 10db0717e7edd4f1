"""The figures of a study: what is drawn, under which name, with which caption."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.report import bars, curves, scatter, style
from bench.report.groups import Group
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


@dataclass(frozen=True)
class Drawn:
    """A figure on disk."""

    kind: Kind
    group: Group
    png: Path
    svg: Path


def draw_all(folder: Path, groups: Sequence[Group]) -> list[Drawn]:
    """Draw every figure of every group that has results; figures of an earlier call that no longer exist go.

    Args:
        folder: results/<study>/<scale>/figures.
        groups: never drawn into one figure; a name has the group's part where there are several.
    """
    shown = [group for group in groups if group.configurations]
    drawn = []
    if shown:
        folder.mkdir(parents=True, exist_ok=True)
        with style.drawing():
            for group in shown:
                for kind in KINDS:
                    stem = kind.name if len(shown) == 1 else f"{kind.name}.{group.slug}"
                    png, svg = kind.draw(group).save(folder, stem)
                    drawn.append(Drawn(kind, group, png, svg))
    kept = {path for figure in drawn for path in (figure.png, figure.svg)}
    for kind in KINDS:
        for path in [*folder.glob(f"{kind.name}*.png"), *folder.glob(f"{kind.name}*.svg")]:
            if path not in kept:
                path.unlink()
    return drawn
