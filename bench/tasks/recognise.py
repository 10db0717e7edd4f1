"""What lies at a path of one's own: the task that reads it, and what was taken to be so.

Pictures in class folders, tables of texts, boxes in COCO's or Pascal VOC's format. Contents are looked into, not only
names; no more of them than it takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from bench.errors import BadInput, shown
from bench.tasks.contract import Task
from bench.tasks.detection.own_folders import CocoFolder, VocFolder
from bench.tasks.folder_listing import below, entries, is_folder, is_there, part_of
from bench.tasks.images.task import ImageFolder
from bench.tasks.pictures import PICTURES
from bench.tasks.text.columns import columns
from bench.tasks.text.tables import ENDINGS
from bench.tasks.text.task import TextCsv

LOOKED_AT = 2_000
"""Files of a folder that are looked at to tell what it is."""
MOST_PICTURES = 200_000
"""Every picture is read before anything starts: of more that takes hours."""
PEEKED = 1 << 16
"""Bytes at either end of a file that are looked into."""
PACKED = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz")


@dataclass(frozen=True)
class Recognised:
    """What a path holds.

    Args:
        task: that reads it.
        said: what it was taken to be and by what, a sentence.
    """

    task: Task
    said: str


def recognise(path: str, *, text: str | tuple[str, str] | None = None, label: str | None = None) -> Recognised:
    """The task for a file or folder of one's own.

    Args:
        path: a folder of pictures or boxes, or a table of texts or a folder of such.
        text, label: columns of a table; found by names and contents where they are not given.

    Raises:
        BadInput: nothing is there, or it is none of these; which columns are meant cannot be told.
    """
    place = Path(path).expanduser()
    if is_there(place):
        return _file(place, path, text, label)
    if not is_folder(place):
        raise BadInput(f"no file or folder {shown(path, 200)!r}: give pictures, a table of texts, or boxes")
    files = list(islice(below(place), LOOKED_AT))
    if not files:
        raise BadInput(
            f"{shown(path, 200)} is empty: put pictures into folders named like their classes, or a table in it"
        )
    if (marks := _marks(files)) is not None:
        _refuse_columns(text, label, marks[1])
        return Recognised(marks[0](str(path)), f"{marks[1]}, as {shown(marks[2])} tells")
    tables = [file for file in entries(place).files if file.suffix.lower() in ENDINGS]
    pictures = [file for file in files if file.suffix.lower() in PICTURES]
    if tables and (text or label or not _in_classes(place)):
        if pictures and not (text or label):
            raise BadInput(
                f"{shown(path, 200)} has {tables[0].name} beside pictures: sort the pictures into folders named like "
                "their classes; for texts give the table itself"
            )
        return _table(place, tables, path, text, label)
    if pictures:
        _refuse_columns(text, label, "pictures")
        _refuse_too_many(place)
        return Recognised(ImageFolder(str(path)), "pictures in folders named like their classes")
    raise BadInput(_nothing(path, files))


def _file(place: Path, path: str, text: str | tuple[str, str] | None, label: str | None) -> Recognised:
    ending = place.suffix.lower()
    if ending in PACKED:
        raise BadInput(f"{place.name} is packed: unpack it and give the folder")
    if ending in PICTURES:
        raise BadInput(f"{place.name} is one picture: give a folder with a folder of pictures for each class")
    if ending == ".json" and _is_coco(place):
        raise BadInput(f"{place.name} has boxes in COCO's format: give the folder that holds it and its pictures")
    if ending not in ENDINGS:
        raise BadInput(f"{shown(place.name)} is no table by its name: give a {', '.join(ENDINGS)} file, or a folder")
    return _table(place, [place], path, text, label)


def _table(
    place: Path, tables: list[Path], path: str, text: str | tuple[str, str] | None, label: str | None
) -> Recognised:
    """A table, or the folder's: train.csv, or the only one."""
    train = next((file for file in tables if part_of(re.sub(r"-\d+-of-\d+.*", "", file.stem)) == "train"), None)
    if place.is_dir() and train is None:
        if len(tables) > 1:
            named = ", ".join(file.name for file in tables[:4])
            raise BadInput(f"{shown(path, 200)} has {named}: give one of them, or call the one to learn from train.csv")
        path = str(Path(path) / tables[0].name)
    found = columns(train or tables[0], text=text, label=label)
    task = TextCsv(str(path), text=found.text, label=found.label)
    named = " and ".join(map(repr, found.text)) if isinstance(found.text, tuple) else repr(found.text)
    return Recognised(task, f"a table of texts: text in {named}, class in {found.label!r}{found.why}")


def _marks(files: Iterable[Path]) -> tuple[type[CocoFolder] | type[VocFolder], str, str] | None:
    """Whether a file has boxes: the task, what it is called, and which file told."""
    for file in files:
        if file.suffix.lower() == ".json" and _is_coco(file):
            return CocoFolder, "pictures with boxes in COCO's format", file.name
        if file.suffix.lower() == ".xml" and b"<annotation" in _ends(file):
            return VocFolder, "pictures with boxes in Pascal VOC's format", file.name
    return None


def _is_coco(file: Path) -> bool:
    found = _ends(file)
    return b'"annotations"' in found and (b'"images"' in found or b'"categories"' in found)


def _ends(file: Path) -> bytes:
    """The first and the last of a file's bytes; nothing of one that cannot be read."""
    try:
        with open(file, "rb") as opened:
            first = opened.read(PEEKED)
            opened.seek(max(0, file.stat().st_size - PEEKED))
            return first + opened.read(PEEKED)
    except OSError:
        return b""


def _in_classes(place: Path) -> bool:
    """Whether there are folders with pictures in them."""
    return any(_pictures(folder) for folder in entries(place).folders)


def _pictures(folder: Path) -> Iterator[Path]:
    return islice((file for file in below(folder) if file.suffix.lower() in PICTURES), 1)


def _refuse_columns(text: object, label: object, what: str) -> None:
    if text or label:
        raise BadInput(f"--text and --label name columns of a table; these are {what}")


def _refuse_too_many(place: Path) -> None:
    """Of a million pictures a sample decides as well."""
    many = sum(file.suffix.lower() in PICTURES for file in islice(below(place), MOST_PICTURES + 1))
    if many > MOST_PICTURES:
        raise BadInput(
            f"{shown(str(place), 200)} has more than {MOST_PICTURES:,} pictures, each of which is read before anything "
            "starts: give a folder with some thousands of each class, which tell methods apart as well"
        )


def _nothing(path: str, files: list[Path]) -> str:
    """What to do with a folder that holds none of what is read."""
    endings, here = {file.suffix.lower() for file in files}, shown(path, 200)
    if ".txt" in endings and any(re.match(rb"\d+( [\d.]+){4}\s", _ends(file)) for file in files[:20]):
        return f"{here} has boxes as YOLO writes them: export them in COCO's or Pascal VOC's format"
    if ".txt" in endings:
        return f"{here} has text files: put them into a table with a column of texts and one of classes"
    kinds = ", ".join(sorted(filter(None, endings))[:6]) or "no endings"
    return f"{here} has no pictures, no table of texts and no boxes (its files: {kinds})"
