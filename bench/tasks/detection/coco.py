"""Annotations in COCO's format (cocodataset.org, "Data format"), in the folder layouts that tools write."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench.errors import BadInput
from bench.tasks.caches import stamps
from bench.tasks.detection.box_pools import PARTS, Mark, Part, Source, in_file, source, stamp_of

LAYOUTS = (
    "annotations/instances_{train,val,test}*.json or {train,val,test}.json with the pictures in folders of those "
    "names, in images/ or in data/; {train,valid,test}/_annotations.coco.json beside the pictures; or one .json"
)
_ID, _NUMBER = (int, str), (int, float, type(None))
KEYS: dict[str, dict[str, tuple[type, ...]]] = {
    "images": {"id": _ID, "file_name": (str,), "width": _NUMBER, "height": _NUMBER},
    "categories": {"id": _ID, "name": (str,)},
    "annotations": {
        **{"id": _ID, "image_id": _ID, "category_id": _ID},
        **{"bbox": (list,), "area": _NUMBER, "iscrowd": (int, type(None))},
    },
}
"""What each list's entries must have, and of which type; what may be missing may be None."""


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
        raise BadInput(f"{'a file' if path.is_file() else 'no folder'}: {str(path)!r}; give a folder with {LAYOUTS}")
    found: dict[str, Path] = {}
    for part, names in PARTS.items():
        forms = ("{}/_annotations.coco.json", "{}.json", "annotations/{}.json")
        patterns = [f"annotations/instances_{names[0]}*.json", *(form.format(name) for name in names for form in forms)]
        those = [file for pattern in patterns for file in sorted(path.glob(pattern)) if file.is_file()]
        if len(those) > 1:
            raise BadInput(f"{path} has two annotation files for {part}, {those[0].name} and {those[1].name}")
        found |= {part: those[0]} if those else {}
    single = [file for pattern in ("*.json", "annotations/*.json") for file in sorted(path.glob(pattern))]
    if not found and len(single) == 1 and single[0].is_file():
        found = {"train": single[0]}
    if "train" not in found:
        others = f" (there are {', '.join(file.name for file in single[:4])})" if single else ""
        raise BadInput(f"{path} has no annotations to train on{others}: looked for {LAYOUTS}")
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
    """Where the pictures are: in the first of the usual folders that has the first one."""
    home = file.parent.parent if file.parent.name == "annotations" else file.parent
    named = file.stem.removeprefix("instances_")
    usual = (f"images/{named}", named, f"images/{part}", part, "images", "data", ".")
    tried = [home] if file.name == "_annotations.coco.json" else [home / where for where in usual]
    names = [entry["file_name"].replace("\\", "/") for entry in top["images"]]
    those = [folder for folder in tried if folder.is_dir()]
    return [next((one for one in those if (one / names[0]).is_file()), those[0]) / name for name in names]


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
            area = float(mark.get("area") or 0)
        except (TypeError, ValueError, OverflowError):
            said = f"{where}: annotation {mark['id']} has the bbox {mark['bbox']!r}"
            raise BadInput(f"{said}: it must be [x, y, width, height]") from None
        box, crowd = (x, y, x + width, y + height), bool(mark.get("iscrowd"))
        known_area = area if 0 < area < math.inf else None
        part.marks.append(Mark(rows[image], box, numbers[names[category]], crowd, known_area))
    return part


def _parsed(file: Path) -> dict[str, Any]:
    """The file's three lists, each entry with the keys that are needed.

    Raises:
        BadInput: it is not COCO's JSON.
    """
    try:
        top = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{file} cannot be read as JSON: {error}") from None
    for key, fields in KEYS.items():
        if not isinstance(top, dict) or not isinstance(top.get(key), list):
            raise BadInput(f"{file.name} has no list {key!r}: this is not COCO's JSON for detection")
        for i, entry in enumerate(top[key]):
            for name, kinds in fields.items():
                value = entry.get(name) if isinstance(entry, dict) else None
                if not isinstance(value, kinds):
                    lacks = f"no {name!r}" if value is None else f"the {name} {str(value)[:40]!r}"
                    raise BadInput(f"{file.name}: entry {i} of {key!r} has {lacks}: this is not COCO's JSON")
    if not top["images"]:
        raise BadInput(f"{file.name} lists no pictures")
    return dict(top)
