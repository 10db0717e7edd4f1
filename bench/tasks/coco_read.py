"""Annotations in COCO's format (cocodataset.org, "Data format"), in the folder layouts that tools write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench.errors import BadInput
from bench.tasks.box_pool import PARTS, Mark, Part, Source, in_file, source, stamp_of
from bench.tasks.cache import stamps

LAYOUTS = (
    "annotations/instances_{train,val,test}*.json with the pictures in folders of those names or in images/; "
    "{train,valid,test}/_annotations.coco.json beside the pictures; or one .json beside the pictures or images/"
)


def load(path: Path) -> Source:
    """The pictures and boxes of a folder in one of the layouts.

    Raises:
        BadInput: no such folder, none of the layouts, or as `read`.
    """
    path = path.expanduser().absolute()
    return read(path.name, files(path))


def read(name: str, parts: Mapping[str, Path]) -> Source:
    """The pictures and boxes of the annotation file of each part; kept while these files are the same.

    Raises:
        BadInput: not COCO's JSON, or pictures that are missing.
    """
    return _read(name, tuple(parts.items()), stamps(parts.values()))


def files(path: Path) -> dict[str, Path]:
    """The annotation file of each part that there is; "train" alone where there is only one."""
    if not path.is_dir():
        raise BadInput(f"no folder {str(path)!r}: give one with {LAYOUTS}")
    found: dict[str, Path] = {}
    for part, names in PARTS.items():
        patterns = [f"annotations/instances_{names[0]}*.json", *(f"{name}/_annotations.coco.json" for name in names)]
        those = [file for pattern in patterns for file in sorted(path.glob(pattern))]
        if len(those) > 1:
            raise BadInput(f"{path} has two annotation files for {part}, {those[0].name} and {those[1].name}")
        found |= {part: those[0]} if those else {}
    if not found and len(single := sorted([*path.glob("*.json"), *path.glob("annotations/*.json")])) == 1:
        found = {"train": single[0]}
    if "train" not in found:
        raise BadInput(f"{path} has no annotations to train on: looked for {LAYOUTS}")
    return found


@lru_cache(maxsize=4)
def _read(name: str, parts: tuple[tuple[str, Path], ...], _stamps: tuple[Any, ...]) -> Source:
    parsed = {part: _parsed(file) for part, file in parts}
    numbers: dict[str, int] = {}
    for top in parsed.values():
        used = {mark["category_id"] for mark in top["annotations"]}
        for category in top["categories"]:
            if category["id"] in used:  # others, such as the heading that Roboflow puts first, cannot be learned
                numbers.setdefault(category["name"], len(numbers))
    files = {part: _pictures(parsed[part], file, part) for part, file in parts}
    stamp = stamp_of([file for those in files.values() for file in those])
    made = {part: _part(parsed[part], file.name, files[part], numbers) for part, file in parts}
    return source(name, list(numbers), made, stamp=stamp)


def _pictures(top: dict[str, Any], file: Path, part: str) -> list[Path]:
    """Where the pictures are: beside the file, or beside annotations/ in the part's folder or in images/."""
    home = file.parent.parent if file.parent.name == "annotations" else file.parent
    named = file.stem.removeprefix("instances_")
    tried = (home / "images" / named, home / named, home / "images" / part, home / part, home / "images")
    beside = file.name == "_annotations.coco.json"
    folder = home if beside else next((folder for folder in tried if folder.is_dir()), home)
    return [folder / entry["file_name"] for entry in top["images"]]


def _part(top: dict[str, Any], where: str, files: list[Path], numbers: Mapping[str, int]) -> Part:
    rows = {entry["id"]: row for row, entry in enumerate(top["images"])}
    if len(rows) < len(files):
        raise BadInput(f"{where} has {len(files) - len(rows)} ids of images twice")
    names = {category["id"]: category["name"] for category in top["categories"]}
    part = Part(
        [
            in_file(file, entry["file_name"], entry.get("width"), entry.get("height"))
            for file, entry in zip(files, top["images"], strict=True)
        ]
    )
    for mark in top["annotations"]:
        image, category = mark["image_id"], mark["category_id"]
        for kind, id_, known in (("image", image, rows), ("category", category, names)):
            if id_ not in known:
                raise BadInput(f"{where}: annotation {mark['id']} is of {kind} {id_!r}, which the file does not list")
        try:
            x, y, width, height = map(float, mark["bbox"])
        except (TypeError, ValueError):
            said = f"{where}: annotation {mark['id']} has the bbox {mark['bbox']!r}"
            raise BadInput(f"{said}: it must be [x, y, width, height]") from None
        box, crowd = (x, y, x + width, y + height), bool(mark.get("iscrowd"))
        part.marks.append(Mark(rows[image], box, numbers[names[category]], crowd, mark.get("area") or None))
    return part


def _parsed(file: Path) -> dict[str, Any]:
    """The file's three lists, each entry with the keys that are needed.

    Raises:
        BadInput: it is not COCO's JSON.
    """
    try:
        top = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{file} cannot be read as JSON: {error}") from None
    needed = {
        "images": ("id", "file_name"),
        "categories": ("id", "name"),
        "annotations": ("id", "image_id", "category_id", "bbox"),
    }
    for key, fields in needed.items():
        if not isinstance(top, dict) or not isinstance(top.get(key), list):
            raise BadInput(f"{file.name} has no list {key!r}: this is not COCO's JSON for detection")
        for i, entry in enumerate(top[key]):
            if lacks := [name for name in fields if not isinstance(entry, dict) or name not in entry]:
                raise BadInput(f"{file.name}: entry {i} of {key!r} has no {lacks[0]!r}: this is not COCO's JSON")
    return dict(top)
