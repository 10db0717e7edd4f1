"""The figures of a study: what is drawn, under which name, with which caption."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.report import bars, best_so_far, curves, importance, learning_rate, overview, scatter, style
from bench.report.examples import COLOURS, examples, shows_examples
from bench.report.groups import Group
from bench.report.names import slugs
from bench.report.sheet import Sheet


@dataclass(frozen=True)
class Kind:
    """A figure of one group.

    Args:
        name: of its files.
        draw: what draws it.
        caption: what it shows.
        shows: whether a group has what it takes; every group with results has without.
    """

    name: str
    draw: Callable[[Group], Sheet]
    caption: str
    shows: Callable[[Group], bool] | None = None


KINDS = (
    Kind(
        "accuracy_vs_parameters",
        scatter.against_parameters,
        "What a trainable backbone parameter buys. Ranks of one method are joined; the dashed and dotted "
        "lines are full fine-tuning and methods that leave the backbone as it is.",
    ),
    Kind("accuracy_vs_time", scatter.against_time, "What a second of training buys on this device."),
    Kind(
        "accuracy_vs_memory",
        scatter.against_memory,
        "What a byte of memory buys, while training.",
        scatter.has_memory,
    ),
    Kind("learning_curves", curves.learning_curves, "How each method learns: validation after every epoch."),
    Kind("trainable_parameters", bars.parameter_bars, "What each method trains, backbone and head apart."),
    Kind(
        "search",
        best_so_far.best_so_far,
        "What a budget buys: the best validation score so far against the number of trials, over all orders of them.",
        best_so_far.draws_search,
    ),
    Kind(
        "importance",
        importance.importance,
        "Which hyper-parameter mattered: each one's part of what the validation score varies by over the space.",
        importance.draws_importance,
    ),
)
LEARNING_RATE = "learning_rate"
LEARNING_RATE_CAPTION = (
    "How wide is the basin? Every trial's validation score against its learning rate; the chosen one is ringed."
)
OF_TUNING = ("search", LEARNING_RATE, "importance")

EXAMPLES = "examples"
EXAMPLES_CAPTION = (
    "What the detectors see: true boxes, and the predictions of a few configurations that are not chosen by their "
    "score, on test pictures that are the same for all."
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
        group: of which group; None for a figure of several.
        files: the PNG, and the SVG where there is one.
    """

    name: str
    caption: str
    group: Group | None
    files: tuple[Path, ...]

    @property
    def title(self) -> str:
        """The name in words, with the score that the figure really shows."""
        words = self.name.replace("_", " ")
        score = style.metric_name(self.group.metric) if self.group else "accuracy"
        return words if "accuracy" in score else words.replace("accuracy", score)


def draw_all(folder: Path, groups: Sequence[Group]) -> list[Drawn]:
    """Draw the overview and every figure of every group that has results; figures that no longer exist go.

    Args:
        folder: results/<study>/<scale>/figures.
        groups: never drawn into one panel; where there are several, a name ends on the group's part.
    """
    shown = [group for group in groups if group.configurations]
    drawn = list(_drawn(folder, shown)) if shown else []
    kept = {path for figure in drawn for path in figure.files}
    for name in (OVERVIEW, EXAMPLES, LEARNING_RATE, *(kind.name for kind in KINDS)):
        for path in folder.glob(f"{name}.*"):
            if path not in kept and path.suffix in (".png", ".svg"):
                path.unlink()
    return drawn


def _drawn(folder: Path, groups: Sequence[Group]) -> Iterator[Drawn]:
    """The figures one by one, as they are written."""
    with style.drawing():
        if len(groups) > 1:
            yield Drawn(OVERVIEW, OVERVIEW_CAPTION, None, overview.overview(groups).save(folder, OVERVIEW))
        ends = {group: f".{slug}" * (len(groups) > 1) for group, slug in zip(groups, slugs(groups), strict=True)}
        for alike in learning_rate.sheets(groups):
            alone = alike[0] if len(alike) == 1 else None
            stem = LEARNING_RATE + (ends[alone] if alone else "")
            files = learning_rate.learning_rates(alike).save(folder, stem)
            yield Drawn(LEARNING_RATE, LEARNING_RATE_CAPTION, alone, files)
        for group, end in ends.items():
            for kind in (kind for kind in KINDS if kind.shows is None or kind.shows(group)):
                yield Drawn(kind.name, kind.caption, group, kind.draw(group).save(folder, kind.name + end))
            if shows_examples(group):
                sheet = examples(group, folder.parent / "pictures")
                files = sheet.save_photographs(folder, EXAMPLES + end, exact=COLOURS)
                yield Drawn(EXAMPLES, EXAMPLES_CAPTION, group, files)
