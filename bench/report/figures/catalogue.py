"""The figures of a study: what is drawn, under which name, with which caption."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.report import style
from bench.report.data import differences, retention, speed, tradeoffs
from bench.report.data import robustness as shifted
from bench.report.data.groups import Group, methods, scored
from bench.report.data.names import slugs
from bench.report.figures import (
    best_so_far,
    cost_bars,
    cost_lines,
    forgetting,
    heatmaps,
    importance,
    learning_curves,
    learning_rate,
    old_task,
    overview,
    parameter_bars,
    pareto,
    placements,
    profiles,
    robustness,
    samples,
    scatter,
    time_to_target,
)
from bench.report.figures.cache import FigureCache
from bench.report.figures.canvas import Canvas
from bench.report.figures.drawn import Drawn
from bench.report.figures.examples import COLOURS, examples, shows_examples
from bench.report.tables import costs


@dataclass(frozen=True)
class Kind:
    """A figure of one group.

    Args:
        name: of its files.
        draw: what draws it.
        caption: what it shows.
        shows: whether a group has what it takes; every group with results has without.
        column: what draws it for one column of a paper, where it fits there.
    """

    name: str
    draw: Callable[[Group], Canvas]
    caption: str
    shows: Callable[[Group], bool] | None = None
    column: Callable[[Group], Canvas] | None = None


KINDS = (
    Kind(
        "accuracy_vs_parameters",
        scatter.against_parameters,
        "What a trainable backbone parameter buys. Ranks of one method are joined; the dashed and dotted "
        "lines are full fine-tuning and methods that leave the backbone as it is. Where most configurations train the "
        "same number, each has a row.",
        column=lambda group: overview.overview([group]),
    ),
    Kind("accuracy_vs_memory", scatter.against_memory, "What a byte of training memory buys.", scatter.has_memory),
    Kind("learning_curves", learning_curves.learning_curves, "How each method learns: validation after every epoch."),
    Kind(
        "time_to_target",
        time_to_target.time_to_target,
        "How fast each method learns, against steps and seconds: speed and reach are two questions.",
        speed.has_curves,
    ),
    Kind("trainable_parameters", parameter_bars.parameter_bars, "What each method trains, backbone and head apart."),
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


@dataclass(frozen=True)
class StudyKind:
    """A figure that shows several groups side by side; the fields are those of `Kind`.

    Args:
        narrow: whether it can be drawn for one column of a paper too.
    """

    name: str
    draw: Callable[[Sequence[Group]], Canvas]
    caption: str
    shows: Callable[[Sequence[Group]], bool]
    narrow: bool = False


COSTS = (
    StudyKind(
        "memory_breakdown",
        cost_bars.memory_breakdown,
        "What the memory of a training step is made of, on a GPU.",
        costs.has_memory,
    ),
    StudyKind(
        "memory_vs_batch",
        cost_lines.memory_vs_batch,
        "How memory on a GPU grows with the batch, and which batch fits which card.",
        lambda groups: len(costs.batches(groups)) > 1,
    ),
    StudyKind(
        "memory_vs_size",
        cost_lines.memory_vs_size,
        "How memory on a GPU grows with the network.",
        lambda groups: len(groups) > 1 and costs.has_memory(groups),
    ),
    StudyKind(
        "step_time",
        cost_lines.step_time,
        "What training fewer parameters saves of a step's time.",
        lambda groups: bool(costs.stepped(groups)),
    ),
    StudyKind(
        "latency",
        cost_bars.latency,
        "What a method costs at inference: as trained, and with its update folded into the weights.",
        lambda groups: any(costs.latency(c) for group in groups for c in group.configurations),
    ),
)
OF_STUDY = (
    StudyKind(
        "overview",
        overview.overview,
        "Every task and model at once, a panel each with its own scale. Thin bars are intervals over seeds.",
        lambda groups: len(groups) > 1,
        narrow=True,
    ),
    StudyKind(
        "accuracy_vs_samples",
        samples.against_samples,
        "What a training sample buys, and whether the order of the methods changes with their number.",
        samples.has_sizes,
        narrow=True,
    ),
    StudyKind(
        "learning_vs_forgetting",
        forgetting.learning_vs_forgetting,
        "What is learned of the new task, and how far the features drift from where the old task's head expects them.",
        forgetting.has_old_task,
        narrow=True,
    ),
    StudyKind(
        "old_task_by_rate",
        old_task.by_rate,
        "Retained accuracy on the old task along each method's learning rates: under its old head, which drift of the "
        "features brings down, and, where measured, under one that is fitted again.",
        retention.has_rates,
    ),
    StudyKind(
        "accuracy_vs_severity",
        robustness.against_severity,
        "Retained accuracy as data shift: the mean over corruptions at each severity.",
        shifted.has_shifts,
    ),
    StudyKind(
        "weights_between",
        robustness.along_weights,
        "Means of the weights before and after training: what they gain under corruptions, and what they cost without.",
        shifted.has_means,
    ),
    StudyKind(
        "differences",
        heatmaps.difference_map,
        "What is gained and lost against full fine-tuning, and what does not differ significantly from it.",
        heatmaps.has_full,
    ),
    StudyKind(
        "placements",
        placements.placements,
        "Where LoRA goes: placement against rank, or against the budget of parameters.",
        placements.has_placements,
    ),
    StudyKind(
        "pareto_fronts",
        lambda groups: pareto.fronts(differences.comparable(groups)),
        "What is worth its cost: on the line, nothing else is as good at as low a cost.",
        lambda groups: bool(tradeoffs.known(differences.comparable(groups))),
    ),
    StudyKind(
        "performance_profiles",
        profiles.profiles,
        "How reliably a configuration does well over all tasks and seeds, not only in the mean.",
        profiles.has_profiles,
        narrow=True,
    ),
    StudyKind(
        "ranking",
        profiles.ranking,
        "Which configuration comes first over all tasks and seeds, and which do not differ significantly from it.",
        profiles.has_ranking,
        narrow=True,
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


def draw_all(folder: Path, groups: Sequence[Group]) -> list[Drawn]:
    """Draw the figures of the study and of every group that has results, where they are not current (`FigureCache`).

    Figures that no longer exist go.

    Args:
        folder: results/<study>/<scale>/figures.
        groups: never drawn into one panel; where there are several, a name ends on the group's part.
    """
    shown, named = scored(groups), methods(groups)
    cache = FigureCache(folder, named)
    with style.drawing(), style.looks(named):
        drawn = list(_drawn(cache, shown)) if shown else []
        drawn += _costs(cache, costs.gathered(groups))
    cache.close()
    kept = {path for figure in drawn for path in figure.written}
    names = (EXAMPLES, LEARNING_RATE, *(kind.name for kind in (*KINDS, *OF_STUDY, *COSTS)))
    for path in (path for name in names for where in (folder, folder / "column") for path in where.glob(f"{name}.*")):
        if path not in kept and path.suffix in (".png", ".svg", ".pdf"):
            path.unlink()
    return drawn


def _drawn(cache: FigureCache, groups: Sequence[Group]) -> Iterator[Drawn]:
    """The figures one by one, as they are written."""
    for several in (kind for kind in OF_STUDY if kind.shows(groups)):
        files = _saved(cache, several.name, several.draw, groups)
        narrow = _column(cache, several.name, several.draw, groups) if several.narrow else None
        yield Drawn(several.name, several.caption, None, files, column=narrow)
    ends = {group: f".{slug}" * (len(groups) > 1) for group, slug in zip(groups, slugs(groups), strict=True)}
    for alike in learning_rate.figures(groups):
        alone = alike[0] if len(alike) == 1 else None
        stem = LEARNING_RATE + (ends[alone] if alone else "")
        files = _saved(cache, stem, learning_rate.learning_rates, alike)
        yield Drawn(LEARNING_RATE, LEARNING_RATE_CAPTION, alone, files)
    for group, end in ends.items():
        for kind in (kind for kind in KINDS if kind.shows is None or kind.shows(group)):
            files = _saved(cache, kind.name + end, kind.draw, group)
            narrow = _column(cache, kind.name + end, kind.column, group) if kind.column else None
            yield Drawn(kind.name, kind.caption, group, files, column=narrow)
        if shows_examples(group):
            files = cache.keep(EXAMPLES + end, partial(_photographs, cache.folder, EXAMPLES + end, group), group)
            yield Drawn(EXAMPLES, EXAMPLES_CAPTION, group, files)


def _saved(cache: FigureCache, stem: str, draw: Callable[[Any], Canvas], of: Any) -> tuple[Path, ...]:
    """A figure in all formats."""
    return cache.keep(stem, lambda: draw(of).save(cache.folder, stem), of)


def _photographs(folder: Path, stem: str, group: Group) -> tuple[Path, ...]:
    """The figure of what detectors see."""
    return examples(group, folder.parent / "pictures").save_photographs(folder, stem, exact=COLOURS)


def _column(cache: FigureCache, stem: str, draw: Callable[[Any], Canvas], of: Group | Sequence[Group]) -> Path:
    """The figure for one column of a paper: column/stem.pdf."""
    with style.column():
        save = lambda: draw(of).save(cache.folder / "column", stem, formats=("pdf",))  # noqa: E731
        return cache.keep(f"column/{stem}", save, of)[0]


def _costs(cache: FigureCache, parts: Sequence[tuple[Group, ...]]) -> Iterator[Drawn]:
    """The figures of a study of costs; where there are several parts, a name ends on the first network's."""
    ends = [f".{slug}" * (len(parts) > 1) for slug in slugs([beside[0] for beside in parts])]
    for beside, end in zip(parts, ends, strict=True):
        for kind in (kind for kind in COSTS if kind.shows(beside)):
            files = _saved(cache, kind.name + end, kind.draw, beside)
            yield Drawn(kind.name, kind.caption, beside[0], files, beside)
