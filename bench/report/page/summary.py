"""The table of one task, a row a configuration, and how to read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import mean
from typing import Any

from bench.report import style
from bench.report.data import differences, wording
from bench.report.data.groups import Group
from bench.report.data.measured import Baseline, Configuration, Estimate, Record, on_test
from bench.report.data.ranks import saturation
from bench.report.tables.classes import beside
from bench.report.tables.markdown import cell, number, table


def summary(group: Group) -> str:
    """One row a configuration; beside the headline metric those that readers need there, if they were measured."""
    every: tuple[Configuration | Baseline, ...] = (*group.configurations, *group.undefined, *group.baselines)
    metrics = beside(group)
    scores = [f"{style.metric_name(group.metric)} (test)", "95% interval", *map(style.metric_name, metrics)]
    known = _known(group)
    heading = ("method", "backbone parameters", "head parameters", *scores,
               "seeds", "train seconds", *known, "learning rate", "specification")  # fmt: skip
    return table(heading, [_row(one, metrics, list(known.values())) for one in every])


def _known(group: Group) -> dict[str, Callable[[Configuration], str]]:
    """Columns that some studies have: the cell of each by its heading."""
    found: dict[str, Callable[[Configuration], str]] = {}
    if any(c.memory for c in group.configurations):
        found["peak memory"] = lambda c: style.size(c.memory) if c.memory else ""
    for old in dict.fromkeys(c.old_task for c in group.configurations if c.retained):
        found[f"{old}, old head: before → after"] = _retained
    return found


def _retained(of: Configuration) -> str:
    """What the untouched network reached on the old task, and the trained one under the same head."""
    pair = (of.untouched.values(), of.retained.values())
    return " → ".join(f"{mean(values):.3f}" for values in pair) if all(pair) else ""


def _row(
    of: Configuration | Baseline, metrics: Sequence[str], known: Sequence[Callable[[Configuration], str]]
) -> tuple[str, ...]:
    """A baseline has no parameters, training time or learning rate that could stand beside those of networks."""
    first: tuple[str, ...] = (f"*{cell(of.label)}* (baseline)", "", "")
    seconds = learning_rate = ""
    costs = [""] * len(known)
    if isinstance(of, Configuration):
        first = of.label, of.size, f"{of.head:,}"
        seconds, learning_rate = f"{of.seconds.mean:,.1f}" if of.seconds else "", _chosen(of.runs[0])
        costs = [each(of) for each in known]
    scores = [*_score(of), *(_mean(on_test(of, metric)) for metric in metrics)]
    return (*first, *scores, str(len(of.runs)), seconds, *costs, learning_rate, f"`{of.runs[0]['method']['spec']}`")


def _mean(score: Estimate | None) -> str:
    return f"{score.mean:.3f}" if score else wording.UNDEFINED


def _score(of: Configuration | Baseline) -> tuple[str, str]:
    """Mean and interval of the headline metric."""
    score = on_test(of, of.metric)
    if score is None or score.interval is None:
        return _mean(score), "one seed" if score else ""
    return _mean(score), f"{score.interval[0]:.3f} to {score.interval[1]:.3f}"


def _chosen(record: Record) -> str:
    """The learning rate, and whether it stands on the edge of what was tried."""
    tuning: Mapping[str, Any] = record.get("tuning") or {}
    text, edge = number(record["training"].get("lr")), tuning.get("edge")
    text += " (edge)" if edge is True or (isinstance(edge, list) and "lr" in edge) else ""
    return text + (" (shared)" if tuning.get("shared_from") else "")


def reading(group: Group) -> str:
    """How to read the table: what leads, what does not differ significantly from it, and what the marks mean."""
    lines = [*lead(group), *_against_baselines(group), *_saturated(group)]
    notes = [_chosen(configuration.runs[0]) for configuration in group.configurations]
    if any("edge" in note for note in notes):
        lines.append("(edge): chosen at the edge of the search space; a better value may lie outside it.")
    if any("shared" in note for note in notes):
        lines.append("(shared): tuned for another configuration of the method and taken over.")
    return " ".join(lines)


def lead(group: Group) -> list[str]:
    """The best mean, and the verdict on each of the others."""
    best = differences.best(group)
    lines = [f"Best mean: {best.label}, {best.score.mean:.3f}."]
    found = differences.against(group, best)
    named = {kind: [one.configuration.label for one in found if one.verdict == kind] for kind in differences.VERDICTS}
    alike, few, worse = (named[kind] for kind in (differences.SAME, differences.UNDECIDED, differences.WORSE))
    if alike:
        lines.append(f"{differences.SAME.capitalize()} from it: {', '.join(alike)}.")
    if worse:
        lines.append(f"{differences.WORSE.capitalize()}: {', '.join(worse)}.")
    if few:
        lines.append(f"{differences.undecided(found).capitalize()}: {', '.join(few)}.")
    if worse:
        lines.append("The best was picked after looking, and of twenty intervals one leaves out 0 by chance.")
    return lines


def _saturated(group: Group) -> Iterator[str]:
    """How much rank is enough."""
    if found := saturation(group):
        yield (
            f"Saturation: {found} is the smallest rank within the noise floor of these ranks ({found.delta:.3f}) of "
            "the best of them. In parentheses: the range that 95% of resampled seeds give."
        )


def _against_baselines(group: Group) -> Iterator[str]:
    """By how much the best method lies above or below what needs no network."""
    best = differences.best(group)
    for baseline in group.baselines:
        if pair := best.beyond(baseline):
            low, high = pair.interval or (pair.mean, pair.mean)
            sure = f" ({low:+.3f} to {high:+.3f} over {len(pair.values)} seeds)" if pair.interval else ""
            yield f"{best.label} less {baseline.label}: {pair.mean:+.3f}{sure}."
