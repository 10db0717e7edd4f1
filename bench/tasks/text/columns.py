"""Which columns of a table hold the texts and the classes, where nobody says."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from bench.errors import BadInput, shown
from bench.tasks.data_notes import Notes
from bench.tasks.text.encodings import decoded
from bench.tasks.text.tables import SEPARATORS, Table, table

TEXTS = (
    *("text", "sentence", "review", "content", "document", "comment", "message", "body", "tweet", "title", "question"),
    *("description", "subject", "sms", "headline", "abstract", "texts", "sentences"),
)
"""What a column of texts is usually called."""
LABELS = (
    *("label", "class", "target", "category", "labels", "sentiment", "y", "stars", "rating", "intent", "topic", "spam"),
    *("score", "department", "tag", "classes", "emotion", "is_spam", "language"),
)
"""What a column of classes is usually called."""
MOST_CLASSES, SHARE = 200, 0.3
"""A column of classes has no more different values than so many, nor than this share of its rows."""
ROWS = 2_000
"""Rows that are looked at."""


@dataclass(frozen=True)
class Columns:
    """The two that are meant.

    Args:
        text: one column, or two for pairs.
        label: the column of classes.
        why: behind a sentence: what was assumed; "" where both were given.
    """

    text: str | tuple[str, str]
    label: str
    why: str = ""


def columns(file: Path, *, text: str | tuple[str, str] | None, label: str | None) -> Columns:
    """The columns as given, those that are not by their names, else by their contents.

    Args:
        file: a table.
        text, label: as given.

    Raises:
        BadInput: one that is given is not there, or one that is not cannot be told; not a table.
    """
    given = [*([text] if isinstance(text, str) else text or ()), *([label] if label else [])]
    found = _read(file, given)
    for name in given:
        found.column(name, file)  # which refuses one that is not there
    if text and label:
        return Columns(text, label)
    values = {name: [row[at] for _, row in found.rows[:ROWS]] for at, name in enumerate(found.header)}
    classes = label or _named(values, LABELS, given) or _classes(values, given)
    texts = text or _named(values, TEXTS, [*given, classes]) or _texts(values, [*given, classes])
    for name, option in ((texts, "--text"), (classes, "--label")):
        if not name:
            raise BadInput(
                f"{file.name}: which column holds the {option[2:]}s cannot be told: name it with {option} "
                f"({', '.join(map(shown, found.header[:12]))})"
            )
    assumed = " and ".join(option for option, had in (("--text", text), ("--label", label)) if not had)
    return Columns(texts, classes, f" ({assumed} would say otherwise)")


def _read(file: Path, given: Sequence[str]) -> Table:
    """All columns of a table."""
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise BadInput(f"{file}: cannot be read: {error.strerror}") from None
    names = [*given, *TEXTS, *LABELS]
    if file.suffix.lower() in SEPARATORS:
        names += _header(file, raw)
    first = table(file, raw, names, Notes())
    if file.suffix.lower() in SEPARATORS:
        return first
    return table(file, raw, [name for name in first.header if _plain(file, raw, name)], Notes())


def _plain(file: Path, raw: bytes, name: str) -> bool:
    """Whether a column of JSON or Parquet, of which only those that are asked for are read, has no lists in it."""
    try:
        table(file, raw, [name], Notes())
    except BadInput:
        return False
    return True


def _header(file: Path, raw: bytes) -> list[str]:
    """The names of the columns, parted by what parts the first line into most."""
    content, _ = decoded(raw, str(file), None)
    head = next((line for line in content.splitlines()[:50] if line.strip()), "")
    try:
        ways = [next(csv.reader(io.StringIO(head), delimiter=mark), []) for mark in SEPARATORS[file.suffix.lower()]]
    except csv.Error:
        return []
    return max(ways, key=len, default=[])


def _named(values: dict[str, list[str]], usual: Sequence[str], taken: Sequence[object]) -> str:
    """The column with a usual name, the first of these."""
    known = {name.strip().casefold().replace(" ", "_"): name for name in reversed(values) if name not in taken}
    return next((known[name] for name in usual if name in known), "")


def _classes(values: dict[str, list[str]], taken: Sequence[object]) -> str:
    """The column with the fewest different values, each short and most of them there often."""
    fit = {}
    for name, those in values.items():
        counted = Counter(value for value in those if value.strip())
        few = 2 <= len(counted) <= min(MOST_CLASSES, max(2, SHARE * len(those)))
        if name not in taken and few and max(map(len, counted)) <= 60:
            fit[name] = len(counted)
    return min(fit, key=fit.__getitem__) if fit else ""


def _texts(values: dict[str, list[str]], taken: Sequence[object]) -> str:
    """The column whose values have most words."""
    words = {
        name: mean(len(value.split()) for value in those)
        for name, those in values.items()
        if name not in taken and those
    }
    best = max(words, key=words.__getitem__, default="")
    return best if best and words[best] > 1.5 else ""
