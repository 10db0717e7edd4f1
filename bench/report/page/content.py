"""What the pages of a study say, computed once: README.md and report.html only lay it out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.report.data import flags
from bench.report.data.groups import Group, current, scored
from bench.report.data.measured import Record
from bench.report.data.names import titles
from bench.report.figures.drawn import Drawn
from bench.report.page.answer import ABOUT, answer, of_costs
from bench.report.page.runs import what_ran
from bench.report.tables import aggregates, dataframes

if TYPE_CHECKING:
    import pandas as pd

NOTHING = "Nothing can be concluded: no final run has a score."


@dataclass(frozen=True)
class Table:
    """A table over tasks.

    Args:
        name: short, unique.
        title: its heading.
        frame: numbers, not yet rounded for display; without rows where there is nothing to say.
        about: how to read it.
    """

    name: str
    title: str
    frame: pd.DataFrame
    about: str


@dataclass(frozen=True)
class Content:
    """All that is computed for the pages of a study.

    Args:
        title, question: the heading and the line below it.
        groups: all runs, by what may be compared.
        shown: the groups with scores.
        names: of every group that a page shows, unlike all others.
        flags: what to know before believing the numbers.
        answer: a few sentences a task.
        about_answer: how far these can be trusted; "" where they compare nothing.
        ran: what ran, as blocks of Markdown.
        over_tasks: the tables over all tasks that have rows.
        drawn: the figures.
    """

    title: str
    question: str
    groups: tuple[Group, ...]
    shown: tuple[Group, ...]
    names: dict[Group, str]
    flags: tuple[str, ...]
    answer: tuple[str, ...]
    about_answer: str
    ran: tuple[str, ...]
    over_tasks: tuple[Table, ...]
    drawn: tuple[Drawn, ...]

    @property
    def costs(self) -> list[Group]:
        """The groups of which only costs are known."""
        return [group for group in current(self.groups) if group.costs and group.configurations]


def content(
    records: Sequence[Record], groups: Sequence[Group], drawn: Sequence[Drawn], *, title: str, question: str
) -> Content:
    """Computes what the pages of a study say.

    Args:
        records: all of the study's runs, tuning and failures included.
        groups: the same runs by what may be compared.
        drawn: the figures.
        title: the heading.
        question: the line below it; none if empty.
    """
    shown = scored(groups)
    visible = [group for group in groups if group.costs or _visible(group, shown)]
    costs = [group for group in current(groups) if group.costs and group.configurations]
    said = answer(shown) if shown else [of_costs(costs)] if costs else [NOTHING] * bool(groups)
    return Content(
        title=title,
        question=question,
        groups=tuple(groups),
        shown=tuple(shown),
        names=dict(zip(visible, titles(visible), strict=True)),
        flags=tuple(flags.of_study(records, groups)),
        answer=tuple(sentence for sentence in said if sentence),
        about_answer=ABOUT if any(len(group.configurations) > 1 for group in shown) else "",
        ran=tuple(what_ran(records)) if records else (),
        over_tasks=tuple(table for table in _over_tasks(shown) if len(table.frame)),
        drawn=tuple(drawn),
    )


def _visible(group: Group, shown: Sequence[Group]) -> bool:
    """Not runs that ended before their precision was known: they stand among the failures."""
    return bool(group.configurations) or all(group.subject != other.subject for other in shown)


def _over_tasks(shown: Sequence[Group]) -> Iterator[Table]:
    yield Table("aggregates", "Aggregates over tasks", aggregates.over_tasks(shown), aggregates.about(shown))
    title = "Shares of the Pareto fronts, per cent"
    yield Table("shares", title, aggregates.shares(shown), aggregates.ABOUT_FRONTS)


def per_task(found: Content) -> Iterator[Table]:
    """Results and differences of all tasks, a row a configuration: tables to be sorted and filtered."""
    results = dataframes.results(found.shown)
    metrics = list(results["metric"].unique()) if len(results) else []
    if len(metrics) == 1:
        results = results.drop(columns="metric")
    title = f"Results on test: {metrics[0]}" if len(metrics) == 1 else "Results on test"
    yield Table("results", title, results, dataframes.ABOUT_PPT)
    title = "Differences from full fine-tuning, paired by seed"
    yield Table("differences", title, dataframes.comparisons(found.shown), dataframes.ABOUT_DIFFERENCES)


def of_costs_alone(found: Content) -> Iterator[Table]:
    """What each method costs, of a study of costs."""
    yield Table("costs", "What each method costs", dataframes.measured_costs(found.costs), "")
