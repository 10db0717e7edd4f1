"""One's own texts, from CSV or TSV files, with what is wrong in them said by file and line."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from bench.errors import BadInput, shown
from bench.tasks.class_names import ABSENT, absent, one_spelling, say_alike, tidy
from bench.tasks.data_notes import Notes
from bench.tasks.folder_listing import PARTS, below, entries, is_folder, is_there, part_of, refuse_strangers
from bench.tasks.pools import REPEATS, Pool, check_enough, repeats, say_doubles, untested
from bench.tasks.text.sets import Text, fingerprint, normalised
from bench.tasks.text.tables import ENDINGS, Table, table

PIECE = re.compile(r"-\d+-of-\d+(-[0-9a-f]{8,64})?$")
"""How the hub numbers the pieces of a file, of old with a hash behind them."""

MOST_DIGITS = 4300
"""Of a number that Python makes of a text."""


@dataclass(frozen=True)
class Row:
    """One text with its label, the part it is of, and where it stands."""

    text: Text
    label: str
    part: str
    title: str


def csv_pool(
    path: Path, *, text: str | tuple[str, str], label: str, skip_empty: bool = False, encoding: str | None = None
) -> Pool:
    """Texts of a CSV file with a header, or of a folder with train.csv and, if there are, val.csv and test.csv.

    Fields may be quoted and have newlines in them. Also .tsv, quoted or not, files parted by semicolons, .jsonl, .json
    and .parquet. Without a test file that has labels a fifth is held out, once for all seeds.

    Args:
        path: the file or folder.
        text: the column of the text; or two columns, then `pool.read(i)` is a pair.
        label: the column of the class.
        skip_empty: leave out rows without text or label, rather than refuse the file.
        encoding: of the files; None to find out.

    Raises:
        BadInput: no such file, not of its format, a column it does not have, empty texts or labels, one class, a class
            that only val or test have, or a class with too few texts for a split.
    """
    columns = (text, label) if isinstance(text, str) else (*text, label)
    if len(set(columns)) < len(columns):
        raise BadInput(f"text={text!r}, label={label!r}: these must be different columns")
    notes, rows = Notes(), list[Row]()
    files = _files(path, notes)
    stamp = hashlib.sha256(repr(columns).encode())  # the same file is other data by other columns
    if skip_empty or encoding:
        stamp.update(f"{skip_empty} {encoding}".encode())
    for part, file in ((part, file) for part, those in files.items() for file in those):
        raw = _bytes(file)
        stamp.update(raw if path.is_file() else f"{part} {len(raw)}\n".encode() + raw)
        found = table(file, raw, columns, notes, encoding)
        rows += _rows(file, found, columns, part=part, skip_empty=skip_empty, notes=notes)
    rows = _spelled(rows, notes)
    names = _classes(path, rows)
    say_alike(names, notes)
    index = {name: i for i, name in enumerate(names)}
    labels = np.array([index[row.label] for row in rows], np.int64)
    stamp.update(fingerprint([row.text for row in rows], [(row.part, row.label) for row in rows]).encode())
    return _pool(path, rows, labels, names, notes=notes, sha256=stamp.hexdigest())


def _pool(
    path: Path, rows: Sequence[Row], labels: np.ndarray, names: Sequence[str], *, notes: Notes, sha256: str
) -> Pool:
    texts = [row.text for row in rows]
    where = {part: np.array([i for i, row in enumerate(rows) if row.part == part], np.int64) for part in PARTS}
    val, test = (where[part] if len(where[part]) else None for part in ("val", "test"))
    keys = [normalised(text) for text in texts]
    development, removed = repeats(keys, labels, test=test, val=val)
    if val is not None and test is not None:
        val, both = untested(keys, val, test)
        removed["test_duplicates_removed"] += both
        if not len(val):
            raise BadInput(f"{path}: every text of the validation file is in the test file too")
    for why, those in removed.items():
        notes.add("dropped", f"texts {REPEATS[why]}", rows[those[0]].title if those else "", count=len(those), key=why)
    given = {"validation": val, "test": test}
    say_doubles(keys, labels, given, notes, what="texts", title=lambda i: rows[i].title)
    check_enough(str(path), labels[development], names, parts=1 + (val is None) + (test is None), what="texts")
    hold_out = 0 if test is not None else max(len(names), len(development) // 5)
    default_val = max(len(names), min(200, (len(development) - hold_out) // 5))
    counted = {why: len(those) for why, those in removed.items()}
    return Pool(
        path.absolute().stem, labels, len(names), texts.__getitem__, lambda i: rows[i].title, sha256, development,
        official_val=val, official_test=test, hold_out=hold_out, default_train=None, default_val=default_val,
        removed={**counted, **notes.counts}, names=tuple(names), notes=notes.all,
    )  # fmt: skip


def _files(path: Path, notes: Notes) -> dict[str, list[Path]]:
    """The files of each part that there is: one, or the numbered pieces of one."""
    if is_there(path):
        return {"train": [path]}
    if not is_folder(path):
        raise BadInput(f"no file '{shown(str(path), 200)}': give a CSV file, or a folder with train.csv")
    found: dict[str, list[Path]] = {}
    inside = entries(path, notes)
    for file in inside.files:
        part = part_of(PIECE.sub("", file.stem))
        if part is None or file.suffix.lower() not in ENDINGS:
            notes.add("ignored", "files that are none of train, val and test by their names", file.name)
            continue
        those = found.setdefault(part, [])
        if those and not all(PIECE.search(each.stem) for each in (*those, file)):
            raise BadInput(f"{path}: both {those[0].name} and {file.name}: leave one of them")
        those.append(file)
    holding = (folder for folder in inside.folders if any(f.suffix.lower() in ENDINGS for f in below(folder)))
    if "train" not in found:
        raise BadInput(f"no train.csv in {str(path)!r}: give a CSV file, or a folder with train.csv")
    refuse_strangers(holding, path, found["train"][0].name)
    return {part: found[part] for part in PARTS if part in found}


def _bytes(file: Path) -> bytes:
    if file.suffix.lower() not in ENDINGS:
        raise BadInput(f"{file}: not a CSV by its name: give a {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]} file")
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadInput(f"{file}: cannot be read: {error.strerror}") from None


def _rows(file: Path, found: Table, columns: Sequence[str], *, part: str, skip_empty: bool, notes: Notes) -> list[Row]:
    """Text and label of every row that has both; none of a part that has no labels at all, unless it is to train on."""
    *text, label = columns
    places = [found.column(column, file) for column in text]
    if part != "train" and _has_no_labels(found, label):
        what = f"texts of {file.name}, which has no labels"
        notes.add("ignored", what, f"column {label!r}", count=len(found.rows))
        return []
    places.append(found.column(label, file))
    none = {"", *absent({tidy(fields[places[-1]]) for _, fields in found.rows})}
    rows, lacking = [], {"text": list[int](), "label": list[int]()}
    for line, fields in found.rows:
        *texts, label = (fields[place] for place in places)
        where = f"{file.name} {found.place} {line}"
        if any(not each.strip() or each in ABSENT for each in texts):
            lacking["text"].append(line)
        elif (name := tidy(label)) in none:
            lacking["label"].append(line)
        else:
            rows.append(Row(texts[0] if len(texts) == 1 else tuple(texts), name, part, where))
            if name != label:
                notes.add("mended", "labels with blanks around them, or whose letters are in pieces", where)
    for what, those in lacking.items():
        if those and not skip_empty:
            raise BadInput(
                f"{file}: {len(those)} of {len(found.rows)} rows have no {what}, the first on {found.place} "
                f"{those[0]}: fill them in, or leave them out with skip_empty=True"
            )
        key = {"text": "empty_removed", "label": "unlabelled_removed"}[what]
        first = f"{file.name} {found.place} {those[0]}" if those else ""
        notes.add("dropped", f"rows without a {what}", first, count=len(those), key=key)
    if not rows:
        raise BadInput(f"{file} has a header and no rows" + " with text and label" * bool(found.rows))
    return rows


def _has_no_labels(found: Table, label: str) -> bool:
    """Whether it is a part whose labels are kept back: no such column, or nothing in it."""
    if label not in found.header:
        return not get_close_matches(label.casefold(), [name.casefold() for name in found.header], n=1, cutoff=0.7)
    place = found.header.index(label)
    kept_back = ("", "-1", "-1.0", "nan", *ABSENT)
    return bool(found.rows) and all(tidy(fields[place]) in kept_back for _, fields in found.rows)


def _spelled(rows: list[Row], notes: Notes) -> list[Row]:
    """The rows with one label for 1 and 1.0, as a column gets to be written in which a number was missing."""
    names = one_spelling({row.label for row in rows})
    changed = [row for row in rows if names.get(row.label, row.label) != row.label]
    if changed:
        what = "labels that are the same number as others, written otherwise"
        notes.add("mended", what, changed[0].title, count=len(changed), key="labels_respelled")
    return [replace(row, label=names.get(row.label, row.label)) for row in rows]


def _classes(path: Path, rows: Sequence[Row]) -> list[str]:
    """The labels of the training part, numbers in their own order."""
    names = sorted({row.label for row in rows if row.part == "train"})
    if all(name.isdecimal() and len(name) < MOST_DIGITS for name in names):
        names.sort(key=int)
    if len(names) < 2:
        raise BadInput(f"{path} has one class ({shown(names[0])}): classification needs at least two")
    if strange := [row for row in rows if row.label not in set(names)]:
        raise BadInput(
            f"{path}: label {shown(strange[0].label)!r} ({strange[0].title}) does not occur in the training part"
        )
    return names
