"""Detection as the runner sees it: data, head, loss, what is kept, metrics and examples."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from bench.models.backbone import Maps
from bench.tasks.contract import Shows
from bench.tasks.detection.boxes import Boxes
from bench.tasks.detection.metrics import Detections
from bench.tasks.detection.own_folders import CocoFolder
from bench.tasks.detection.task import Detection, Kept
from tests.support.box_data import BOXES, INPUTS, coco_folder

pytestmark = pytest.mark.usefixtures("one_thread", "own_cache")
MAPS = Maps(channels=(16,), strides=(16,))


@pytest.fixture
def task(tmp_path):
    return CocoFolder(str(coco_folder(tmp_path / "set")))


class Says:
    """Answers of a detector that finds just what is there, in pixels of the network's input."""

    def __init__(self, targets, by=0.0):
        self.targets, self.by = targets, by

    def detections(self):
        return [
            {"boxes": boxes + self.by, "labels": labels, "scores": torch.linspace(0.9, 0.5, len(boxes))}
            for boxes, labels in zip(self.targets.boxes, self.targets.labels, strict=True)
        ]

    def losses(self, targets):
        return torch.tensor(float(len(targets)))


def evaluated(task, split, by=0.0):
    """What the loop keeps of two batches of unequal size."""
    targets = [split.targets(torch.tensor(rows)) for rows in ([0, 1], [2])]
    return [task.keep(Says(each, by), each) for each in targets], targets


def test_data_and_their_provenance(task):
    data = task.data(INPUTS, seed=0)
    assert (len(data.train), len(data.val), len(data.test)) == (3, 3, 3)
    assert data.train.views == 2**31 - 1 and data.val.views == data.test.views == 1
    assert data.provenance == {
        "data_sha256": task.fingerprint(),
        "degenerate_boxes_dropped": 0, "boxes_outside_dropped": 0, "boxes_clipped": 0,
        "train_samples": 3, "train_boxes": 4, "val_samples": 3, "val_boxes": 4, "test_samples": 3, "test_boxes": 4,
    }  # fmt: skip
    plain = CocoFolder(task.path, augment=False).data(INPUTS, seed=0)
    assert plain.train.views == 1
    train, val = plain.train.inputs(torch.arange(3), torch.zeros(3).long()), data.val.inputs(torch.arange(3))
    assert torch.equal(train[..., :40, :56], val[..., :40, :56]), "all but the corner that tells the parts"


def test_finding_what_is_there_is_perfect_in_the_pictures_own_pixels(task):
    split = task.data(INPUTS, seed=0).test
    kept, targets = evaluated(task, split)
    for made, boxes in zip([each for one in kept for each in one.found], BOXES.values(), strict=True):
        assert np.allclose(made.boxes, boxes, atol=1e-4), "64 pixels a side again 80"
    scores = task.metrics(kept, targets)
    assert scores["box_ap"] == scores["ap50"] == pytest.approx(1.0) and "ap_large" not in scores
    assert scores["loss"] == pytest.approx((2 * 2 + 1 * 1) / 3), "a mean over pictures"
    shifted = task.metrics(*evaluated(task, split, by=2.0))
    assert shifted["box_ap"] < 0.9
    outcomes = task.outcomes(*evaluated(task, split, by=2.0), split.ids)
    assert outcomes.score("box_ap") == pytest.approx(shifted["box_ap"], abs=1e-12)
    assert outcomes.ids.tolist() == sorted(truth.number for boxes in targets for truth in boxes.truths)
    assert task.metrics(*evaluated(task, split, by=500.0))["box_ap"] == 0.0


def test_what_lies_in_the_padding_is_not_kept(task):
    targets = task.data(INPUTS, seed=0).test.targets(torch.arange(1))
    below = Boxes((torch.tensor([[5.0, 50.0, 20.0, 60.0], [5.0, 40.0, 20.0, 60.0]]),), (torch.tensor([0, 1]),), ())
    (found,) = task.keep(Says(below), targets).found
    assert found.labels.tolist() == [1] and found.boxes.tolist() == [[6.25, 50, 25, 60]]


def test_examples_show_what_was_found(task):
    assert isinstance(task, Shows)
    kept, targets = evaluated(task, task.data(INPUTS, seed=0).test)
    shown = task.examples(kept, targets)
    assert [each.title for each in shown] == ["a.png", "b.png", "c.png"]
    second = shown[1]
    assert (second.width, second.height, second.classes) == (80, 60, ("cat", "dog"))
    assert second.true == [[60, 10, 76, 50, 1], [8, 20, 20, 30, 0]]
    assert second.found == [[60, 10, 76, 50, 1, 0.9], [8, 20, 20, 30, 0, 0.5]]
    picture = Image.open(io.BytesIO(second.picture))
    assert (picture.format, picture.size) == ("JPEG", (80, 60))
    assert task.examples(kept, targets)[1].picture == second.picture


def test_examples_of_a_large_picture_and_of_many_detections(tmp_path):
    task = CocoFolder(str(coco_folder(tmp_path / "set")))
    source, truth = task.source(), task.source().truths[0]
    big = Image.new("RGB", (80, 60)).resize((1280, 960))
    object.__setattr__(source.pool, "read", lambda i: big.copy())
    many = Detections(np.tile([[0.0, 0, 8, 6]], (80, 1)), np.zeros(80, int), np.linspace(0.1, 0.9, 80))
    (only,) = task.examples([Kept(0.0, [many])], [Boxes((), (), (truth,))])
    assert (only.width, only.height) == (640, 480) and len(only.found) == 50
    assert only.found[0] == [0, 0, 64, 48, 0, 0.9] and only.found[0][5] > only.found[1][5]
    assert only.true[0] == [80, 32, 320, 192, 0]


@pytest.mark.parametrize("detector", ["fcos", "retinanet", "fasterrcnn"])
def test_a_real_head_trains_on_augmented_pictures(detector):
    """Batches of the composited set through every detector: a finite loss, a gradient, and detections in metrics."""
    task = Detection("composited-digits", train=6, val=4, test=4, detector=detector, head_width=32, head_depth=1)
    data = task.data(INPUTS, seed=0)
    torch.manual_seed(0)
    body, head = torch.nn.Conv2d(3, 16, 16, 16), task.head(MAPS)
    index = torch.arange(4)
    x, targets = data.train.inputs(index, index * 7), data.train.targets(index, index * 7)
    loss = task.loss(head((body(x),)), targets, smoothing=0.1)
    loss.backward()
    assert loss.isfinite() and body.weight.grad.abs().sum() > 0
    head.eval()
    with torch.no_grad():
        kept = task.keep(head((body(data.test.inputs(index)),)), boxes := data.test.targets(index))
    scores = task.metrics([kept], [boxes])
    assert 0 <= scores["box_ap"] <= 1 and np.isfinite(scores["loss"])
    assert len(task.examples([kept], [boxes])) == 3
