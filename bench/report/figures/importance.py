"""Which hyper-parameter mattered: functional ANOVA over the trials of each search that has enough of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from typing import TYPE_CHECKING, Any

from bench.report import style
from bench.report.data import wording
from bench.report.data.groups import Group
from bench.report.data.searches import Search, Trial, searches
from bench.report.figures.canvas import Canvas
from bench.space import distribution

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ENOUGH = 4  # completed trials for each hyper-parameter
_COLUMNS = 4


def draws_importance(group: Group) -> bool:
    """Whether any search of the group has enough trials."""
    return any(map(enough, searches(group)))


def enough(search: Search) -> bool:
    """Whether several hyper-parameters were searched, with enough trials whose scores differ."""
    own = _usable(search)
    return len(search.space) > 1 and len(own) >= ENOUGH * len(search.space) and len({t.score for t in own}) > 1


def importances(search: Search) -> dict[str, float]:
    """Each hyper-parameter's part of what the score varied by, adding up to 1 (Hutter et al. 2014, fANOVA).

    Args:
        search: with `enough` trials.
    """
    with _quiet_optuna() as optuna:
        study = optuna.create_study(direction="minimize" if search.lower else "maximize")
        distributions = {name: distribution(space) for name, space in search.space.items()}
        for trial in _usable(search):
            params = {name: trial.params[name] for name in search.space}
            study.add_trial(
                optuna.trial.create_trial(params=params, distributions=distributions, value=float(trial.score or 0.0))
            )
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(found.get(name, 0.0)) for name in search.space}


def too_few(group: Group) -> str:
    """A sentence about the searches that have not enough trials; empty where there are none."""
    short = [s for s in searches(group) if len(s.space) > 1 and not enough(s)]
    said = [f"{s.label} {len(_usable(s))} of {ENOUGH * len(s.space)}" for s in short]
    if not said:
        return ""
    return (
        f"Importance of hyper-parameters is shown from {ENOUGH} completed trials (of different scores) for each; "
        f"too few: {', '.join(said)}."
    )


def importance(group: Group) -> Canvas:
    """A bar a hyper-parameter, a panel a search."""
    shown = [search for search in searches(group) if enough(search)]
    names = list(dict.fromkeys(name for search in shown for name in search.space))
    columns = min(_COLUMNS, len(shown))
    rows = ceil(len(shown) / columns)
    height = (0.32 * len(names) + 0.55) * rows + 1.6
    heading = f"Importance of hyper-parameters: {group.title}"
    canvas = Canvas(max(6.4, 2.2 * columns + 1.7), height, heading, "")
    panels = canvas.grid(rows, columns)
    for number, (ax, search) in enumerate(zip(panels, shown, strict=False)):
        _panel(ax, search, names)
        if number + columns >= len(shown):
            ax.set_xlabel("part of the variance", fontsize=9.5)
            ax.tick_params(labelbottom=True)
    for ax in panels[len(shown) :]:
        ax.set_axis_off()
    notes = [
        wording.tuning(group),
        "How much of the validation score's variation over the space each explains by itself, by a random forest "
        "through the completed trials (fANOVA), scaled to add up to 1. With so few trials a rough guide.",
    ]
    canvas.finish([*notes, too_few(group), group.specs])
    return canvas


def _panel(ax: Axes, search: Search, names: list[str]) -> None:
    look, found = style.look(search.method), importances(search)
    for row, name in enumerate(names):
        value = found.get(name)
        if value is not None:
            ax.barh(row, value, height=0.62, color=look.colour, zorder=2)
        ax.annotate(
            "not searched" if value is None else f"{value:.2f}", (value or 0.0, row), xytext=(4, 0),
            textcoords="offset points", va="center_baseline", fontsize=8, color=style.NOTE,
        )  # fmt: skip
    ax.set_title(search.label, fontsize=10, fontweight="bold", color=look.ink)
    ax.set_yticks(range(len(names)), [wording.part(name) for name in names], fontsize=9)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlim(0, 1.2)
    ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"], fontsize=8.5)
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)


def _usable(search: Search) -> list[Trial]:
    """Completed trials that say all that was searched."""
    return [trial for trial in search.completed if all(name in trial.params for name in search.space)]


@contextmanager
def _quiet_optuna() -> Iterator[Any]:
    """Optuna, imported only where it is needed, without its log lines and warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import optuna

        before = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            yield optuna
        finally:
            optuna.logging.set_verbosity(before)
