"""One test picture as a record keeps it: the picture itself, made small, true boxes and found ones."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from bench.tasks.contract import Example
from bench.tasks.detection.box_pools import Source
from bench.tasks.detection.boxes import Truth
from bench.tasks.detection.metrics import Detections

LONGEST_SIDE = 640
"""Of a shown picture, in pixels."""
MOST_SHOWN = 50
"""Detections of a shown picture."""


def example(source: Source, found: Detections, truth: Truth) -> Example:
    """A picture with what is marked on it, crowds left out, and the best of what was found, in the picture's pixels.

    Args:
        source: where the picture comes from.
        found: in the original picture's pixels.
        truth: what is marked on it.
    """
    picture = source.pool.read(truth.number)
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.BICUBIC)
    ratio = picture.width / truth.width, picture.height / truth.height
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=90)

    def rows(boxes: np.ndarray, *columns: np.ndarray) -> list[list[float]]:
        places = (boxes * [*ratio, *ratio]).round(1).tolist()
        return [[*place, *rest] for place, *rest in zip(places, *(column.tolist() for column in columns), strict=True)]

    best = np.argsort(-found.scores, kind="stable")[:MOST_SHOWN]
    shown = rows(found.boxes[best], found.labels[best], found.scores[best].astype(float).round(4))
    true = rows(truth.boxes[~truth.crowd], truth.labels[~truth.crowd])
    return Example(truth.title, picture.width, picture.height, source.classes, true, shown, stream.getvalue())
