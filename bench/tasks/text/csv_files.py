"""One's own texts, from CSV or TSV files, with what is wrong in them said by file and line."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from bench.errors import BadInput, unknown
from bench.tasks.pools import Pool
from bench.tasks.text.sets import Text, deduplicated, normalised

SEPARATORS = MappingProxyType({".csv": ",;\t", ".tsv": "\t"})
"""By the ending of a file's name, the likeliest first: spreadsheets write ; where the comma parts decimals."""
PARTS = MappingProxyType({"train": ("train",), "val": ("val", "validation", "valid", "dev"), "test": ("test",)})
LONGEST_FIELD = 1 << 30  # csv's own limit, 131,072 characters, is less than a long report


@dataclass(frozen=True)
class Row:
    """One text with its label, the part it is of, and where it stands."""

    text: Text
    label: str
    part: str
    title: str


def csv_pool(path: Path, *, text: str | tuple[str, str], label: str) -> Pool:
    """Texts of a CSV file with a header, or of a folder with train.csv and, if there are, val.csv and test.csv.

    Fields may be quoted and have newlines in them; UTF-8, with or without a byte order mark. Also .tsv, and files
    parted by semicolons. Without a test file a fifth is held out, once for all seeds.

    Args:
        path: the file or folder.
        text: the column of the text; or two columns, then `pool.read(i)` is a pair.
        label: the column of the class.

    Raises:
        BadInput: no such file, not a CSV, a column it does not have, empty texts or labels, one class, a class that
            only val or test have, or a class with too few texts for a split.
    """
    columns = (text, label) if isinstance(text, str) else (*text, label)
    if len(set(columns)) < len(columns):
        raise BadInput(f"text={text!r}, label={label!r}: these must be different columns")
    files = _files(path)
    stamp = hashlib.sha256(repr(columns).encode())  # the same file is other data by other columns
    rows: list[Row] = []
    for part, file in files.items():
        raw = _bytes(file)
        stamp.update(raw if len(files) == 1 else f"{part} {len(raw)}\n".encode() + raw)
        rows += _rows(file, raw, columns, part=part)
    names = _classes(path, rows)
    index = {name: i for i, name in enumerate(names)}
    labels = np.array([index[row.label] for row in rows], np.int64)
    return _pool(path, rows, labels, names, sha256=stamp.hexdigest())


def _pool(path: Path, rows: Sequence[Row], labels: np.ndarray, names: Sequence[str], *, sha256: str) -> Pool:
    texts = [row.text for row in rows]
    where = {part: np.array([i for i, row in enumerate(rows) if row.part == part], np.int64) for part in PARTS}
    val, test = (where[part] if len(where[part]) else None for part in ("val", "test"))
    development, removed = deduplicated(texts, labels, test=test, val=val)
    if val is not None and test is not None:  # what a configuration is chosen by must not be tested on either
        tested = {normalised(texts[i]) for i in test}
        given, val = val, np.array([i for i in val if normalised(texts[i]) not in tested], np.int64)
        removed["test_duplicates_removed"] += len(given) - len(val)
        if not len(val):
            raise BadInput(f"{path}: every text of the validation file is in the test file too")
    _check_enough(path, labels[development], names, parts=1 + (val is None) + (test is None))
    hold_out = 0 if test is not None else max(len(names), len(development) // 5)
    default_val = max(len(names), min(200, (len(development) - hold_out) // 5))
    return Pool(
        path.absolute().stem, labels, len(names), texts.__getitem__, lambda i: rows[i].title, sha256, development,
        official_val=val, official_test=test, hold_out=hold_out, default_train=None, default_val=default_val,
        removed=removed,
    )  # fmt: skip


def _files(path: Path) -> dict[str, Path]:
    """The file of each part that there is."""
    if path.is_file():
        return {"train": path}
    if not path.is_dir():
        raise BadInput(f"no file {str(path)!r}: give a CSV file, or a folder with train.csv")
    found: dict[str, Path] = {}
    for part, names in PARTS.items():
        there = [path / (name + ending) for name in names for ending in SEPARATORS]
        there = [file for file in there if file.is_file()]
        if len(there) > 1:
            raise BadInput(f"{path}: both {there[0].name} and {there[1].name}: leave one of them")
        if there:
            found[part] = there[0]
    if "train" not in found:
        raise BadInput(f"no train.csv in {str(path)!r}: give a CSV file, or a folder with train.csv")
    return found


def _bytes(file: Path) -> bytes:
    if file.suffix.lower() not in SEPARATORS:
        raise BadInput(f"{file}: not a CSV by its name: give a .csv or .tsv file")
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadInput(f"{file}: cannot be read: {error.strerror}") from None


def _rows(file: Path, raw: bytes, columns: Sequence[str], *, part: str) -> list[Row]:
    """Text and label of every line that has any, once all of them are known to be there."""
    try:
        content = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BadInput(f"{file}: line {line} is not UTF-8: not a CSV, or save it as UTF-8") from None
    lines = _records(file, content, columns)
    header = next(lines, (0, []))[1]
    places = [_place(file, column, header) for column in columns]
    rows, empty, unlabelled = [], [], []
    for line, fields in lines:
        if len(fields) != len(header):
            raise BadInput(f"{file}: line {line} has {len(fields)} fields, the header {len(header)}: not a CSV?")
        *texts, label = (fields[place] for place in places)
        if not all(text.strip() for text in texts):
            empty.append(line)
        elif not label.strip():
            unlabelled.append(line)
        rows.append(Row(texts[0] if len(texts) == 1 else tuple(texts), label.strip(), part, f"{file.name} line {line}"))
    for what, lacking in (("text", empty), ("label", unlabelled)):
        if lacking:
            raise BadInput(f"{file}: {len(lacking)} of {len(rows)} rows have no {what}, the first on line {lacking[0]}")
    if not rows:
        raise BadInput(f"{file} has a header and no rows")
    return rows


def _place(file: Path, column: str, header: list[str]) -> int:
    if not header:
        raise BadInput(f"{file} is empty: a header and at least one line are needed")
    if column not in header:
        raise unknown(f"column of {file.name}", column, header)
    if header.count(column) > 1:
        raise BadInput(f"{file}: {header.count(column)} columns are called {column!r}: rename all but one")
    return header.index(column)


def _records(file: Path, content: str, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """The line each record begins on, and its fields; the header comes first."""
    limit = csv.field_size_limit(LONGEST_FIELD)
    line = 1
    try:
        reader = csv.reader(io.StringIO(content, newline=""), delimiter=_separator(file, content, columns), strict=True)
        for fields in reader:
            if fields:  # else a blank line
                yield line, fields
            line = reader.line_num + 1
    except csv.Error as error:
        raise BadInput(f"{file}: not a CSV: the quotes of the record on line {line} do not match ({error})") from None
    finally:
        csv.field_size_limit(limit)


def _separator(file: Path, content: str, columns: Sequence[str]) -> str:
    """The separator that the header is parted by: the one that finds most of the columns."""
    head = content.lstrip("\r\n").split("\n", 1)[0].rstrip("\r")
    known = SEPARATORS[file.suffix.lower()]
    return max(known, key=lambda mark: len(set(columns) & set(next(csv.reader([head], delimiter=mark), []))))


def _classes(path: Path, rows: Sequence[Row]) -> list[str]:
    """The labels of the training part, numbers in their own order."""
    names = sorted({row.label for row in rows if row.part == "train"})
    if all(name.isdecimal() for name in names):
        names.sort(key=int)
    if len(names) < 2:
        raise BadInput(f"{path} has one class ({names[0]}): classification needs at least two")
    if strange := [row for row in rows if row.label not in set(names)]:
        raise BadInput(f"{path}: label {strange[0].label!r} ({strange[0].title}) does not occur in the training part")
    return names


def _check_enough(path: Path, labels: np.ndarray, names: Sequence[str], *, parts: int) -> None:
    """Every part that is drawn needs a text of every class."""
    counted = Counter(labels.tolist())
    rare = [i for i in range(len(names)) if counted[i] < parts]
    if rare:
        least = min(rare, key=counted.__getitem__)
        others = f" ({len(rare)} of {len(names)} classes have too few)" if len(rare) > 1 else ""
        raise BadInput(
            f"{path}: class {names[least]!r} has {counted[least]} different texts, {parts} are needed, one for each "
            f"part{others}: add texts, or leave it out"
        )
