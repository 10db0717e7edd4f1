"""Boxes drawn on their pictures, and as COCO's JSON of results."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from bench.deploy.prediction import Predicted
from bench.records import write_atomically
from bench.tasks.pictures import opened

COLOURS = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#D55E00", "#0072B2")
"""Okabe and Ito's, distinguished by the colour-blind; each line lies on a wider black one, so that it shows in grey."""


def drawn(each: Predicted, classes: Sequence[str], folder: Path) -> Path:
    """Writes a picture with the boxes found on it, each with its class and score.

    Args:
        each: of one picture.
        classes: names, by index: a colour each.
        folder: where to, under the picture's own name as JPEG.
    """
    content = each.sample.content
    picture = content.convert("RGB") if isinstance(content, Image.Image) else opened(content)
    pen, width = ImageDraw.Draw(picture), max(2, round(max(picture.size) / 250))
    font = ImageFont.load_default(max(10, round(max(picture.size) / 45)))
    for name, score, *corners in reversed(each.boxes):
        colour, label = COLOURS[list(classes).index(name) % len(COLOURS)], f"{name} {score:.2f}"
        pen.rectangle(corners, outline="black", width=width + 2)
        pen.rectangle(corners, outline=colour, width=width)
        left, top, right, bottom = pen.textbbox((corners[0], corners[1]), label, font=font)
        pen.rectangle((left - 1, top - 1, right + 1, bottom + 1), fill="black")
        pen.text((corners[0], corners[1]), label, fill=colour, font=font)
    content_of = io.BytesIO()
    picture.save(content_of, "JPEG", quality=92)
    stem, number = Path(each.sample.title).stem, 2
    path = folder / f"{stem}.jpg"
    while path.exists():
        path, number = folder / f"{stem}-{number}.jpg", number + 1
    return write_atomically(path, content_of.getvalue())


def coco(found: Sequence[Predicted], classes: Sequence[str]) -> dict[str, Any]:
    """Pictures, categories and boxes in COCO's format (cocodataset.org), with a score each; numbers from 1."""
    images, annotations = list[dict[str, Any]](), list[dict[str, Any]]()
    for number, each in enumerate(found, start=1):
        width, height = each.size
        images.append({"id": number, "file_name": each.sample.title, "width": width, "height": height})
        for name, score, x1, y1, x2, y2 in each.boxes:
            box = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "iscrowd": 0, "score": score}
            where = {"id": len(annotations) + 1, "image_id": number, "category_id": list(classes).index(name) + 1}
            annotations.append(where | box)
    categories = [{"id": i, "name": name} for i, name in enumerate(classes, start=1)]
    return {"images": images, "annotations": annotations, "categories": categories}
