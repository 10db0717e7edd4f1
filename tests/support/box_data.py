"""Pictures with bright rectangles on black, and their annotations in COCO's JSON and VOC's XML, for tests."""

from __future__ import annotations

import json
import zlib

import numpy as np
from PIL import Image

from bench.models.timm_models import ImageInputs

INPUTS = ImageInputs(64, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
BOXES = {"a": [(10, 4, 40, 24)], "b": [(60, 10, 76, 50), (8, 20, 20, 30)], "c": [(30, 16, 60, 40)]}
"""x1, y1, x2, y2 on pictures of 80×60."""


def draw(path, boxes, size=(80, 60)):
    """Writes a picture with those boxes white, and a corner that tells its folder: no two parts have the same one."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    for x1, y1, x2, y2 in boxes:
        pixels[y1:y2, x1:x2] = 255
    pixels[-1, -1] = zlib.crc32(path.parent.name.encode()) % 100
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def coco(boxes=BOXES, *, suffix=".png"):
    """COCO's JSON of those pictures: ids with gaps, two categories in turn."""
    top = {"images": [], "annotations": [], "categories": [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}]}
    for i, (name, those) in enumerate(boxes.items()):
        top["images"].append({"id": 10 + 5 * i, "file_name": f"{name}{suffix}", "width": 80, "height": 60})
        for x1, y1, x2, y2 in those:
            number = len(top["annotations"])
            entry = {"id": number, "image_id": 10 + 5 * i, "category_id": (7, 3)[number % 2]}
            top["annotations"].append(entry | {"bbox": [x1, y1, x2 - x1, y2 - y1]})
    return top


def write_json(path, top):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(top))


def write_voc(path, boxes, *, names=None, difficult=(), size=True):
    """VOC's XML of one picture: pixels from 1, the last included."""
    objects = "".join(
        f"<object><name>{names[i] if names else 'cat'}</name><difficult>{int(i in difficult)}</difficult><bndbox>"
        f"<xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        for i, (x1, y1, x2, y2) in enumerate(boxes)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "<size><width>80</width><height>60</height></size>" if size else ""
    path.write_text(f"<annotation>{text}{objects}</annotation>")


def coco_folder(path, boxes=BOXES, *, parts=("train", "val", "test")):
    """The same pictures in every part, as cocodataset.org lays them out."""
    for part in parts:
        write_json(path / "annotations" / f"instances_{part}2017.json", coco(boxes))
        for name, those in boxes.items():
            draw(path / f"{part}2017" / f"{name}.png", those)
    return path
