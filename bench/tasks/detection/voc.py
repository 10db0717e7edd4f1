"""Annotations in Pascal VOC's XML (doi:10.1007/s11263-009-0275-4), one file a picture."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from xml.etree import ElementTree

from bench.assets.remembered import digests
from bench.errors import BadInput, shown
from bench.tasks.caches import stamps
from bench.tasks.class_names import tidy
from bench.tasks.data_notes import Notes
from bench.tasks.detection.box_pools import Mark, Part, Picture, Source, check_listed, check_there, source, stamp_of
from bench.tasks.detection.orientation import Entry, count_unlisted, framed, reach, restamped
from bench.tasks.detection.picture_paths import alike
from bench.tasks.folder_listing import (
    PARTS,
    below,
    entries,
    is_there,
    part_of,
    parts_of,
    refuse_strangers,
    title,
)
from bench.tasks.pictures import PICTURES, WHITE

LAYOUTS = (
    "Annotations/*.xml with JPEGImages/ and ImageSets/Main/{train,val,test}.txt, or .xml files beside their pictures, "
    "in the folder itself or in train/, valid/ and test/"
)

DECLARED = re.compile(rb"""\s*<\?xml[^>]*?encoding=(["'])([A-Za-z0-9._-]+)\1""")
NO = ("", "0", "false", "no", "n", "f", "none", "unspecified", "unknown")
Pairs = Mapping[str, Sequence[tuple[Path, Path]]]
"""Annotation and picture of every sample of each part."""


class Annotation(NamedTuple):
    """One file: the picture's size (0 where it does not say), name, box and difficulty of each object, and what it says
    that the picture is called."""

    width: int
    height: int
    objects: list[tuple[str, tuple[float, float, float, float], bool]]
    filename: str = ""


def load(path: Path, background: str = WHITE) -> Source:
    """The pictures and boxes of a folder in one of the layouts; kept while its files are the same.

    What was done to them stands in the pool's notes.

    Args:
        path: the folder.
        background: what transparent pictures are laid on.

    Raises:
        BadInput: no such folder, none of the layouts, not VOC's XML, or pictures that are missing or cannot be read.
    """
    path = path.expanduser().absolute()
    if not path.is_dir():
        raise BadInput(f"{'a file' if path.is_file() else 'no folder'}: {str(path)!r}; give a folder with {LAYOUTS}")
    return _load(path, background, stamps(below(path)))


def read(name: str, parts: Pairs) -> Source:
    """The pictures and boxes of a declared set's files; kept while the annotations are the same.

    Raises:
        BadInput: not VOC's XML, or annotations or pictures that are missing.
    """
    files = [file for those in parts.values() for file, _ in those]
    check_there(files, "annotations", listed="the list")
    frozen = tuple((part, tuple(those)) for part, those in parts.items())
    return _read(name, frozen, stamps(files))


@lru_cache(maxsize=4)
def _load(path: Path, background: str, _stamps: tuple[Any, ...]) -> Source:
    notes = Notes()
    parts = pairs(path, notes)
    check_there([file for those in parts.values() for file, _ in those], "annotations", listed="the list")
    return _made(path.name, parts, notes, background=background, own=path)


@lru_cache(maxsize=4)
def _read(name: str, parts: tuple[tuple[str, tuple[tuple[Path, Path], ...]], ...], _stamps: tuple[Any, ...]) -> Source:
    return _made(name, dict(parts), Notes(), background=WHITE, own=None)


def _made(name: str, parts: Pairs, notes: Notes, *, background: str, own: Path | None) -> Source:
    """The set of those files; an `own` folder's without what is there twice, and saying what lies about."""
    every = [where for those in parts.values() for _, where in those]
    check_listed(every)
    found = {part: [annotation(file) for file, _ in those] for part, those in parts.items()}
    listed = [
        Entry(where, where.name, (each.width, each.height), reach([box for _, box, _ in each.objects]))
        for part, those in parts.items()
        for each, (_, where) in zip(found[part], those, strict=True)
    ]
    _say_others(found, every, notes)
    pictures = framed(name, listed, notes)
    if own is not None:
        count_unlisted(own, every, notes)
    shown = iter([Picture(each.title, each.width, each.height, each.read(background)) for each in pictures])
    numbers = _numbers(found)
    made = {part: _part(those, [next(shown) for _ in those], numbers) for part, those in found.items()}
    stamp = restamped(stamp_of(every), pictures, background)
    return source(name, list(numbers), made, stamp=stamp, notes=notes, keys=digests(every) if own else None)


def _numbers(found: Mapping[str, Sequence[Annotation]]) -> dict[str, int]:
    """The index of every class, by the alphabet."""
    labels = sorted({label for those in found.values() for each in those for label, *_ in each.objects})
    return {label: i for i, label in enumerate(labels)}


def _part(found: Sequence[Annotation], pictures: list[Picture], numbers: Mapping[str, int]) -> Part:
    marks = [
        Mark(row, box, numbers[label], difficult)
        for row, each in enumerate(found)
        for label, box, difficult in each.objects
    ]
    return Part(pictures, marks)


def pairs(path: Path, notes: Notes) -> dict[str, list[tuple[Path, Path]]]:
    """Annotation and picture of every sample of each part; "train" alone where no parts are given."""
    folders = entries(path, notes).folders
    kept = next((folder for folder in folders if folder.name.casefold() == "annotations"), None)
    if kept is not None:
        found = _listed(path, kept, notes)
        beside = next((f for name in ("jpegimages", "images") for f in folders if f.name.casefold() == name), path)
        places = dict.fromkeys(found, beside)
    else:
        places = parts_of(folders, path)
        if any(map(_of_xml, places.values())):
            refuse_strangers((f for f in folders if part_of(f.name) is None and _of_xml(f)), path, "the parts")
        else:
            places = {"train": path}
        found = {part: _of_xml(place, notes) for part, place in places.items()}
        found = {part: those for part, those in found.items() if those or part == "train"}
    if not found.get("train"):
        raise BadInput(f"{path} has no annotations to train on: looked for {LAYOUTS}")
    pictures = {place: _pictures(place) for place in set(places.values())}
    return {
        part: [(file, _picture(file, places[part], pictures[places[part]], notes)) for file in those]
        for part, those in found.items()
    }


def _picture(file: Path, folder: Path, pictures: Mapping[str, Path], notes: Notes) -> Path:
    """The picture of an annotation: the one of its name, else of the name that it states, else but for capitals."""
    if file.stem in pictures:
        return pictures[file.stem]
    stated = _stated(annotation(file)) if is_there(file) else None
    if stated is not None and (named := pictures.get(stated.stem)) is not None and named.name == stated.name:
        notes.add("mended", "pictures found by the <filename> of their annotations", title(file))
        return named
    those = [picture for stem, picture in pictures.items() if alike(stem) == alike(file.stem)]
    if len(those) == 1:
        notes.add("mended", "pictures whose names differ in capitals or in Unicode's form", title(file))
        return those[0]
    return folder / f"{file.stem}.jpg"


def _stated(found: Annotation) -> PurePosixPath | None:
    name = PurePosixPath(found.filename.replace("\\", "/")).name
    return PurePosixPath(name) if name else None


def _say_others(found: Mapping[str, Sequence[Annotation]], every: Sequence[Path], notes: Notes) -> None:
    """Says which annotations state the name of another picture of the set than the one that has their own name."""
    names = {where.name for where in every}
    for each, where in zip((one for those in found.values() for one in those), every, strict=True):
        stated = _stated(each)
        if stated is not None and stated.name != where.name and stated.name in names:
            what = "annotations whose <filename> is another picture's are taken by their own names"
            notes.add("assumed", what, where.name)


def _listed(path: Path, folder: Path, notes: Notes) -> dict[str, list[Path]]:
    """The annotations of each part as ImageSets/Main/*.txt list them; all of them where there are no lists."""
    lists: dict[str, Path] = {}
    main = path / "ImageSets" / "Main"
    for file in entries(main, notes).files if main.is_dir() else []:
        part = "trainval" if file.stem.casefold() == "trainval" else part_of(file.stem)
        if part and file.suffix.lower() == ".txt":
            if part in lists:
                raise BadInput(f"{main} has both {lists[part].name} and {file.name}: keep one")
            lists[part] = file
    whole = lists.pop("trainval", None)
    lists = {part: lists[part] for part in PARTS if part in lists}
    if whole is not None:
        lists.setdefault("train", whole)  # the last: fingerprints know the order
    there = _of_xml(folder, notes)
    found = {part: [folder / f"{name}.xml" for name in _names(file)] for part, file in lists.items()}
    if not found:
        return {"train": there}
    for file in set(there) - {file for those in found.values() for file in those}:
        notes.add("ignored", "annotations that no list names", title(file))
    return found


def _of_xml(folder: Path, notes: Notes | None = None) -> list[Path]:
    return [file for file in entries(folder, notes).files if file.suffix.lower() == ".xml"]


def _names(file: Path) -> list[str]:
    """What stands first in every line: a class's own list has 1 or -1 behind it."""
    try:
        names = [line.split()[0] for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise BadInput(f"{file} cannot be read as a list of names: {error}") from None
    if odd := [name for name in names if "/" in name or "\\" in name or name in (".", "..")]:
        raise BadInput(f"{file} lists {shown(odd[0])!r}: give names without folders and endings")
    return names


def _pictures(folder: Path) -> dict[str, Path]:
    """The pictures of a folder by their names without suffix."""
    found: dict[str, Path] = {}
    for file in entries(folder).files:
        if file.suffix.lower() in PICTURES and found.setdefault(file.stem, file) != file:
            raise BadInput(f"{folder} has {found[file.stem].name} and {file.name}: one annotation cannot be of both")
    return found


def annotation(file: Path) -> Annotation:
    """One file. VOC counts pixels from 1 and includes the last: [xmin, xmax] covers xmin - 1 … xmax.

    Raises:
        BadInput: it is not VOC's XML.
    """
    try:
        top = _root(file)
        if top.tag != "annotation":
            raise ValueError(f"it is of <{top.tag}>")
        size = [int(float(top.findtext(f"size/{side}") or 0)) for side in ("width", "height")]
        objects = []
        for each in top.iter("object"):
            x1, y1, x2, y2 = (float(_text(each, f"bndbox/{end}")) for end in ("xmin", "ymin", "xmax", "ymax"))
            difficult = _is_yes(each.findtext("difficult") or "")
            objects.append((tidy(_text(each, "name")), (x1 - 1, y1 - 1, x2, y2), difficult))
    except (OSError, ElementTree.ParseError, ValueError, LookupError, OverflowError) as error:
        raise BadInput(f"{file} is not an annotation in Pascal VOC's XML: {error}") from None
    return Annotation(size[0], size[1], objects, (top.findtext("filename") or "").strip())


def _root(file: Path) -> ElementTree.Element:
    """The top of the XML; where it is of an encoding that expat does not know, such as gb2312, Python decodes it."""
    raw = file.read_bytes()
    declared = DECLARED.match(raw)
    if declared and declared[2].lower() not in (b"utf-8", b"utf-16"):
        text = raw[declared.end() :].decode(declared[2].decode("ascii"))
        return ElementTree.fromstring(text[text.index("?>") + 2 :])
    return ElementTree.fromstring(raw)


def _is_yes(text: str) -> bool:
    """Whether a flag is set: tools write 0 and 1, false and true, and "Unspecified" for what nobody said.

    Raises:
        ValueError: it is none of them.
    """
    word = text.strip().casefold()
    if word in NO:
        return False
    if word in ("true", "yes", "y", "t"):
        return True
    return float(word) != 0


def _text(entry: ElementTree.Element, path: str) -> str:
    text = (entry.findtext(path) or "").strip()
    if not text:
        raise ValueError(f"an object has no {path}")
    return text
