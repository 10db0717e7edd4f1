"""The page of published figures of memory: what was compared with what, and how far ours lies from each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.records import write_atomically
from bench.report import style
from bench.report.data.published import (
    MEASURED,
    RECORD,
    Row,
    Spread,
    as_marked_before,
    of_kind,
    ordered,
    spread,
    told,
)
from bench.report.figures.published import published
from bench.report.tables.markdown import MISSING, table

TITLE = "Memory: ours against published figures"
FORMATS = ("png", "svg", "pdf")
COLUMNS = ("figure", "measured", "not told, or why", "published", "ours", "error")
"""Of `lines`."""
ABOUT = {
    "reserved": "Ours is CUDA's caching allocator replayed over two steps of one batch. What batches of other lengths, "
    "cuDNN's workspaces and the loading of weights have left reserved is told by no source and not in it.",
    "nvidia-smi": "Ours is that of reserved, and a constant for CUDA's context and kernels: 500 MiB, or what the "
    "source itself measured.",
}
"""Why estimates of a kind differ as a whole."""


def redraw_published(folder: Path) -> list[Path]:
    """Write README.md and the figure from the record alone.

    Args:
        folder: results/costs/published.
    """
    record = json.loads((folder / RECORD).read_text("utf-8"))
    found = ordered(record)
    with style.drawing():
        written = list(published(found).save(folder / "figures", "published", formats=FORMATS))
    return [*written, write_atomically(folder / "README.md", page(record, found))]


def lines(record: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The record's figures as a table for a terminal, under `COLUMNS`."""
    found = [(row, _compared(row)) for row in ordered(record)]
    return [(row.figure["id"], row.measured, why, *sizes) for row, (*sizes, why) in found]


def page(record: Mapping[str, Any], found: Sequence[Row]) -> str:
    """The page's text."""
    parts = [
        f"# {TITLE}",
        _about(record, found),
        _spreads(found),
        "![Ours against published figures](figures/published.png)",
        *(_kind(measured, of_kind(found, measured)) for measured in MEASURED if of_kind(found, measured)),
        _sources(found),
        _provenance(record),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(record: Mapping[str, Any], found: Sequence[Row]) -> str:
    repositories = {row.figure["source"]["repository"] for row in found}
    main = told(of_kind(found, "allocated"))
    near = spread(main)
    text = (
        f"{len(found)} figures that {len(repositories)} projects have published of their training steps on GPUs, and "
        "what `bench memory` estimates for the same settings without a GPU. Nothing was fitted to them: an error is "
        "explained or stands. Ours is not a measurement; the published figures are, on the GPUs and with the libraries "
        "named below."
    )
    if near is None:
        return text
    return (
        f"{text}\n\n**Of the {near.n} figures of the largest allocated memory whose settings are all told, the median "
        f"size of the error is {_percent(near.typical, sign=False)}, the lowest error {_percent(near.lowest)}, the "
        f"highest {_percent(near.highest)}.** `--fit` leaves {_percent(record['margin'], sign=False)} of it free."
    )


def _spreads(found: Sequence[Row]) -> str:
    lines = []
    for measured, name in MEASURED.items():
        some = of_kind(found, measured)
        for label, part in (
            ("all settings told", told(some)),
            ("all settings told, and those set aside after the comparison", as_marked_before(some)),
            ("some not told", told(some, unknown=True)),
            ("all", some),
        ):
            near, plain = spread(part), label.endswith(" told")
            if near is not None and (plain or len(part) not in (len(told(some)), len(told(some, unknown=True)))):
                lines.append((name, label, *_cells(near)))
    head = ("measured", "figures", "n", "median size of the error", "median error", "lowest", "highest")
    return table(head, lines)


def _cells(near: Spread) -> tuple[object, ...]:
    signed = (_percent(each) for each in (near.bias, near.lowest, near.highest))
    return (near.n, _percent(near.typical, sign=False), *signed)


def _kind(measured: str, some: Sequence[Row]) -> str:
    head = ("figure", "setting", "published", "ours", "error", "not told, or why")
    about = f"{ABOUT[measured]}\n\n" if measured in ABOUT else ""
    return f"## {MEASURED[measured].capitalize()}\n\n{about}" + table(head, map(_line, some))


def _line(row: Row) -> tuple[str, ...]:
    said, *rest = _compared(row)
    return f"`{row.figure['id']}`", setting(row.figure["settings"]), said, *rest


def _compared(row: Row) -> tuple[str, ...]:
    """Published, ours, error, and what is not told."""
    ours = MISSING if row.ours is None else style.size(row.ours)
    error = MISSING if row.error is None else _percent(row.error)
    marked = {"before": "", "after": " (noticed after the comparison)"}
    unknown = row.unknown + marked[row.figure["settings"].get("marked", "before")] if row.unknown else ""
    why = "; ".join(
        each for each in (unknown, row.figure["settings"].get("note", ""), row.figure.get("why", "")) if each
    )
    return row.figure["said"], ours, error, why


def setting(of: Mapping[str, Any]) -> str:
    """A figure's settings in a line."""
    side = f"{of['shorter']} × {of['size']:,}" if "shorter" in of else of.get("size")
    size = f"{of['length']:,} tokens" if "length" in of else f"{side} px"
    held = ", keys and values held through the forward pass" if of.get("cache") else ""
    norms = (
        f", batch norms {of['norms']}, {of['stages']} stages train, {of['boxes']} boxes a picture"
        if "norms" in of
        else ""
    )
    several = f", accumulated {of['accumulation']} times" if of["accumulation"] > 1 else ""
    weights = "" if of["base"] == of["precision"] else f", weights in {of['base']}"
    checkpointing = "" if of["checkpointing"] == "none" else f", checkpointing of {of['checkpointing']}"
    attention = "" if of["attention"] == "none" else f", {of['attention']} attention"
    dropout = f", dropout {of['dropout']}" if of.get("dropout") else ""
    gpus = f", {of['gpus']} GPUs" if of["gpus"] > 1 else ""
    upto = "up to " if of["padding"] == "up to" else ""
    return (
        f"{of['model']}, `{of['method']}`, {of['batch']} × {upto}{size}, {of['precision']}{weights}, {of['optimizer']} "
        f"({of['update']}){several}{checkpointing}{attention}{held}{norms}{dropout}, loss "
        f"{of['loss']}{gpus}; code of {of['code']}"
    )


def _sources(found: Sequence[Row]) -> str:
    return "## Sources\n\n" + "\n\n".join(_source(source, some) for source, some in _by_source(found))


def _by_source(found: Sequence[Row]) -> Iterator[tuple[Mapping[str, Any], list[Row]]]:
    for name in dict.fromkeys(row.figure["source"]["name"] for row in found):
        some = [row for row in found if row.figure["source"]["name"] == name]
        yield some[0].figure["source"], some


def _source(of: Mapping[str, Any], some: Sequence[Row]) -> str:
    at = f" at {of['commit'][:12]}" if of["commit"] else ""
    told_by = (
        f"*{of['name']}*: {of['repository']}, {of['path']}{at}, {of['date']}. GPU: {of['gpu']}. {of['libraries']}."
    )
    quotes = "\n".join(f"- `{row.figure['id']}`: `{row.figure['line']}`" for row in some)
    return f"{told_by} Measured by: {of['measured_by']}. Settings: {of['settings']}.\n\n{quotes}"


def _provenance(record: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    ages = Counter(
        (row.get("estimated_at", record["created_at"])[:10], row.get("git_sha", record["git_sha"]))
        for row in record["figures"]
    )
    made = "; ".join(f"{n} figures on {day}, at {sha}" for (day, sha), n in sorted(ages.items()))
    return f"Estimated: {made} (last with {versions})."


def _percent(share: float, *, sign: bool = True) -> str:
    text = f"{100 * share:+.1f} %" if sign else f"{100 * share:.1f} %"
    return text.replace("-", "−")
