"""Pictures with boxes in COCO's format, in the folder layouts that tools write."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench.assets.remembered import digests
from bench.errors import BadInput
from bench.tasks.caches import stamps
from bench.tasks.data_notes import Notes
from bench.tasks.detection.box_pools import Mark, Part, Picture, Source, check_listed, source, stamp_of
from bench.tasks.detection.coco_json import File, parsed
from bench.tasks.detection.orientation import Entry, count_unlisted, framed, reach, restamped
from bench.tasks.detection.picture_paths import Places
from bench.tasks.folder_listing import PARTS, below, entries, part_of, refuse_strangers, title
from bench.tasks.pictures import WHITE

LAYOUTS = (
    "annotations/instances_{train,val,test}*.json or {train,val,test}.json with the pictures in folders of those "
    "names, in images/ or in data/; {train,valid,test}/_annotations.coco.json beside the pictures; or one .json"
)
NAMED = re.compile(r"(instances|annotations|coco)?[_.\- ]*([a-z]+)([_.\- ]*\d*)(.*)", re.IGNORECASE)
"""A file's name: what it is of, its part, a year, and what else stands there."""
BESIDE = "_annotations.coco.json"


def load(path: Path, background: str = WHITE) -> Source:
    """The pictures and boxes of a folder in one of the layouts; kept while its files are the same.

    What was done to them stands in the pool's notes.

    Args:
        path: the folder.
        background: what transparent pictures are laid on.

    Raises:
        BadInput: no such folder, none of the layouts, not COCO's JSON, pictures that are missing or cannot be read, or
            names that lead out of the folder.
    """
    path = path.expanduser().absolute()
    if not path.is_dir():
        raise BadInput(f"{'a file' if path.is_file() else 'no folder'}: {str(path)!r}; give a folder with {LAYOUTS}")
    return _load(path, background, stamps(below(path)))


def read(name: str, parts: Mapping[str, Path]) -> Source:
    """The pictures and boxes of a declared set, given the annotation file of each part.

    Raises:
        BadInput: not COCO's JSON, or pictures that are missing.
    """
    return _read(name, tuple(parts.items()), stamps(parts.values()))


@lru_cache(maxsize=4)
def _load(path: Path, background: str, _stamps: tuple[Any, ...]) -> Source:
    notes = Notes()
    return _made(path.name, path, files(path, notes), notes, background=background, own=True)


@lru_cache(maxsize=4)
def _read(name: str, parts: tuple[tuple[str, Path], ...], _stamps: tuple[Any, ...]) -> Source:
    return _made(name, parts[0][1].parent.parent, dict(parts), Notes(), background=WHITE, own=False)


def _made(name: str, path: Path, those: Mapping[str, Path], notes: Notes, *, background: str, own: bool) -> Source:
    """The set of those annotation files; an `own` folder's without what is there twice, and saying what lies about."""
    found = {part: parsed(file, notes) for part, file in those.items()}
    places = {part: Places.of(path, file, part, notes) for part, file in those.items()}
    where = {part: places[part].find([str(e["file_name"]) for e in found[part].images.values()]) for part in those}
    every = [file for one in where.values() for file in one]
    check_listed(every)
    pictures = framed(name, [each for part in those for each in _entries(found[part], where[part])], notes)
    if own:
        count_unlisted(path, every, notes)
    shown = iter([Picture(each.title, each.width, each.height, each.read(background)) for each in pictures])
    made = {part: _part(found[part], [next(shown) for _ in where[part]], _numbers(found)) for part in those}
    return source(
        name, list(_numbers(found)), made, stamp=restamped(stamp_of(every), pictures, background),
        notes=notes, keys=digests(every) if own else None,
    )  # fmt: skip


def files(path: Path, notes: Notes) -> dict[str, Path]:
    """The annotation file of each part that there is; "train" alone where there is only one.

    Raises:
        BadInput: none to train on, two for one part, or a folder with annotations that is of no part.
    """
    top = entries(path, notes)
    inside = [folder for folder in top.folders if folder.name.casefold() == "annotations"]
    loose = [*top.files, *(file for folder in inside for file in entries(folder, notes).files)]
    loose = [file for file in loose if file.suffix.lower() == ".json"]
    found: list[tuple[str, Path]] = [(part, file) for file in loose if (part := named(file))]
    strangers = []
    for folder in (folder for folder in top.folders if folder not in inside):
        here = [file for file in entries(folder).files if file.suffix.lower() == ".json"]
        chosen = [file for file in here if file.name.casefold() == BESIDE] or here
        if part := part_of(folder.name):
            found += [(part, file) for file in chosen]
        elif any(file.name.casefold() == BESIDE for file in chosen):
            strangers.append(folder)
    made: dict[str, Path] = {}
    for part in PARTS:
        those = sorted({file for one, file in found if one == part})
        if len(those) > 1:
            raise BadInput(f"{path} has two annotation files for {part}, {those[0].name} and {those[1].name}")
        made |= {part: those[0]} if those else {}
    if not made and len(loose) == 1:
        made = {"train": loose[0]}
    if "train" not in made:
        others = f" (there are {', '.join(file.name for file in loose[:4])})" if loose else ""
        raise BadInput(f"{path} has no annotations to train on{others}: looked for {LAYOUTS}")
    refuse_strangers(strangers, path, title(made["train"]))
    for file in loose:
        if file not in made.values():
            notes.add("ignored", "JSON files that are of no part by their names", title(file))
    return made


def named(file: Path) -> str | None:
    """The part that a file is of: "instances_Train2017", "val", "test_annotations" and their like."""
    match = NAMED.fullmatch(file.stem)
    if match is None:
        return None
    kind, part, _, rest = match.groups()
    if kind is None and rest.strip("_.- ").casefold() not in ("", "annotations", "coco", "instances"):
        return None
    return part_of(part)


def _numbers(found: Mapping[str, File]) -> dict[str, int]:
    """The index of every class that a box is of; others, such as the heading that Roboflow puts first, have none."""
    numbers: dict[str, int] = {}
    for one in found.values():
        used = {box.category for box in one.boxes}
        for id_, name in one.categories.items():
            if id_ in used:
                numbers.setdefault(name, len(numbers))
    return numbers


def _entries(found: File, where: Sequence[Path]) -> list[Entry]:
    boxes: dict[Any, list[tuple[float, float, float, float]]] = {}
    for box in found.boxes:
        boxes.setdefault(box.image, []).append(box.box)
    return [
        Entry(file, entry["file_name"], (entry.get("width"), entry.get("height")), reach(boxes.get(id_, [])))
        for file, (id_, entry) in zip(where, found.images.items(), strict=True)
    ]


def _part(found: File, pictures: list[Picture], numbers: Mapping[str, int]) -> Part:
    rows = {id_: row for row, id_ in enumerate(found.images)}
    marks = [
        Mark(rows[box.image], box.box, numbers[found.categories[box.category]], box.crowd, box.area)
        for box in found.boxes
    ]
    return Part(pictures, marks)
