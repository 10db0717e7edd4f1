"""Average precision of boxes: pycocotools' own figures on stored cases, and some worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from bench.tasks.detection.boxes import Truth
from bench.tasks.detection.metrics import STATISTICS, Detections, box_ap

SIDE = 300


def truth(boxes, labels=None, *, crowd=None, area=None) -> Truth:
    boxes = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    labels = np.zeros(len(boxes), int) if labels is None else np.array(labels)
    crowd = np.zeros(len(boxes), bool) if crowd is None else np.array(crowd)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) if area is None else np.array(area)
    return Truth(boxes, labels, crowd, area, SIDE, SIDE)


def found(boxes, scores, labels=None) -> Detections:
    boxes = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    return Detections(boxes, np.zeros(len(boxes), int) if labels is None else np.array(labels), np.array(scores))


def drawn(seed: int, *, classes: int, crowd: float = 0.0) -> tuple[list[Detections], list[Truth]]:
    """Pictures with boxes of all sizes, some empty; detections near them, some doubled, missed, mislabelled or made up.

    `area` is not that of the box, as where COCO has an outline.
    """
    draw = np.random.default_rng(seed)
    detections, truths = [], []
    for n in draw.integers(0, 6, size=12):
        corner = draw.uniform(0, 90, (n, 2))
        size = np.exp(draw.uniform(np.log(8), np.log(190), (n, 1)) + draw.uniform(-0.2, 0.2, (n, 2)))
        boxes, labels = np.hstack([corner, corner + size]), draw.integers(0, classes, n)
        truths.append(truth(boxes, labels, crowd=draw.random(n) < crowd, area=0.8 * size.prod(1)))
        near = np.repeat(np.arange(n), draw.integers(0, 3, n))
        moved = boxes[near] + 0.08 * draw.normal(size=(len(near), 4)) * np.tile(size[near], 2)
        wrong = draw.random(len(near)) < 0.2
        made_up = draw.uniform(0, 90, (3, 2))
        boxes = np.vstack([moved, np.hstack([made_up, made_up + 30])])
        labels = np.concatenate([np.where(wrong, draw.integers(0, classes, len(near)), labels[near]), [0, 0, 0]])
        detections.append(Detections(boxes, labels, draw.random(len(boxes)).round(2)))
    return detections, truths


def by_pycocotools(folder, detections, truths, classes) -> dict[str, float]:
    """The same through files in COCO's format, category ids with gaps, and pycocotools' own reader."""
    pictures = [{"id": 10 + i, "width": SIDE, "height": SIDE} for i in range(len(truths))]
    categories = [{"id": 3 + 2 * label, "name": str(label)} for label in range(classes)]
    true, made = [], []
    for picture, one, that in zip(pictures, detections, truths, strict=True):
        for box, label, crowd, area in zip(that.boxes, that.labels, that.crowd, that.area, strict=True):
            row = {"image_id": picture["id"], "category_id": 3 + 2 * int(label), "area": area, "iscrowd": int(crowd)}
            true.append(row | {"id": 100 + len(true), "bbox": [*box[:2], *(box[2:] - box[:2])]})
        for box, label, score in zip(*one, strict=True):
            row = {"image_id": picture["id"], "category_id": 3 + 2 * int(label), "score": score}
            made.append(row | {"bbox": [*box[:2], *(box[2:] - box[:2])]})
    (folder / "true.json").write_text(json.dumps({"images": pictures, "annotations": true, "categories": categories}))
    (folder / "found.json").write_text(json.dumps(made))
    coco = COCO(str(folder / "true.json"))
    evaluation = COCOeval(coco, coco.loadRes(str(folder / "found.json")), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return {name: evaluation.stats[place] for name, place in STATISTICS.items() if evaluation.stats[place] != -1}


@pytest.mark.parametrize("crowd", [0.0, 0.3])
@pytest.mark.parametrize("classes", [1, 4])
def test_equals_pycocotools(tmp_path, capsys, classes, crowd):
    for seed in range(3):
        detections, truths = drawn(seed, classes=classes, crowd=crowd)
        ours = box_ap(detections, truths, classes)
        assert not capsys.readouterr().out, "it says nothing"
        theirs = by_pycocotools(tmp_path, detections, truths, classes)
        capsys.readouterr()
        assert ours == theirs and 0 < ours["box_ap"] < ours["ap50"] < 1
        assert set(ours) == set(STATISTICS)


def test_by_hand():
    """Two boxes; right, wrong, right: precision is 1 up to recall ½ (51 of 101 levels), then ⅔."""
    truths = [truth([[0, 0, 50, 50], [100, 100, 150, 150]])]
    rows = found([[0, 0, 50, 50], [50, 50, 90, 90], [100, 100, 150, 150]], [0.9, 0.8, 0.7])
    expected = (51 + 50 * 2 / 3) / 101
    scores = box_ap([rows], truths, 1)
    assert scores == pytest.approx(
        {"box_ap": expected, "ap50": expected, "ap75": expected, "ap_medium": expected, "ar100": 1}, abs=1e-9
    )
    assert "ap_small" not in scores and "ap_large" not in scores, "there are none: not defined"


def test_perfect_shifted_and_none_at_all():
    boxes = [[10, 10, 60, 60], [20, 90, 100, 180]]
    truths = [truth(boxes, [0, 2]), truth([])]
    perfect = box_ap([found(boxes, [0.5, 0.9], [0, 2]), found([], [])], truths, 3)
    assert perfect == pytest.approx(dict.fromkeys(perfect, 1.0), abs=1e-12)
    shifted = box_ap([found(np.array(boxes) + 8, [0.5, 0.9], [0, 2]), found([], [])], truths, 3)
    assert 0 < shifted["box_ap"] < 1 and shifted["ap50"] == pytest.approx(1)
    swapped = box_ap([found(boxes, [0.5, 0.9], [2, 0]), found([], [])], truths, 3)
    assert swapped["box_ap"] == 0, "the class counts"
    nothing = box_ap([found([], [])] * 2, truths, 3)
    assert nothing == dict.fromkeys(perfect, 0.0), "found nothing where there is something: 0, not undefined"


def test_the_picture_counts():
    boxes = [[10, 10, 60, 60]]
    assert box_ap([found([], []), found(boxes, [0.9])], [truth(boxes), truth([])], 1)["box_ap"] == 0


@pytest.mark.parametrize(
    "truths",
    [[], [truth([]), truth([])], [truth([[0, 0, 9, 9]], crowd=[True])]],
    ids=["no pictures", "empty pictures", "a crowd alone"],
)
def test_not_defined_without_boxes(truths):
    assert box_ap([found([[0, 0, 9, 9]], [0.9])] * len(truths), truths, 2) == {}


def test_a_detection_on_a_crowd_counts_neither_way():
    truths = [truth([[0, 0, 50, 50], [100, 100, 190, 190]], crowd=[False, True])]
    rows = found([[120, 120, 180, 180], [0, 0, 50, 50]], [0.9, 0.8])
    assert box_ap([rows], truths, 1)["box_ap"] == pytest.approx(1)


def test_as_many_detections_as_truths():
    with pytest.raises(ValueError, match="shorter"):
        box_ap([], [truth([])], 1)
