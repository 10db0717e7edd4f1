"""Tables and numbers in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def table(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; cells must hold no `|` (see `cell`)."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(str(one) for one in line)} |" for line in lines)


def cell(text: str) -> str:
    """Any text in one cell: its first line, short, without what Markdown would read as a column."""
    first = text.strip().splitlines()[0] if text.strip() else ""
    return (first[:117] + "…" if len(first) > 118 else first).replace("|", "\\|")


def number(value: float | None) -> str:
    """A setting as written: 0.001, 1e-05; nothing where there is none."""
    return "" if value is None else f"{value:g}"


def listed(values: Iterable[Any]) -> str:
    """Distinct values in order, with commas."""
    known = {value for value in values if value not in (None, "")}
    return ", ".join(str(value) for value in sorted(known, key=lambda v: (isinstance(v, str), v)))
