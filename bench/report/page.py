"""The page of a study: what ran, the figures, and one table, in Markdown, made from the records alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.records import STATUSES, write_atomically
from bench.report import style, words
from bench.report.figures import Drawn
from bench.report.groups import Configuration, Group, Record, measured

_FAILURES = 30  # rows; more would bury the results
_BUDGET = ("epochs", "batch_size", "optimizer", "weight_decay", "precision")


def write_page(
    folder: Path,
    records: Sequence[Record],
    groups: Sequence[Group],
    drawn: Sequence[Drawn],
    *,
    title: str | None = None,
    question: str | None = None,
) -> Path:
    """Write folder/README.md.

    Args:
        records: all of the study's runs, tuning and failures included.
        groups: the same runs by what may be compared.
        drawn: the figures, in the folder's `figures`.
        title: the heading; the study's name without.
        question: the line below it; the present page's without, so that `bench figures` need not know it.

    Raises:
        BadInput: the folder cannot be written.
    """
    name = f"{records[0]['study']} ({records[0]['scale']})" if records else "No runs yet"
    question = question or _asked(folder / "README.md")
    blocks = [f"# {title or name}", f"> {question}" if question else ""]
    blocks.append("*Made from the records in `runs/` by `bench figures`; the numbers stand in `table.csv`.*")
    if records:
        blocks += ["## What ran", *_overview(records), *_failures(records)]
    for group in groups:
        others = [other for other in groups if other.configurations]
        blocks += _section(group, [figure for figure in drawn if figure.group is group], others)
    return write_atomically(folder / "README.md", "\n\n".join(block for block in blocks if block) + "\n")


def _asked(page: Path) -> str:
    """The question on the page as it is."""
    lines = page.read_text().splitlines() if page.exists() else []
    return next((line[2:] for line in lines[:5] if line.startswith("> ")), "")


def _overview(records: Sequence[Record]) -> Iterator[str]:
    """Counts, versions and sources as a list."""
    final = [record for record in records if record["phase"] == "final"]
    seconds = sum((record.get("time") or {}).get("total") or 0.0 for record in records)
    lines = [
        ("Runs", f"{len(final)} final ({_statuses(final)}), {len(records) - len(final)} for tuning "
                 f"({_statuses([record for record in records if record['phase'] != 'final'])})"),
        ("Seeds", _listed(record["seed"] for record in final)),
        ("Hardware", _listed(_hardware(record) for record in records)),
        ("Versions", _versions(records)),
        ("Budget", "; ".join(_budgets(records))),
        ("Training images", _listed(_provenance(records, "train_images"))),
        ("Weights", _listed(_provenance(records, "weights"))),
        ("Data sha256", _listed(f"`{value[:12]}`" for value in _provenance(records, "data_sha256"))),
        ("Code", _code(records)),
        ("Time", f"{style.seconds(seconds)} in all runs together"),
    ]  # fmt: skip
    yield "\n".join(f"- **{name}**: {text}" for name, text in lines if text)


def _statuses(records: Iterable[Record]) -> str:
    counts = Counter(record["status"] for record in records)
    return ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status]) or "none"


def _listed(values: Iterable[Any]) -> str:
    """Distinct values in order, with commas."""
    known = {value for value in values if value not in (None, "")}
    return ", ".join(str(value) for value in sorted(known, key=lambda v: (isinstance(v, str), v)))


def _hardware(record: Record) -> str:
    environment = record["environment"]
    device = environment.get("device_name") or environment.get("device") or "unknown device"
    return f"{device} ({environment['threads']} threads)" if environment.get("threads") else device


def _versions(records: Sequence[Record]) -> str:
    found = {f"Python {r['environment']['python']}" for r in records if r["environment"].get("python")}
    for record in records:
        versions = record["environment"].get("versions") or {}
        found |= {f"{name} {version}" for name, version in versions.items()}
    return _listed(found)


def _budgets(records: Sequence[Record]) -> list[str]:
    """Every combination of epochs, batch size and so on that was used."""
    found = dict.fromkeys(
        ", ".join(f"{key.replace('_', ' ')} {r['training'][key]}" for key in _BUDGET if key in r["training"])
        for r in records
        if r["phase"] == "final"
    )
    return sorted(found)


def _provenance(records: Sequence[Record], key: str) -> list[Any]:
    values = [(record.get("provenance") or {}).get(key) for record in records]
    return [value for value in values if value is not None]


def _code(records: Sequence[Record]) -> str:
    """The commits the runs were made with."""
    found = set()
    for record in records:
        provenance = record.get("provenance") or {}
        if provenance.get("git_sha"):
            changed = " with local changes" if provenance.get("git_dirty") else ""
            found.add(f"`{provenance['git_sha'][:10]}`{changed}")
    return _listed(found)


def _failures(records: Sequence[Record]) -> Iterator[str]:
    """The runs that did not end well, and how."""
    failed = [record for record in records if record["status"] != "ok"]
    if not failed:
        return
    yield f"### Runs that failed ({len(failed)})"
    rows = [
        (f"`{r['method']['spec']}`", r["phase"], r["seed"], _number(r["training"].get("lr")),
         r["status"].replace("_", " "), _cell(r.get("reason") or ""))
        for r in failed[:_FAILURES]
    ]  # fmt: skip
    yield _table(("method", "phase", "seed", "lr", "status", "reason"), rows)
    if len(failed) > _FAILURES:
        yield f"… and {len(failed) - _FAILURES} more in `table.csv`."


def _section(group: Group, drawn: Sequence[Drawn], others: Sequence[Group]) -> Iterator[str]:
    """Results of one task, model and device."""
    if not group.configurations and any(group.subject == other.subject for other in others):
        return  # runs that ended before their precision was known: they stand among the failures
    yield f"## {group.subject}"
    yield group.specs
    finals = [record for record in group.records if record["phase"] == "final"]
    if not group.configurations:
        state = f"None of {len(finals)} final runs ended well" if finals else "No final run has ended yet"
        yield f"{state}: there is nothing to draw."
        return
    yield " ".join(part for part in (words.seeds(group), words.tuning(group), words.noise(group)) if part)
    if dropped := _dropped(group, finals):
        yield dropped
    for figure in drawn:
        yield f"![{figure.kind.name.replace('_', ' ')}](figures/{figure.png.name})"
        yield f"*{figure.kind.caption}* ([SVG](figures/{figure.svg.name}))"
    yield "### Summary"
    yield _summary(group)
    yield _reading(group)


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
    """One row a configuration."""
    metric = style.metric_name(group.metric)
    heading = ("method", "backbone parameters", "head parameters", f"{metric} (test)", "95% interval",
               "seeds", "train seconds", "learning rate", "specification")  # fmt: skip
    return _table(heading, [_row(configuration) for configuration in group.configurations])


def _row(configuration: Configuration) -> tuple[str, ...]:
    interval, seconds = configuration.score.interval, configuration.seconds
    return (
        configuration.label,
        f"{configuration.backbone:,}",
        f"{configuration.head:,}",
        f"{configuration.score.mean:.3f}",
        f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else "one seed",
        str(len(configuration.runs)),
        f"{seconds.mean:.1f}" if seconds else "",
        _chosen(configuration.runs[0]),
        f"`{configuration.runs[0]['method']['spec']}`",
    )


def _chosen(record: Record) -> str:
    """The learning rate, and whether it stands on the edge of what was tried."""
    tuning: Mapping[str, Any] = record.get("tuning") or {}
    text = _number(record["training"].get("lr"))
    text += " (edge)" if tuning.get("edge") else ""
    return text + (" (shared)" if tuning.get("shared_from") else "")


def _reading(group: Group) -> str:
    """How to read the table: who leads, who cannot be told from the leader, and what the marks mean."""
    lines = _lead(group)
    notes = [_chosen(configuration.runs[0]) for configuration in group.configurations]
    if any("edge" in note for note in notes):
        lines.append("(edge): the lowest or the highest candidate was best, so a better one may lie outside.")
    if any("shared" in note for note in notes):
        lines.append("(shared): tuned for another configuration of the method and taken over.")
    return " ".join(lines)


def _lead(group: Group) -> list[str]:
    lower = group.metric in style.LOWER_IS_BETTER
    best = (min if lower else max)(group.configurations, key=lambda c: c.score.mean)
    lines = [f"Best mean: {best.label}, {best.score.mean:.3f}."]
    pairs = [(c.label, pair) for c in group.configurations if c is not best and (pair := best.beyond(c))]
    known = [(label, pair.interval, len(pair.values)) for label, pair in pairs if pair.interval]
    if not known:
        return lines
    alike = [label for label, (low, high), _ in known if low <= 0 <= high]
    lines.append(
        f"Paired by seed, {len(alike)} of the other {len(known)} cannot be told from it (the 95% interval of the "
        f"difference holds 0){': ' * bool(alike)}{', '.join(alike)}."
    )
    few = min(number for _, _, number in known)
    if few <= 5:  # the bootstrap of few values is too narrow: say what it amounts to
        lines.append(
            f"With {few} seeds the interval leaves 0 out as soon as all seeds agree, as they do by chance alone in "
            f"1 of {2 ** (few - 1)} pairs, and the best was picked after looking: the rest is not thereby beaten."
        )
    return lines


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _cell(text: str) -> str:
    """A reason in one table cell: its first line, short, without what Markdown would read as a column."""
    first = text.strip().splitlines()[0] if text.strip() else ""
    return (first[:117] + "…" if len(first) > 118 else first).replace("|", "\\|")


def _table(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)
