"""The page of a study in Markdown: answer, figures, tables, what ran."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.records import write_atomically
from bench.report import style
from bench.report.data import wording
from bench.report.data.chance import chance, classes
from bench.report.data.groups import Group, measured
from bench.report.data.measured import Record
from bench.report.figures.catalogue import OF_TUNING
from bench.report.figures.drawn import Drawn
from bench.report.page.content import Content, Table
from bench.report.page.old_task import old_task_section
from bench.report.page.priced import priced_section
from bench.report.page.robustness import robustness_section
from bench.report.page.summary import reading, summary
from bench.report.page.tuning import tuning_section
from bench.report.tables.across import across
from bench.report.tables.costs import costs_section, gathered
from bench.report.tables.markdown import folded, formatted, table

MADE = (
    "*Made from the records in `runs/` by `make figures`; the numbers stand in `table.csv`. The same command writes "
    "what is not committed: `report.html` (interactive, offline), every figure as SVG and PDF, `tables/*.tex` and "
    "`table.parquet`.*"
)


def write_page(folder: Path, found: Content) -> Path:
    """Write folder/README.md.

    Args:
        folder: results/<study>/<scale>, with its figures in `figures`.
        found: what to say.

    Raises:
        BadInput: the folder cannot be written.
    """
    blocks = [f"# {found.title}", f"> {found.question}" if found.question else "", MADE]
    if found.flags:
        blocks += ["**Before you believe it**", _bullets(found.flags)]
    if found.answer:
        blocks += ["## Answer", _bullets(found.answer), found.about_answer]
    if found.shown:
        blocks += _together(found)
    if found.ran:
        blocks += ["## What ran", *found.ran]
    for beside in gathered(found.groups):
        blocks += costs_section(beside, list(_figures([one for one in found.drawn if one.beside == beside])))
    for group in (group for group in found.names if not group.costs):
        blocks += _section(group, found)
    return write_atomically(folder / "README.md", "\n\n".join(block for block in blocks if block) + "\n")


def asked(page: Path) -> str:
    """The question on the page as it is, so that `bench figures` need not know it."""
    lines = page.read_text().splitlines() if page.exists() else []
    return next((line[2:] for line in lines[:5] if line.startswith("> ")), "")


def _bullets(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)


def _together(found: Content) -> Iterator[str]:
    """All groups at once: figures, one table."""
    groups = found.shown
    yield "## Overview" * (len(groups) > 1)
    yield from _figures([figure for figure in found.drawn if figure.group is None])
    if len(groups) < 2:
        return
    yield across(groups)
    said = list(dict.fromkeys(wording.seeds(group) for group in groups))
    said = said if len(said) == 1 else [f"{found.names[group]}: {wording.seeds(group)}" for group in groups]
    yield " ".join([*said, "On test; compare within a column. Which differences are significant is said task by task."])
    for each in found.over_tasks:
        yield from _table(each)


def _table(each: Table) -> Iterator[str]:
    yield f"### {each.title}"
    text = formatted(folded(each.frame))
    yield table(list(text.columns), text.to_numpy().tolist())
    yield each.about


def _figures(drawn: Sequence[Drawn]) -> Iterator[str]:
    """Each figure with its caption."""
    for figure in drawn:
        yield f"![{figure.title}](figures/{figure.files[0].name})"
        yield f"*{figure.caption}*"


def _section(group: Group, found: Content) -> Iterator[str]:
    """Results of one task, model and device."""
    drawn = [figure for figure in found.drawn if figure.group is group]
    yield f"## {found.names[group]}"
    yield group.specs
    if group.older:
        yield (
            f"Older records, of protocol {group.protocol}, in no figure or table above: a later protocol has measured "
            "this again, and the two are not to be compared."
        )
    finals = [record for record in group.records if record["phase"] == "final"]
    if not group.configurations:
        yield f"{_state(group, finals)}: there is nothing to draw."
        yield from tuning_section(group, [])
        return
    yield " ".join(part for part in (wording.seeds(group), wording.tuning(group), wording.noise(group)) if part)
    if dropped := _dropped(group, finals):
        yield dropped
    yield _bullets([f"**Baseline**: {text}." for text in _baselines(group)])
    yield from _figures([figure for figure in drawn if figure.name not in OF_TUNING])
    yield "### Summary"
    yield summary(group)
    yield reading(group)
    yield from priced_section(group)
    yield from old_task_section(group)
    yield from robustness_section(group)
    order = sorted((figure for figure in drawn if figure.name in OF_TUNING), key=lambda f: OF_TUNING.index(f.name))
    yield from tuning_section(group, list(_figures(order)))


def _baselines(group: Group) -> Iterator[str]:
    """What needs no network: guessing, the most common class, words counted."""
    share = chance(group)
    if share is not None:
        yield f"chance: {share:.3f}, for {classes(group)} classes"
    yield from map(wording.baseline, group.baselines)


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
