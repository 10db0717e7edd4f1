"""Over all tasks at once, as tables: aggregates of scores on one scale, and what each family's front is worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats as scipy_stats

from bench.report import style
from bench.report.data import differences, tradeoffs
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration
from bench.report.data.names import headings
from bench.stats import (
    hypervolume,
    iqm,
    noise_floor,
    normalised,
    optimality_gap,
    probability_of_improvement,
    stratified_bootstrap,
)

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
ABOUT = (
    "Only configurations that every task has. Scores of a task go from its worst configuration (0) to its best (1), by "
    "their means. IQM: the mean of the middle half of all runs. Optimality gap: by how much 1 is missed. P(better): "
    "the probability that a run beats one of full fine-tuning on the same task; ties count half. 95% intervals: "
    "stratified bootstrap over seeds within tasks, smoothed and expanded for few seeds (`bench.stats`). "
    "They take the ends of the scale as given; where P is 0 or 1 there is none."
)
ABOUT_FRONTS = (
    "The share of the area under the Pareto front of all methods that a method covers by itself (hypervolume; costs as "
    "logarithms; the corner is the dearest configuration and the worst mean). 100%: the other methods add nothing. "
    "Methods without trainable backbone parameters have no logarithm, so no value in the first column."
)


def scaled(found: differences.Blocks) -> Array:
    """(configurations, seeds, tasks), 0 at a task's worst mean and 1 at its best.

    Raises:
        ValueError: on some task all are alike.
    """
    means = found.scores.mean(axis=1, keepdims=True)
    return normalised(found.scores, means.min(axis=0, keepdims=True), means.max(axis=0, keepdims=True))


def several(groups: Sequence[Group]) -> differences.Blocks | None:
    """What may be averaged over two tasks or more; None where there is nothing.

    Tasks on which the means span less than twice the noise floor are left out: there noise would be the scale.
    """
    found = differences.blocks(groups)
    if found is None:
        return None
    spans = np.ptp(found.scores.mean(axis=1), axis=0)
    floors = [noise_floor(list(found.scores[:, :, task])) or 0.0 for task in range(len(found.groups))]
    kept = [task for task, floor in enumerate(floors) if spans[task] > 2 * floor]
    if len(kept) < 2:
        return None
    return replace(found, groups=tuple(found.groups[task] for task in kept), scores=found.scores[:, :, kept])


def about(groups: Sequence[Group]) -> str:
    """What the aggregates are, and what they leave out."""
    found, every = several(groups), differences.comparable(groups)
    if found is None:
        return ABOUT
    names = dict(zip(every, headings(every), strict=True))
    flat = [name for group, name in names.items() if group not in found.groups]
    ranked = f"Mean rank: over all {len(every)} tasks, as in the figure of ranks."
    noisy = (
        f"All other columns leave out {', '.join(flat)}, whose configurations differ by little more than seeds do: "
        "noise would be the scale there."
    )
    parts = (ABOUT, ranked, noisy * bool(flat), found.left, differences.left_out(groups))
    return " ".join(part for part in parts if part)


def over_tasks(groups: Sequence[Group]) -> pd.DataFrame:
    """A row a configuration: IQM, optimality gap, probability of improvement over full fine-tuning, mean rank."""
    import pandas as pd

    found, every = several(groups), differences.blocks(groups)
    if found is None or every is None:
        return pd.DataFrame()
    scores, ranks = scaled(found), scipy_stats.rankdata(-every.scores, axis=0).mean(axis=(1, 2))
    base = next((at for at, c in enumerate(found.rows) if c.name == differences.FULL), None)
    rows = []
    for at in np.argsort(ranks, kind="stable"):
        row: dict[str, Any] = {"method": found.rows[at].label, "mean rank": round(float(ranks[at]), 2)}
        for name, statistic in (("IQM", iqm), ("optimality gap", optimality_gap)):
            row |= _sure(name, scores[at], statistic)
        if base is not None and at != base:
            row |= _sure("P(better)", np.concatenate([scores[at], scores[base]], axis=1), _improvement)
        rows.append(row)
    return pd.DataFrame(rows)


def _improvement(both: Array) -> Array:
    """Of the first half of the columns over the second."""
    return probability_of_improvement(*np.split(both, 2, axis=-1))


def _sure(name: str, scores: Array, statistic: Callable[[Array], Array]) -> dict[str, float]:
    """An aggregate with the ends of its interval."""
    value = float(statistic(scores))
    found = {name: round(value, 3)}
    if statistic is not _improvement or 0 < value < 1:  # where every run wins, resampled ones do too
        low, high = stratified_bootstrap(scores, statistic, np.random.default_rng(0))
        found |= {f"{name}: low": round(low, 3), f"{name}: high": round(high, 3)}
    return found


def shares(groups: Sequence[Group]) -> pd.DataFrame:
    """A row a task and method: its share of the area that all methods' front dominates, for every cost."""
    import pandas as pd

    rows = []
    kept = [group for group in differences.comparable(groups) if len({c.name for c in group.configurations}) > 1]
    for group, name in zip(kept, headings(kept), strict=True):
        parts = {cost.label: _shares(group, cost) for cost in tradeoffs.known([group])}
        for method in dict.fromkeys(c.name for c in group.configurations):
            found = {label: part.get(method) for label, part in parts.items()}
            if any(value is not None for value in found.values()):
                rows.append({"task": name, "method": style.look(method).name, **found})
    return pd.DataFrame(rows)


def _shares(group: Group, cost: tradeoffs.Cost) -> dict[str, float]:
    """Per cent, by method."""
    priced = cost.priced(group)
    sign = differences.sign(group.metric)
    worst, dearest = min(sign * c.score.mean for _, c in priced), max(value for value, _ in priced)
    whole = _area(priced, sign, dearest, worst)
    if not whole:
        return {}
    own = {c.name: [pair for pair in priced if pair[1].name == c.name] for _, c in priced}
    return {name: round(100 * _area(pairs, sign, dearest, worst) / whole, 1) for name, pairs in own.items()}


def _area(priced: Sequence[tuple[float, Configuration]], sign: int, dearest: float, worst: float) -> float:
    """The corner lies a tenth of a decade beyond the dearest, so that a good score there counts too."""
    costs, scores = [float(np.log10(value)) for value, _ in priced], [sign * c.score.mean for _, c in priced]
    return hypervolume(costs, scores, cost=float(np.log10(dearest)) + 0.1, score=worst)
