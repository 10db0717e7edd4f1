"""COCO's average precision of boxes, as pycocotools computes it."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bench.records.outcomes import Outcomes, collected
from bench.stats.average_precision import THRESHOLDS
from bench.tasks.detection.boxes import Truth


class Detections(NamedTuple):
    """What was found on one picture, in the picture's own pixels.

    Args:
        boxes: (m, 4): x1, y1, x2, y2.
        labels: (m,): class indices 0..K-1.
        scores: (m,).
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


def on_picture(found: Mapping[str, np.ndarray], truth: Truth) -> Detections:
    """What was found, in the picture's own pixels and within it; what lies in the padding is none of it.

    Args:
        found: "boxes", "labels" and "scores", in the network's input.
        truth: of the picture.
    """
    boxes = np.clip(found["boxes"] / (truth.scale * 2), 0, [truth.width, truth.height] * 2)
    there = (boxes[:, 2:] > boxes[:, :2]).all(1)
    return Detections(boxes[there], found["labels"][there].astype(np.int64), found["scores"][there])


STATISTICS = {"box_ap": 0, "ap50": 1, "ap75": 2, "ap_small": 3, "ap_medium": 4, "ap_large": 5, "ar100": 8}
"""Our names, and where COCOeval puts the figure."""


def box_ap(detections: Sequence[Detections], truths: Sequence[Truth], classes: int) -> dict[str, float]:
    """Average precision of boxes over IoU .50:.95, at .50 and .75, and by size; average recall of 100 a picture.

    COCO's definition (arXiv:1405.0312; cocodataset.org, "detection evaluation"): precision averaged over 101 levels of
    recall, then over classes. What lies on a crowd counts neither way.

    Args:
        detections: of each picture; (boxes, labels, scores) will do.
        truths: of each picture, in the same order.
        classes: K.

    Returns:
        "box_ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large" and "ar100" in 0..1; what has no box to be found
        is not defined and left out.
    """
    evaluation = _evaluated(detections, truths, classes)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.accumulate()
        evaluation.summarize()
    values = {name: float(evaluation.stats[place]) for name, place in STATISTICS.items()}
    return {name: value for name, value in values.items() if value != -1}


def box_outcomes(detections: Sequence[Detections], truths: Sequence[Truth], classes: int, ids: np.ndarray) -> Outcomes:
    """What COCO's evaluation matched, of pictures `ids`, over boxes of all sizes: see `bench.records.outcomes`."""
    evaluation, n = _evaluated(detections, truths, classes), len(truths)
    objects, rows = np.zeros((n, classes), np.int64), []
    for at, one in enumerate(evaluation.evalImgs):  # by class, then by range of areas (the first is all), then picture
        label, beyond = divmod(at, n * len(evaluation.params.areaRng))
        if beyond < n and one is not None:
            objects[beyond, label] = int((np.asarray(one["gtIgnore"]) == 0).sum())
            flags = zip(one["dtScores"], one["dtMatches"].T > 0, one["dtIgnore"].T.astype(bool), strict=True)
            rows += [(beyond, label, *each) for each in flags]
    order = np.argsort([-row[2] for row in rows], kind="stable")  # as COCOeval sorts, where scores are equal too
    names, none = ("picture", "label", "score", "matched", "ignored"), np.zeros((0, len(THRESHOLDS)), bool)
    found = {name: np.array([rows[i][at] for i in order]) for at, name in enumerate(names)}
    if not rows:
        found = {**{name: np.zeros(0, np.int64) for name in names[:3]}, "matched": none, "ignored": none}
    return collected("boxes", ids, {"objects": objects, **found})


def _evaluated(detections: Sequence[Detections], truths: Sequence[Truth], classes: int) -> Any:  # of pycocotools
    pictures = range(1, len(truths) + 1)
    true = [
        {**_row(picture, box, label), "area": float(area), "iscrowd": int(crowd)}
        for picture, truth in zip(pictures, truths, strict=True)
        for box, label, area, crowd in zip(truth.boxes, truth.labels, truth.area, truth.crowd, strict=True)
    ]
    found = [
        {**_row(picture, box, label), "score": float(score), "iscrowd": 0}
        for picture, one in zip(pictures, detections, strict=True)
        for box, label, score in zip(*one, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        from pycocotools.cocoeval import COCOeval

        evaluation = COCOeval(_coco(pictures, classes, true), _coco(pictures, classes, found), "bbox")
        evaluation.evaluate()
    return evaluation


def _row(picture: int, box: Sequence[Any], label: int) -> dict[str, Any]:
    x1, y1, x2, y2 = map(float, box)
    bbox, area = [x1, y1, x2 - x1, y2 - y1], (x2 - x1) * (y2 - y1)
    return {"image_id": picture, "category_id": int(label) + 1, "bbox": bbox, "area": area}


def _coco(pictures: Iterable[int], classes: int, rows: list[dict[str, Any]]) -> Any:
    # Numbered from 1: COCOeval takes the number 0 for "matched to nothing".
    numbered = [{**row, "id": number} for number, row in enumerate(rows, start=1)]
    from pycocotools.coco import COCO  # where nothing is measured, it need not be there

    coco = COCO()
    coco.dataset = {
        "images": [{"id": picture} for picture in pictures],
        "categories": [{"id": label} for label in range(1, classes + 1)],
        "annotations": numbered,
    }
    coco.createIndex()
    return coco
