"""Annotations in Pascal VOC's XML (doi:10.1007/s11263-009-0275-4), one file a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

from bench.errors import BadInput
from bench.tasks.caches import stamps
from bench.tasks.detection.box_pools import PARTS, Mark, Part, Source, check_there, in_file, source, stamp_of
from bench.tasks.pictures import PICTURES

LAYOUTS = (
    "Annotations/*.xml with JPEGImages/ and ImageSets/Main/{train,val,test}.txt, or .xml files beside their pictures, "
    "in the folder itself or in train/, valid/ and test/"
)

Pairs = Mapping[str, Sequence[tuple[Path, Path]]]
"""Annotation and picture of every sample of each part."""


class Annotation(NamedTuple):
    """One file: the picture's size (0 where it does not say), and name, box and difficulty of each object."""

    width: int
    height: int
    objects: list[tuple[str, tuple[float, float, float, float], bool]]


def load(path: Path) -> Source:
    """The pictures and boxes of a folder in one of the layouts.

    Raises:
        BadInput: no such folder, none of the layouts, or as `read`.
    """
    path = path.expanduser().absolute()
    return read(path.name, pairs(path))


def read(name: str, parts: Pairs) -> Source:
    """The pictures and boxes of those files; kept while the annotations are the same.

    Raises:
        BadInput: not VOC's XML, or annotations or pictures that are missing.
    """
    files = [file for those in parts.values() for file, _ in those]
    check_there(files, "annotations", listed="the list")
    frozen = tuple((part, tuple(those)) for part, those in parts.items())
    return _read(name, frozen, stamps(files))


@lru_cache(maxsize=4)
def _read(name: str, parts: tuple[tuple[str, tuple[tuple[Path, Path], ...]], ...], _stamps: tuple[Any, ...]) -> Source:
    read = {part: [(annotation(file), where) for file, where in those] for part, those in parts}
    classes = sorted({label for those in read.values() for found, _ in those for label, *_ in found.objects})
    numbers = {label: i for i, label in enumerate(classes)}
    stamp = stamp_of([where for _, those in parts for _, where in those])
    made = {
        part: Part(
            [in_file(where, where.name, found.width, found.height) for found, where in those],
            [
                Mark(row, box, numbers[label], difficult)
                for row, (found, _) in enumerate(those)
                for label, box, difficult in found.objects
            ],
        )
        for part, those in read.items()
    }
    return source(name, classes, made, stamp=stamp)


def pairs(path: Path) -> dict[str, list[tuple[Path, Path]]]:
    """Annotation and picture of every sample of each part; "train" alone where no parts are given."""
    if not path.is_dir():
        raise BadInput(f"{'a file' if path.is_file() else 'no folder'}: {str(path)!r}; give a folder with {LAYOUTS}")
    if (path / "Annotations").is_dir():
        lists = {part: path / "ImageSets" / "Main" / f"{part}.txt" for part in ("trainval", *PARTS)}
        named = {part: _names(file) for part, file in lists.items() if file.is_file()}
        whole = named.pop("trainval", None)
        if whole is not None:
            named.setdefault("train", whole)
        found = {part: [path / "Annotations" / f"{name}.xml" for name in names] for part, names in named.items()}
        found = found or {"train": sorted((path / "Annotations").glob("*.xml"))}
        beside = next((path / name for name in ("JPEGImages", "images") if (path / name).is_dir()), path)
        places = dict.fromkeys(found, beside)
    else:
        there = [(part, path / name) for part, names in PARTS.items() for name in names if (path / name).is_dir()]
        places = dict(there) or {"train": path}
        if len(there) > len(places):
            raise BadInput(f"{path} has both val/ and valid/: keep one")
        found = {part: sorted(place.glob("*.xml")) for part, place in places.items()}
    if not found.get("train"):
        raise BadInput(f"{path} has no annotations to train on: looked for {LAYOUTS}")
    pictures = {place: _pictures(place) for place in set(places.values())}
    return {
        part: [(file, pictures[place].get(file.stem, place / f"{file.stem}.jpg")) for file in found[part]]
        for part, place in places.items()
    }


def _names(file: Path) -> list[str]:
    """What stands first in every line: a class's own list has 1 or -1 behind it."""
    try:
        return [line.split()[0] for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise BadInput(f"{file} cannot be read as a list of names: {error}") from None


def _pictures(folder: Path) -> dict[str, Path]:
    """The pictures of a folder by their names without suffix."""
    found: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() in PICTURES and found.setdefault(file.stem, file) != file:
            raise BadInput(f"{folder} has {found[file.stem].name} and {file.name}: one annotation cannot be of both")
    return found


def annotation(file: Path) -> Annotation:
    """One file. VOC counts pixels from 1 and includes the last: [xmin, xmax] covers xmin - 1 … xmax.

    Raises:
        BadInput: it is not VOC's XML.
    """
    try:
        top = ElementTree.parse(file).getroot()
        if top.tag != "annotation":
            raise ValueError(f"it is of <{top.tag}>")
        size = [int(float(top.findtext(f"size/{side}") or 0)) for side in ("width", "height")]
        objects = []
        for each in top.iter("object"):
            x1, y1, x2, y2 = (float(_text(each, f"bndbox/{end}")) for end in ("xmin", "ymin", "xmax", "ymax"))
            difficult = (each.findtext("difficult") or "0").strip() not in ("0", "")
            objects.append((_text(each, "name"), (x1 - 1, y1 - 1, x2, y2), difficult))
    except (OSError, ElementTree.ParseError, ValueError, LookupError, OverflowError) as error:
        raise BadInput(f"{file} is not an annotation in Pascal VOC's XML: {error}") from None
    return Annotation(size[0], size[1], objects)


def _text(entry: ElementTree.Element, path: str) -> str:
    text = (entry.findtext(path) or "").strip()
    if not text:
        raise ValueError(f"an object has no {path}")
    return text
