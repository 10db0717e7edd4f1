"""Rows of text files as tools write them: CSV, TSV, JSON lines and Parquet, each with the place it stands at."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from bench.errors import BadInput, shown, unknown
from bench.tasks.data_notes import Notes
from bench.tasks.text.encodings import decoded

SEPARATORS = MappingProxyType({".csv": ",;\t|", ".tsv": "\t", ".tab": "\t"})
"""By the ending of a file's name, the likeliest first: spreadsheets write ; where the comma parts decimals."""
ENDINGS = (*SEPARATORS, ".jsonl", ".ndjson", ".json", ".parquet")
ENDS = re.compile(r"\r\n|\r|\n")
HALF = re.compile("[\ud800-\udfff]")
LONGEST_FIELD = 1 << 30  # csv's own limit, 131,072 characters, is less than a long report


class Table(NamedTuple):
    """A file's columns, and for every row its line (or number) and its fields."""

    header: list[str]
    rows: list[tuple[int, list[str]]]
    place: str = "line"

    def column(self, name: str, file: Path) -> int:
        """Where a column stands.

        Raises:
            BadInput: it is not there, or there twice.
        """
        if name not in self.header:
            raise unknown(f"column of {file.name}", name, map(shown, self.header))
        if self.header.count(name) > 1:
            raise BadInput(f"{file}: {self.header.count(name)} columns are called {name!r}: rename all but one")
        return self.header.index(name)


def table(file: Path, raw: bytes, columns: Sequence[str], notes: Notes, encoding: str | None = None) -> Table:
    """The table that a file holds.

    Args:
        file: its name tells the format.
        raw: its bytes.
        columns: that are looked for.
        notes: where to say what was guessed or mended.
        encoding: of a text file; None to find out.

    Raises:
        BadInput: not of its format.
    """
    ending = file.suffix.lower()
    if ending == ".parquet":
        if encoding:
            raise BadInput(f"{file}: a Parquet file is in no encoding of its own: leave encoding={encoding!r} out")
        return _of_parquet(file, raw, columns, notes)
    content, guess = decoded(raw, str(file), encoding)
    if guess:
        notes.add("assumed", f"files are read as {guess}, not UTF-8 (encoding=… says otherwise)", file.name)
    if ending in SEPARATORS:
        return _of_lines(file, content, columns, notes)
    return _of_json(file, content, columns, notes)


def _of_lines(file: Path, content: str, columns: Sequence[str], notes: Notes) -> Table:
    """CSV or TSV: quoted as usual, or a TSV in which quotes are quotes."""
    separator, content = _separator(file, content, columns)
    if separator == "\t":
        plain = _unquoted(content)
        if plain is not None:
            try:
                quoted = list(_records(file, content, separator))
            except BadInput:
                quoted = []
            if len(quoted) < len(plain):  # quotes that would swallow line ends, or that do not match
                notes.add("assumed", "TSV files are unquoted: their quotes are part of the text", file.name)
                return _table(file, plain, notes)
    return _table(file, list(_records(file, content, separator)), notes)


def _unquoted(content: str) -> list[tuple[int, list[str]]] | None:
    """Each line's fields; None where a line has more or fewer than the first."""
    rows = [(number, line.split("\t")) for number, line in enumerate(ENDS.split(content), 1) if line]
    return rows if rows and len({len(fields) for _, fields in rows}) == 1 else None


def _table(file: Path, records: list[tuple[int, list[str]]], notes: Notes) -> Table:
    if not records:
        raise BadInput(f"{file} is empty: a header and at least one line are needed")
    header = [name.strip() for name in records[0][1]]
    if header != records[0][1]:
        notes.add("mended", "headers with blanks around a name", file.name)
    for line, fields in records[1:]:
        if len(fields) != len(header):
            raise BadInput(f"{file}: line {line} has {len(fields)} fields, the header {len(header)}: not a CSV?")
    rows = [record for record in records[1:] if [name.strip(" \t\ufeff") for name in record[1]] != header]
    if again := len(records) - 1 - len(rows):
        what = "lines that are the header again, as of files that were joined"
        notes.add("dropped", what, file.name, count=again, key="header_lines_dropped")
    return Table(header, rows)


def _records(file: Path, content: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The line each record begins on, and its fields; the header comes first."""
    limit = csv.field_size_limit(LONGEST_FIELD)
    line = 1
    try:
        reader = csv.reader(io.StringIO(content, newline=""), delimiter=separator, strict=True)
        for fields in reader:
            if fields:  # else a blank line
                yield line, fields
            line = reader.line_num + 1
    except csv.Error as error:
        raise BadInput(f"{file}: not a CSV: the quotes of the record on line {line} do not match ({error})") from None
    finally:
        csv.field_size_limit(limit)


def _separator(file: Path, content: str, columns: Sequence[str]) -> tuple[str, str]:
    """The separator that the header is parted by, the one that finds most of the columns; and what it parts.

    Spreadsheets are told the separator by a first line "sep=;", which is none of the data.
    """
    lines = io.StringIO(content, newline=None)
    head = next((line.strip("\n") for line in lines if line.strip()), "")
    if head.lower().startswith("sep=") and len(head) == 5:
        return head[4], content.lstrip("\r\n")[5:]
    known, wanted = SEPARATORS[file.suffix.lower()], {name.strip() for name in columns}

    def found(mark: str) -> int:
        try:
            return len(wanted & {name.strip() for name in next(csv.reader([head], delimiter=mark), [])})
        except csv.Error:
            return 0

    return max(known, key=found), content


def _of_json(file: Path, content: str, columns: Sequence[str], notes: Notes) -> Table:
    """An object a line, or one list of objects."""
    entries: list[tuple[int, Any]]
    if content.lstrip()[:1] == "[":
        top = _parsed(content, str(file))
        entries, place = list(enumerate(top, 1)), "entry"
    else:
        lines = [(number, line) for number, line in enumerate(ENDS.split(content), 1) if line.strip()]
        entries, place = [(number, _parsed(line, f"{file}: line {number}")) for number, line in lines], "line"
    if not entries:
        raise BadInput(f"{file} is empty: at least one object is needed")
    for number, entry in entries:
        if not isinstance(entry, Mapping):
            raise BadInput(f"{file}: {place} {number} is no object with the keys {', '.join(map(repr, columns))}")
    header = list(dict.fromkeys(key for _, entry in entries for key in entry))
    where = f"{file}: {place} "
    chosen = [name for name in header if name in columns]
    rows = [(n, [_text(entry.get(name), f"{where}{n}", name, notes) for name in chosen]) for n, entry in entries]
    return _with_columns(header, chosen, rows, place)


def _parsed(content: str, where: str) -> Any:
    try:
        return json.loads(content)
    except RecursionError:
        raise BadInput(f"{where} cannot be read as JSON: it is nested too deeply") from None
    except ValueError as error:
        raise BadInput(f"{where} cannot be read as JSON: {error}") from None


def _of_parquet(file: Path, raw: bytes, columns: Sequence[str], notes: Notes) -> Table:
    import pyarrow
    from pyarrow import parquet

    try:
        read = parquet.read_table(pyarrow.BufferReader(raw))
        header = list(read.column_names)
        kept = [i for i, name in enumerate(header) if name in columns]
        values = zip(*[read.column(i).to_pylist() for i in kept], strict=True)
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:  # texts that are not UTF-8 among them
        raise BadInput(f"{file} cannot be read as Parquet: {error}") from None
    rows = [
        (n, [_text(value, f"{file}: row {n}", header[i], notes) for i, value in zip(kept, row, strict=True)])
        for n, row in enumerate(values, 1)
    ]
    return _with_columns(header, [header[i] for i in kept], rows, "row")


def _with_columns(header: list[str], chosen: list[str], rows: list[tuple[int, list[str]]], place: str) -> Table:
    """A table of the chosen columns, which knows of the others' names."""
    others = [name for name in header if name not in chosen]
    blank = [""] * len(others)
    return Table([*chosen, *others], [(n, [*fields, *blank]) for n, fields in rows], place)


def _text(value: Any, where: str, name: str, notes: Notes) -> str:
    """A value as text: nothing for none, 1 for 1.0.

    Raises:
        BadInput: it is a list or an object, or bytes that are no text.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        return _whole(value, where, notes)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise BadInput(f"{where}: {shown(name)!r} is bytes that are not UTF-8: write it as text") from None
    if isinstance(value, list | dict):
        raise BadInput(f"{where}: {shown(name)!r} is {type(value).__name__}, not a text")
    return str(value)


def _whole(text: str, where: str, notes: Notes) -> str:
    """The text with U+FFFD for a half of a character, as JSON has where a text was cut: no tokenizer takes it."""
    if not HALF.search(text):
        return text
    mended = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    notes.add("mended", "texts with half a character in them, which is replaced", where, key="characters_replaced")
    return mended
