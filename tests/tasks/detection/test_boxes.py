"""Boxes stay on what they mark: resized, padded, mirrored, cut; and depend on view and sample alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.errors import BadInput
from bench.models.timm_models import ImageInputs
from bench.tasks.detection import pixels as box_pixels
from bench.tasks.detection.augment import Placement
from bench.tasks.detection.boxes import Boxes, BoxSplit, Truth
from bench.tasks.detection.own_folders import CocoFolder
from bench.tasks.detection.pixels import pixels
from tests.support.box_data import BOXES, coco_folder

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = 64


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LORA_BENCH_CACHE", str(tmp_path / "cache"))


def rectangles(frames, size=SIZE, **options):
    """A split of pictures with one white box each: (width, height, box)."""
    n = len(frames)
    drawn, truths = np.zeros((n, 3, size, size), np.uint8), []
    for i, (width, height, box) in enumerate(frames):
        scale = size / max(width, height)
        x1, y1, x2, y2 = (round(v * scale) for v in box)
        drawn[i, :, y1:y2, x1:x2] = 255
        where = np.array([box], float)
        truths.append(Truth(where, np.array([i]), np.zeros(1, bool), np.ones(1), width, height, number=i))
    inputs = {"size": size, "mean": (0.0,) * 3, "std": (1.0,) * 3}
    return BoxSplit(lambda rows: drawn[rows], truths, **inputs, **options)


def lit(picture):
    """The box around what is bright."""
    ys, xs = np.nonzero(picture.numpy()[0] > 0.5)
    return [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]


FRAMES = [
    (64, 64, (16, 8, 40, 32)),
    (128, 64, (32, 16, 96, 48)),
    (64, 128, (8, 80, 56, 120)),
    (32, 16, (4, 4, 12, 12)),
    (64, 64, (0, 0, 10, 12)),
]


def test_each_axis_has_its_own_scale_where_pixels_were_rounded():
    truth = Truth(np.array([[0.0, 0.0, 256.0, 191.0]]), *(np.zeros(1, t) for t in (int, bool, float)), 256, 191)
    inside = truth.inside(126)
    assert inside.scale == (126 / 256, 94 / 191)
    assert (truth.boxes * (inside.scale * 2)).tolist() == [[0, 0, 126, 94]]


def test_boxes_are_scaled_with_their_pictures():
    split = rectangles(FRAMES)
    index = torch.arange(len(FRAMES))
    x, targets = split.inputs(index), split.targets(index)
    assert x.shape == (5, 3, SIZE, SIZE) and split.views == 1
    for picture, boxes, truth in zip(x, targets.boxes, targets.truths, strict=True):
        assert boxes[0].tolist() == lit(picture)
        assert np.allclose(boxes.numpy() / (truth.scale * 2), truth.boxes)


@pytest.mark.parametrize("mirrored", [(False, False), (True, False), (True, True)])
def test_boxes_follow_every_view(mirrored):
    """The box around what is bright on the augmented picture is the box that the loss is given."""
    split = rectangles(FRAMES, augment=True, mirrored=mirrored)
    seen, dropped, cut = 0, 0, 0
    torch.manual_seed(0)
    for _ in range(30):
        index, view = torch.arange(len(FRAMES)), torch.randint(split.views, (len(FRAMES),))
        x, targets = split.inputs(index, view), split.targets(index, view)
        for picture, boxes, labels, i in zip(x, targets.boxes, targets.labels, index, strict=True):
            assert boxes.dtype == torch.float32 and labels.dtype == torch.int64
            dropped += not len(boxes)
            if len(boxes):
                assert np.allclose(boxes[0], lit(picture), atol=1.01)
                assert labels.tolist() == [i]
                cut += int((boxes == 0).any() or (boxes == SIZE).any())
                seen += 1
    assert seen > 100 and dropped and cut


def test_mirroring_turns_the_picture_over():
    split = rectangles([(64, 64, (0, 0, 20, 20))] * 100, augment=True, mirrored=(True, True))
    index = torch.arange(100)
    targets = split.targets(index, index)
    centres = torch.cat([(boxes[:, :2] + boxes[:, 2:]) / 2 for boxes in targets.boxes]) > SIZE / 2
    assert 0.3 < centres[:, 0].float().mean() < 0.7 and 0.3 < centres[:, 1].float().mean() < 0.7
    plain = rectangles([(64, 64, (0, 0, 20, 20))] * 100, augment=True).targets(index, index)
    assert all((boxes[:, :2] < SIZE / 2).all() for boxes in plain.boxes)


def test_a_view_depends_on_its_number_and_the_sample_alone():
    split = rectangles(FRAMES, augment=True, mirrored=(True, True))
    index, view = torch.tensor([2, 0, 1]), torch.tensor([5, 2**31 - 2, 5])
    state = torch.random.get_rng_state()
    x = split.inputs(index, view)
    assert torch.equal(torch.random.get_rng_state(), state)
    alone = split.inputs(index[1:], view[1:])
    assert torch.equal(x[1:], alone)
    assert torch.equal(x, split.inputs(index, view))
    assert not torch.equal(x, split.inputs(index, view - 1))
    twins = rectangles([FRAMES[0]] * 2, augment=True).inputs(torch.tensor([0, 1]), torch.tensor([5, 5]))
    assert not torch.equal(twins[0], twins[1])


def test_a_box_that_keeps_less_than_half_of_itself_is_dropped():
    place = Placement(np.ones((1, 2)), np.array([[-10.0, 0.0]]))
    boxes = np.array([[0, 0, 20, 10], [1, 0, 18, 10], [0, 0, 10, 5], [30, 0, 50, 5]], float)
    inside, kept = place.boxes(0, boxes, 64)
    assert kept.tolist() == [True, False, False, True]
    assert inside.tolist() == [[0, 0, 10, 10], [20, 0, 40, 5]]
    assert len(place.boxes(0, np.zeros((0, 4)), 64)[0]) == 0


def test_crowds_are_not_trained_on():
    truth = Truth(
        np.array([[0, 0, 9, 9], [5, 5, 20, 20]], float), np.array([0, 1]), np.array([True, False]), np.ones(2), 64, 64
    )
    inputs = {"size": SIZE, "mean": (0.0,) * 3, "std": (1.0,) * 3}
    targets = BoxSplit(lambda rows: np.zeros((1, 3, SIZE, SIZE), np.uint8), [truth], **inputs).targets(torch.arange(1))
    assert targets.labels[0].tolist() == [1] and len(targets.truths[0].boxes) == 2


def test_a_batch_moves_as_a_whole():
    sizes = (2, 0, 3)
    batch = Boxes(tuple(torch.rand(n, 4) for n in sizes), tuple(torch.arange(n) for n in sizes), ())
    moved = batch.to("meta")
    assert [tuple(boxes.shape) for boxes in moved.boxes] == [(2, 4), (0, 4), (3, 4)]
    assert {each.device.type for each in (*moved.boxes, *moved.labels)} == {"meta"} and len(moved) == 3
    same = batch.to("cpu")
    assert all(torch.equal(a, b) for a, b in zip(batch.boxes + batch.labels, same.boxes + same.labels, strict=True))


def test_pictures_lie_whole_in_the_corner_on_the_mean_colour(tmp_path):
    task = CocoFolder(str(coco_folder(tmp_path / "set")), augment=False)
    inputs = ImageInputs(40, (0.4, 0.5, 0.6), (0.2, 0.2, 0.2))
    data = task.data(inputs, seed=0)
    index = torch.arange(len(BOXES))
    x, targets = data.test.inputs(index), data.test.targets(index)
    assert x.shape == (3, 3, 40, 40) and x[:, :, 30:].abs().max() < 0.02, "80×60 becomes 40×30"
    bright = x[0, :, :30].mean(0) > 0
    x1, y1, x2, y2 = targets.boxes[0][0].int().tolist()
    assert bright[y1 + 1 : y2 - 1, x1 + 1 : x2 - 1].all() and bright.sum() < 1.3 * (x2 - x1) * (y2 - y1)


def test_pictures_that_are_too_many_are_decoded_on_demand(tmp_path, monkeypatch):
    pool = CocoFolder(str(coco_folder(tmp_path / "set"))).pool()
    indices, mean, rows = np.array([4, 0, 8]), (0.5, 0.5, 0.5), np.array([2, 0])
    kept = pixels(pool, indices, size=32, mean=mean)(rows)
    assert len(list((tmp_path / "cache" / "pictures").iterdir())) == 1
    monkeypatch.setattr(box_pixels, "LARGEST", 100)
    assert np.array_equal(pixels(pool, indices, size=32, mean=mean)(rows), kept)
    pixels(pool, indices, size=16, mean=mean)
    assert len(list((tmp_path / "cache" / "pictures").iterdir())) == 1


def test_a_picture_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    folder = coco_folder(tmp_path / "set")
    whole, inputs = (folder / "val2017" / "b.png").read_bytes(), ImageInputs(32, (0.5,) * 3, (0.5,) * 3)
    (folder / "val2017" / "b.png").write_bytes(whole[:90])  # its head can be read
    with pytest.raises(BadInput, match=r"1 of 9 pictures cannot be read, the first .*b.png \(.*truncated"):
        CocoFolder(str(folder)).sizes()
    monkeypatch.setattr("bench.tasks.picture_checks.WHOLE", 8)  # of a larger set not all are decoded
    (folder / "val2017" / "b.png").write_bytes(whole[:90] + whole[-12:])
    with pytest.raises(BadInput, match=r"b.png cannot be read .*mend it, or take it out of the annotations"):
        CocoFolder(str(folder)).data(inputs, seed=0)
    (folder / "val2017" / "b.png").write_bytes(b"no picture")
    with pytest.raises(BadInput, match=r"1 of 9 pictures cannot be read, the first .*b.png"):
        CocoFolder(str(folder)).sizes()
