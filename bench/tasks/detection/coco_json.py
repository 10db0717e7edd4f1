"""One file in COCO's format (cocodataset.org, "Data format"), with what tools write otherwise mended and counted."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.errors import BadInput, shown
from bench.tasks.class_names import tidy
from bench.tasks.data_notes import Notes
from bench.tasks.detection.orientation import stated

_ID, _NUMBER = (int, str, float), (int, float, type(None))
_ANY = (object,)
KEYS: dict[str, dict[str, tuple[type, ...]]] = {
    "images": {"id": _ID, "file_name": (str,), "width": _NUMBER, "height": _NUMBER},
    "categories": {"id": _ID, "name": (str, int)},
    "annotations": {
        **{"image_id": _ID, "category_id": _ID, "bbox": (list, type(None)), "segmentation": _ANY},
        **{"area": _NUMBER, "iscrowd": (int, float, type(None))},
    },
}
"""What each list's entries must have, and of which type; what may be missing may be None."""


class Box(NamedTuple):
    """An annotation: the ids of its picture and class, x1, y1, x2, y2, and the area of its outline, if known."""

    image: Hashable
    category: Hashable
    box: tuple[float, float, float, float]
    crowd: bool
    area: float | None


class File(NamedTuple):
    """What one file lists: its pictures as they stand there, under their ids; its classes; its boxes."""

    images: dict[Hashable, Mapping[str, Any]]
    categories: dict[Hashable, str]
    boxes: list[Box]


def parsed(file: Path, notes: Notes) -> File:
    """The pictures, classes and boxes that a file lists.

    Ids may be numbers, floats or texts ("7" and 7.0 are 7); annotations need none. A box that is not given is computed
    from its outline.

    Raises:
        BadInput: it is not COCO's JSON.
    """
    top = _lists(file, notes)
    images: dict[Hashable, Mapping[str, Any]] = {plain(entry["id"]): entry for entry in top["images"]}
    if len(images) < len(top["images"]):
        raise BadInput(f"{file.name} has {len(top['images']) - len(images)} ids of images twice")
    categories: dict[Hashable, str] = {}
    for entry in top["categories"]:
        id_, name = plain(entry["id"]), tidy(str(entry["name"]))
        if categories.setdefault(id_, name) != name:
            raise BadInput(f"{file.name} has two categories with the id {shown(id_)}: {shown(name)} and another")
    for name, count in Counter(categories.values()).items():
        if count > 1:
            notes.add("assumed", "categories of one name count as one", f"{shown(name)} in {file.name}")
    boxes = [_box(i, entry, f"{file.name}: annotation {i}", notes) for i, entry in enumerate(top["annotations"])]
    for i, box in enumerate(boxes):
        for kind, id_, known in (("image", box.image, images), ("category", box.category, categories)):
            if id_ not in known:
                raise BadInput(f"{file.name}: annotation {i} is of {kind} {shown(id_)!s}, which the file does not list")
        _check_mask(top["annotations"][i], images[box.image], f"{file.name}: annotation {i}")
    return File(images, categories, boxes)


def _check_mask(entry: Mapping[str, Any], image: Mapping[str, Any], where: str) -> None:
    """Refuses a mask of another size than the picture's, where the box is computed from it.

    Width and height are in the other order there, which tools confuse.
    """
    outline, size = entry.get("segmentation"), stated((image.get("width"), image.get("height")))
    if size is None or not isinstance(outline, Mapping) or any(entry.get("bbox") or ()):
        return
    height, width = (int(side) for side in outline["size"])
    if (width, height) != size:
        raise BadInput(
            f"{where} has a mask of {width}×{height}, its picture is {size[0]}×{size[1]}: mend one of the two"
        )


def plain(id_: Any) -> Hashable:
    """An id by which 7, 7.0 and "7" are the same, and "07" is another."""
    if isinstance(id_, float) and id_.is_integer():
        return int(id_)
    if isinstance(id_, str):
        text = id_.strip()
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 and text == str(int(text)) else text
    return id_  # type: ignore[no-any-return]


def _lists(file: Path, notes: Notes) -> dict[str, list[dict[str, Any]]]:
    """The file's three lists, each entry with the keys that are needed."""
    try:
        top = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{file} cannot be read as JSON: {error}") from None
    for key, fields in KEYS.items():
        if not isinstance(top, dict) or not isinstance(top.get(key), list):
            raise BadInput(f"{file.name} has no list {key!r}: this is not COCO's JSON for detection")
        for i, entry in enumerate(top[key]):
            for name, kinds in fields.items():
                value = entry.get(name) if isinstance(entry, dict) else None
                if isinstance(value, str) and str not in kinds and (number := _number(value)) is not None:
                    notes.add("mended", "numbers that are written as text", f"{name} in {file.name}")
                    entry[name] = value = number
                finite = not isinstance(value, float) or kinds is not _ID or math.isfinite(value)
                if not isinstance(value, kinds) or not finite:
                    lacks = f"no {name!r}" if value is None else f"the {name} {shown(value, 40)!r}"
                    raise BadInput(f"{file.name}: entry {i} of {key!r} has {lacks}: this is not COCO's JSON")
    if not top["images"]:
        raise BadInput(f"{file.name} lists no pictures")
    return dict(top)


def _number(text: str) -> float | None:
    """The number that a text is; None where it is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _box(number: int, entry: Mapping[str, Any], where: str, notes: Notes) -> Box:
    image, category, crowd = plain(entry["image_id"]), plain(entry["category_id"]), _is_crowd(entry.get("iscrowd"))
    try:
        area = float(entry.get("area") or 0)
    except OverflowError:
        area = math.inf
    known = area if 0 < area < math.inf else None
    given, outline = entry.get("bbox"), entry.get("segmentation")
    if _is_turned(entry):
        notes.add("assumed", "boxes with a rotation are taken as they stand, not turned", where)
    if not given or (outline and not any(given)):
        box, own = outlined(outline, where)
        notes.add("mended", "boxes computed from their outlines", where, key="boxes_computed")
        return Box(image, category, box, crowd, own if known is None else known)
    try:
        x, y, width, height = map(float, entry["bbox"])
    except (TypeError, ValueError, OverflowError):
        raise BadInput(f"{where} has the bbox {shown(entry['bbox'])}: it must be [x, y, width, height]") from None
    if math.isinf(area):
        raise BadInput(f"{where} has the area {shown(entry['area'])}: it must be a number of pixels")
    return Box(image, category, (x, y, x + width, y + height), crowd, known)


def _is_crowd(value: float | None) -> bool:
    """NaN is what tables have for nothing."""
    return bool(value) and value == value


def _is_turned(entry: Mapping[str, Any]) -> bool:
    """Whether CVAT says that the box is turned, by an angle in degrees."""
    attributes = entry.get("attributes")
    angle = attributes.get("rotation") if isinstance(attributes, Mapping) else None
    return isinstance(angle, int | float) and angle % 360 != 0


def outlined(segmentation: Any, where: str) -> tuple[tuple[float, float, float, float], float]:
    """The box and the area of an outline: polygons, one polygon, or a mask in COCO's run-length encoding.

    The box of polygons spans their corners. The area of polygons is the sum of theirs, by the shoelace formula.

    Raises:
        BadInput: it is none of them.
    """
    try:
        if isinstance(segmentation, Mapping):
            return _of_mask(segmentation)
        flat = bool(segmentation) and all(isinstance(each, int | float) for each in segmentation)
        polygons = [np.array(each, float).reshape(-1, 2) for each in ([segmentation] if flat else segmentation) if each]
        corners = np.concatenate(polygons)
        if min(map(len, polygons)) < 3 or not np.isfinite(corners).all():
            raise ValueError("a polygon has fewer than three corners")
    except (TypeError, ValueError, KeyError, OverflowError, RecursionError) as error:
        if segmentation:
            raise BadInput(f"{where} has no 'bbox', and its 'segmentation' is no outline: {error}") from None
        raise BadInput(f"{where} has no 'bbox' and no 'segmentation': this is not COCO's JSON for detection") from None
    (x1, y1), (x2, y2) = corners.min(0).tolist(), corners.max(0).tolist()
    return (x1, y1, x2, y2), float(sum(map(_shoelace, polygons)))


def _shoelace(polygon: np.ndarray) -> float:
    x, y = polygon.T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def _of_mask(segmentation: Mapping[str, Any]) -> tuple[tuple[float, float, float, float], float]:
    from pycocotools import mask

    height, width = (int(side) for side in segmentation["size"])
    counts = segmentation["counts"]
    if min(height, width) < 1 or max(height, width) > 10**6:
        raise ValueError("the size of its mask is none")
    runs = _runs(counts) if isinstance(counts, str) else [int(run) if run == int(run) else run for run in counts]
    whole = all(isinstance(run, int) and run >= 0 for run in runs)
    if not whole or sum(runs) != height * width:  # pycocotools would read beyond its memory
        raise ValueError("the runs of its mask do not add up to its size")
    packed = mask.frPyObjects({"size": [height, width], "counts": runs}, height, width)
    x, y, w, h = map(float, mask.toBbox(packed))
    return (x, y, x + w, y + h), float(mask.area(packed))


def _runs(packed: str) -> list[int]:
    """The lengths that a mask's string holds: as pycocotools' rleFrString, which trusts its input.

    Numbers of 5 bits a character, the lowest first, with a sign; from the fourth on, each is less the one two before.
    """
    runs: list[int] = []
    value = shift = 0
    for character in packed:
        code = ord(character) - 48
        if not 0 <= code < 64 or shift > 35:
            raise ValueError("its mask is no run-length encoding")
        value |= (code & 0x1F) << shift
        shift += 5
        if not code & 0x20:
            value -= (code >> 4 & 1) << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("its mask ends within a number")
    return runs
