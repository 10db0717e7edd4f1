"""The page of a study: what ran, the figures, and one table, in Markdown, made from the records alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from bench.records import write_atomically
from bench.report import style
from bench.report.data import differences, flags, wording
from bench.report.data.groups import Group, measured, scored
from bench.report.data.measured import Baseline, Configuration, Estimate, Record, on_test
from bench.report.data.ranks import saturation
from bench.report.figures.catalogue import OF_TUNING
from bench.report.figures.drawn import Drawn
from bench.report.page.answer import answer
from bench.report.page.runs import what_ran
from bench.report.page.tuning import tuning_section
from bench.report.tables import aggregates
from bench.report.tables.across import across
from bench.report.tables.costs import costs_section, gathered
from bench.report.tables.markdown import cell, number, table

if TYPE_CHECKING:
    import pandas as pd


def write_page(
    folder: Path,
    records: Sequence[Record],
    groups: Sequence[Group],
    drawn: Sequence[Drawn],
    *,
    title: str,
    question: str,
) -> Path:
    """Write folder/README.md.

    Args:
        records: all of the study's runs, tuning and failures included.
        groups: the same runs by what may be compared.
        drawn: the figures, in the folder's `figures`.
        title: the heading.
        question: the line below it; none if empty.

    Raises:
        BadInput: the folder cannot be written.
    """
    blocks = [f"# {title}", f"> {question}" if question else ""]
    blocks.append("*Made from the records in `runs/` by `bench figures`; the numbers stand in `table.csv`.*")
    shown = scored(groups)
    if said := [f"- {flag}" for flag in flags.of_study(records, groups)]:
        blocks += ["**Before you believe it**", "\n".join(said)]
    if shown:
        blocks += _together(shown, [figure for figure in drawn if figure.group is None])
    if records:
        blocks += ["## What ran", *what_ran(records)]
    for beside in gathered(groups):
        blocks += costs_section(beside, list(_figures([figure for figure in drawn if figure.beside == beside])))
    for group in (group for group in groups if not group.costs):
        blocks += _section(group, [figure for figure in drawn if figure.group is group], shown)
    return write_atomically(folder / "README.md", "\n\n".join(block for block in blocks if block) + "\n")


def asked(page: Path) -> str:
    """The question on the page as it is, so that `bench figures` need not know it."""
    lines = page.read_text().splitlines() if page.exists() else []
    return next((line[2:] for line in lines[:5] if line.startswith("> ")), "")


def _together(groups: Sequence[Group], drawn: Sequence[Drawn]) -> Iterator[str]:
    """The answer, and all groups at once: figures, one table."""
    yield "## Answer"
    yield " ".join(answer(groups))
    yield "## Overview" * (len(groups) > 1)
    yield from _figures(drawn)
    if len(groups) < 2:
        return
    yield across(groups)
    said = list(dict.fromkeys(wording.seeds(group) for group in groups))
    said = said if len(said) == 1 else [f"{group.subject}: {wording.seeds(group)}" for group in groups]
    yield " ".join(
        [*said, "On test; to be compared within a column. What can be told apart is said task by task below."]
    )
    yield from _over_tasks(groups)


def _folded(frame: pd.DataFrame) -> pd.DataFrame:
    """Aggregates with their intervals in one cell each."""
    text = frame.copy()
    for name in (name.removesuffix(": low") for name in frame.columns if name.endswith(": low")):
        low, high = f"{name}: low", f"{name}: high"
        rows = zip(frame[name], frame[low], frame[high], strict=True)
        text[name] = ["–" if at != at else f"{at:.2f}" + f" ({a:.2f} to {b:.2f})" * (a == a) for at, a, b in rows]
        text = text.drop(columns=[low, high])
    return text


def _over_tasks(groups: Sequence[Group]) -> Iterator[str]:
    """Aggregates, and what each method's front is worth."""
    for heading, frame, about in (
        ("### Aggregates over tasks", _folded(aggregates.over_tasks(groups)), aggregates.about(groups)),
        ("### Shares of the Pareto fronts, per cent", aggregates.shares(groups), aggregates.ABOUT_FRONTS),
    ):
        if len(frame):
            yield heading
            yield table(list(frame.columns), frame.astype(object).where(frame.notna(), "–").values.tolist())
            yield about


def _figures(drawn: Sequence[Drawn]) -> Iterator[str]:
    """Each figure with its caption."""
    for figure in drawn:
        png, *others = (path.name for path in figure.files)
        yield f"![{figure.title}](figures/{png})"
        links = ", ".join(f"[{name.rpartition('.')[2].upper()}](figures/{name})" for name in others)
        links += f", [PDF for one column](figures/column/{figure.column.name})" if figure.column else ""
        yield f"*{figure.caption}*" + (f" ({links})" if links else "")


def _section(group: Group, drawn: Sequence[Drawn], others: Sequence[Group]) -> Iterator[str]:
    """Results of one task, model and device."""
    if not group.configurations and any(group.subject == other.subject for other in others):
        return  # runs that ended before their precision was known: they stand among the failures
    yield f"## {group.subject}"
    yield group.specs
    finals = [record for record in group.records if record["phase"] == "final"]
    if not group.configurations:
        yield f"{_state(group, finals)}: there is nothing to draw."
        yield from tuning_section(group, [])
        return
    yield " ".join(part for part in (wording.seeds(group), wording.tuning(group), wording.noise(group)) if part)
    if dropped := _dropped(group, finals):
        yield dropped
    if group.baselines:
        yield "\n".join(f"- **Reference**: {wording.baseline(baseline)}." for baseline in group.baselines)
    yield from _figures([figure for figure in drawn if figure.name not in OF_TUNING])
    yield "### Summary"
    yield _summary(group)
    yield _reading(group)
    order = sorted((figure for figure in drawn if figure.name in OF_TUNING), key=lambda f: OF_TUNING.index(f.name))
    yield from tuning_section(group, list(_figures(order)))


def _state(group: Group, finals: Sequence[Record]) -> str:
    """Why no configuration has a score."""
    if group.undefined:
        return f"The {style.metric_name(group.metric)} on test is not defined for any final run"
    return f"None of {len(finals)} final runs ended well" if finals else "No final run has ended yet"


def _dropped(group: Group, finals: Sequence[Record]) -> str:
    """Runs that ended well but count for nothing, said aloud."""
    counted = sum(len(configuration.runs) for configuration in group.configurations)
    ended = [record for record in finals if record["status"] == "ok"]
    without = sum(not measured(record, group.metric) for record in ended)
    twice = len(ended) - without - counted
    parts = [f"{without} without {style.metric_name(group.metric)} on test"] if without else []
    parts += [f"{twice} repeated with the same seed (the latest counts)"] if twice else []
    return f"Left out: {', '.join(parts)}." if parts else ""


def _summary(group: Group) -> str:
    """One row a configuration; beside the headline metric the one that readers expect there, if it was measured."""
    second = style.BESIDE.get(group.metric)
    every: tuple[Configuration | Baseline, ...] = (*group.configurations, *group.undefined, *group.baselines)
    beside = [second] if second and any(on_test(one, second) for one in every) else []
    scores = [f"{style.metric_name(group.metric)} (test)", "95% interval", *map(style.metric_name, beside)]
    known = _known(group)
    heading = ("method", "backbone parameters", "head parameters", *scores,
               "seeds", "train seconds", *known, "learning rate", "specification")  # fmt: skip
    return table(heading, [_row(one, beside, list(known.values())) for one in every])


def _known(group: Group) -> dict[str, Callable[[Configuration], str]]:
    """Columns that some studies have: the cell of each by its heading."""
    found: dict[str, Callable[[Configuration], str]] = {}
    if any(c.memory for c in group.configurations):
        found["peak memory"] = lambda c: style.size(c.memory) if c.memory else ""
    for old in dict.fromkeys(c.old_task for c in group.configurations if c.retained):
        found[f"{old}: before → after"] = _left
    return found


def _left(of: Configuration) -> str:
    """What the untouched network reached on the old task, and what the trained one does."""
    pair = (of.untouched.values(), of.retained.values())
    return " → ".join(f"{mean(values):.3f}" for values in pair) if all(pair) else ""


def _row(
    of: Configuration | Baseline, beside: Sequence[str], known: Sequence[Callable[[Configuration], str]]
) -> tuple[str, ...]:
    """A baseline has no parameters, training time or learning rate that could stand beside those of networks."""
    first: tuple[str, ...] = (f"*{cell(of.label)}* (reference)", "", "")
    seconds = learning_rate = ""
    costs = [""] * len(known)
    if isinstance(of, Configuration):
        first = of.label, f"{of.backbone:,}", f"{of.head:,}"
        seconds, learning_rate = f"{of.seconds.mean:.1f}" if of.seconds else "", _chosen(of.runs[0])
        costs = [each(of) for each in known]
    scores = [*_score(of), *(_mean(on_test(of, metric)) for metric in beside)]
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


def _reading(group: Group) -> str:
    """How to read the table: who leads, who cannot be told from the leader, and what the marks mean."""
    lines = [*_lead(group), *_against_baselines(group), *_saturated(group)]
    notes = [_chosen(configuration.runs[0]) for configuration in group.configurations]
    if any("edge" in note for note in notes):
        lines.append("(edge): chosen at the edge of what was searched, so a better one may lie outside.")
    if any("shared" in note for note in notes):
        lines.append("(shared): tuned for another configuration of the method and taken over.")
    return " ".join(lines)


def _saturated(group: Group) -> Iterator[str]:
    """How much rank is enough."""
    if found := saturation(group):
        yield (
            f"Saturation: {found} is the smallest rank within the noise floor of these ranks ({found.delta:.3f}) of "
            "the best of them; in parentheses the range that 95% of resampled seeds give."
        )


def _against_baselines(group: Group) -> Iterator[str]:
    """By how much the best method lies above or below what needs no network."""
    best = differences.best(group)
    for baseline in group.baselines:
        if pair := best.beyond(baseline):
            low, high = pair.interval or (pair.mean, pair.mean)
            sure = f" ({low:+.3f} to {high:+.3f} over {len(pair.values)} seeds)" if pair.interval else ""
            yield f"Against {baseline.label}: {pair.mean:+.3f}{sure}."


def _lead(group: Group) -> list[str]:
    best = differences.best(group)
    lines = [f"Best mean: {best.label}, {best.score.mean:.3f}."]
    found = differences.against(group, best)
    if not found:
        return lines
    named = {kind: [one.configuration.label for one in found if one.verdict == kind] for kind in differences.VERDICTS}
    alike, few = named[differences.SAME], named[differences.UNDECIDED]
    if len(few) < len(found):
        lines.append(
            f"Paired by seed, {len(alike)} of the other {len(found)} {'show' if len(alike) != 1 else 'shows'} no "
            f"significant difference from it (the 95% interval of the difference holds 0){': ' * bool(alike)}"
            f"{', '.join(alike)}."
        )
    if few:
        lines.append(f"{differences.undecided(found).capitalize()}: {', '.join(few)}.")
    if len(alike) + len(few) < len(found):
        lines.append("The best was picked after looking, and of many intervals one in twenty leaves 0 out by chance.")
    return lines
