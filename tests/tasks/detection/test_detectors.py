"""Pyramids and detection heads: torchvision's own losses and detections, on exact strides, in either mode."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import detection as tv
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign

from bench.errors import BadInput
from bench.models.backbone import Maps, PretrainedHead
from bench.tasks.detection.boxes import Boxes
from bench.tasks.detection.detectors import DETECTORS, Detector, centred_anchors, detector_head
from bench.tasks.detection.pyramids import pyramid

VIT, CNN = Maps((64,), (14,)), Maps((24, 48, 96), (8, 16, 32))
KINDS = pytest.mark.parametrize("kind", DETECTORS)
BOXES = [[8.0, 10, 40, 50], [50, 5, 69, 30], [20, 20, 60, 62]]


def boxes(*pictures: list[list[float]]) -> Boxes:
    """Targets; the labels of each picture count 0, 1, 2, 0, …"""
    labels = tuple(torch.arange(len(rows)) % 3 for rows in pictures)
    return Boxes(tuple(torch.tensor(rows).reshape(-1, 4) for rows in pictures), labels, ())


def drawn(maps: Maps, *, height: int = 100, width: int = 70, n: int = 2) -> tuple[torch.Tensor, ...]:
    """Maps of noise for pictures of that size."""
    torch.manual_seed(0)
    shapes = [(-(-height // s), -(-width // s)) for s in maps.strides]
    return tuple(torch.randn(n, channels, *shape) for channels, shape in zip(maps.channels, shapes, strict=True))


def made(kind: str, maps: Maps, classes: int = 3, **options) -> Detector:
    torch.manual_seed(0)
    return detector_head(kind, maps, classes, **options)


class TwoMaps(nn.Module):
    """A backbone as torchvision's detectors want one: strides 8 and 16."""

    def __init__(self) -> None:
        super().__init__()
        self.out_channels = 32
        self.conv = nn.Conv2d(3, 32, 8, stride=8)

    def forward(self, x):
        fine = self.conv(x)
        return {"0": fine, "1": F.avg_pool2d(fine, 2)}


class RegionHead(nn.Sequential):
    """With a batch norm, as torchvision's Faster R-CNN v2 has."""

    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(32 * 49, 64), nn.BatchNorm1d(64), nn.ReLU())


def reference(kind: str) -> nn.Module:
    """A small detector put together as torchvision's documentation has it; it takes 64-pixel pictures as they are."""
    torch.manual_seed(1)
    options = {"min_size": 64, "max_size": 64, "image_mean": [0.0] * 3, "image_std": [1.0] * 3}
    if kind == "fasterrcnn":
        anchors = AnchorGenerator(((32,), (64,)), ((0.5, 1.0, 2.0),) * 2)
        options |= {"rpn_anchor_generator": anchors, "box_score_thresh": 0.01, "box_head": RegionHead()}
        options |= {"box_predictor": tv.faster_rcnn.FastRCNNPredictor(64, 4)}
        options |= {"box_roi_pool": MultiScaleRoIAlign(["0", "1"], output_size=7, sampling_ratio=2)}
        return tv.FasterRCNN(TwoMaps(), **options)
    options |= {"score_thresh": 0.01, "detections_per_img": 100}
    if kind == "fcos":
        return tv.FCOS(TwoMaps(), 3, anchor_generator=AnchorGenerator(((8,), (16,)), ((1.0,),) * 2), **options)
    anchors = AnchorGenerator(((32, 40, 50), (64, 80, 101)), ((0.5, 1.0, 2.0),) * 2)
    return tv.RetinaNet(TwoMaps(), 3, anchor_generator=anchors, **options)


@KINDS
def test_losses_and_detections_are_torchvisions(one_thread, kind):
    """On sizes where torchvision's own anchors are right, a pretrained head computes what the whole detector did."""
    whole = reference(kind)
    shift = int(kind == "fasterrcnn")  # its label 0 is the background
    came = PretrainedHead(nn.Identity(), copy.deepcopy(whole), strides=(8, 16), background=bool(shift))
    head = detector_head("fcos", Maps((32, 32), (8, 16), head=lambda classes: came), 3)
    assert not any(name.startswith("detector.backbone") for name, _ in head.named_parameters())
    x, targets = torch.rand(2, 3, 64, 64), boxes([BOXES[0], BOXES[2]], [])
    maps = tuple(whole.backbone(x).values())
    theirs = [
        {"boxes": rows, "labels": labels + shift} for rows, labels in zip(targets.boxes, targets.labels, strict=True)
    ]
    torch.manual_seed(2)
    expected = sum(whole(list(x), theirs).values())
    torch.manual_seed(2)
    assert head(maps).losses(targets).item() == pytest.approx(expected.item(), rel=1e-6)
    for ours, found in zip(head.eval()(maps).detections(), whole.eval()(list(x)), strict=True):
        assert len(found["boxes"]) > 10
        assert torch.equal(ours["labels"], found["labels"] - shift) and not (ours["labels"] < 0).any()
        assert torch.allclose(ours["boxes"], found["boxes"], atol=1e-4)
        assert torch.allclose(ours["scores"], found["scores"], atol=1e-6)


@KINDS
def test_a_validation_loss_leaves_no_trace(one_thread, kind):
    came = PretrainedHead(nn.Identity(), reference(kind), strides=(8, 16), background=kind == "fasterrcnn")
    head = detector_head(kind, Maps((32, 32), (8, 16), head=lambda classes: came), 3).eval()
    maps, targets = drawn(Maps((32, 32), (8, 16)), height=64, width=64), boxes(BOXES, [])
    state, random = copy.deepcopy(head.state_dict()), torch.get_rng_state()
    first = head(maps).losses(targets).item()
    assert torch.equal(torch.get_rng_state(), random)
    torch.rand(5)
    assert head(maps).losses(targets).item() == first, "the same regions are sampled"
    assert not any(part.training for part in head.modules())
    assert all(torch.equal(tensor, state[name]) for name, tensor in head.state_dict().items())
    head.train()(maps).detections()
    assert all(part.training for part in head.modules())
    assert np.isfinite(first) and first > 0


@pytest.mark.parametrize("maps", [VIT, CNN], ids=["vit", "cnn"])
@KINDS
def test_all_of_a_new_head_trains_and_finds(one_thread, kind, maps):
    """On a picture that no stride divides, in bf16 autocast, one picture without boxes."""
    head = made(kind, maps)
    with torch.autocast("cpu", torch.bfloat16):
        answers = head(drawn(maps))
        loss = answers.losses(boxes(BOXES, []))
    assert loss.ndim == 0 and loss.dtype == torch.float32
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())
    assert loss.item() == pytest.approx(head(drawn(maps)).losses(boxes(BOXES, [])).item(), rel=0.02)
    covered = [5 * 14, 8 * 14] if maps is VIT else [9 * 8, 13 * 8]
    for found in head.eval()(drawn(maps)).detections():
        assert 0 < len(found["scores"]) <= 100 and found["boxes"].shape == (len(found["scores"]), 4)
        assert torch.equal(found["scores"], found["scores"].sort(descending=True).values)
        assert set(found["labels"].tolist()) <= {0, 1, 2}
        assert (found["boxes"] >= 0).all() and (found["boxes"].amax(0)[2:] <= torch.tensor(covered)).all()


@KINDS
def test_pictures_without_boxes(one_thread, kind):
    head = made(kind, CNN)
    loss = head(drawn(CNN)).losses(boxes([], []))
    loss.backward()
    assert loss.isfinite() and loss > 0
    grads = [p.grad for p in head.parameters() if p.grad is not None]
    assert grads and all(grad.isfinite().all() for grad in grads)


def anchors_of(head: Detector, maps: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    """The head's anchors on its pyramid's maps, (h, w, anchors of a cell, 4) each."""
    levels = list(head.pyramid(maps))
    generator = next(part for part in head.modules() if isinstance(part, AnchorGenerator))
    rows = generator(head.detector.transform(levels, None)[0], levels)[0]
    each = generator.num_anchors_per_location()[0]
    parts = rows.split([level[0, 0].numel() * each for level in levels])
    return [part.view(*level.shape[2:], each, 4) for part, level in zip(parts, levels, strict=True)]


@pytest.mark.parametrize("maps", [VIT, CNN], ids=["vit", "cnn"])
@KINDS
def test_anchors_lie_in_the_middle_of_their_cells(kind, maps):
    """Where maps are rounded up too: 100 // 14 and 70 // 4 are no strides."""
    head = made(kind, maps)
    _, strides = pyramid(maps, 64)
    size = {"fcos": 1, "retinanet": 4, "fasterrcnn": 8}[kind]
    for stride, rows in zip(strides, anchors_of(head, drawn(maps)), strict=True):
        centres = (rows[..., :2] + rows[..., 2:]) / 2
        y, x = torch.meshgrid(*((torch.arange(n) + 0.5) * stride for n in rows.shape[:2]), indexing="ij")
        assert torch.allclose(centres, torch.stack([x, y], dim=-1)[:, :, None], atol=1e-3)
        sides = (rows[..., 2:] - rows[..., :2]).prod(-1).sqrt()
        assert sides.min().item() == pytest.approx(size * stride, rel=1e-3)


def test_anchors_are_not_rounded():
    (cell,) = centred_anchors(((7,),), (1.0,), (7,)).cell_anchors
    assert cell.tolist() == [[0, 0, 7, 7]]


def test_regions_are_cut_at_the_stride_of_a_patch():
    """Maps that hold their own x and y in pixels: the mean over a region is its centre."""
    pool = made("fasterrcnn", VIT).detector.roi_heads.box_roi_pool
    levels = {}
    for name, stride in (("0", 7), ("1", 14), ("2", 28)):
        y, x = torch.meshgrid(*(torch.arange(280 // stride) * float(stride),) * 2, indexing="ij")
        levels[name] = torch.stack([x, y])[None]
    regions = torch.tensor([[14.0, 21, 56, 84], [28, 35, 161, 154], [0, 0, 252, 252]])
    pooled = pool(levels, [regions], [(280, 280)]).mean((2, 3))
    assert torch.allclose(pooled, (regions[:, :2] + regions[:, 2:]) / 2, atol=0.1)
    assert (pool.map_levels.k_min, pool.map_levels.k_max) == (3, 5)


def test_pyramid_of_a_plain_vit():
    below, strides = pyramid(VIT, 32)
    assert strides == (7, 14, 28)
    made = below((torch.randn(2, 64, 7, 5),))
    assert [tuple(level.shape) for level in made] == [(2, 32, 14, 10), (2, 32, 7, 5), (2, 32, 4, 3)]
    for level in made:  # LayerNorm over the channels of each cell
        assert level.mean(1).abs().max() < 1e-4 and level.var(1, unbiased=False).mean().item() == pytest.approx(
            1, abs=0.01
        )


def test_pyramid_of_a_hierarchical_network():
    below, strides = pyramid(CNN, 32)
    assert strides == CNN.strides
    maps = tuple(each.requires_grad_() for each in drawn(CNN))
    made = below(maps)
    assert [tuple(level.shape) for level in made] == [(2, 32, 13, 9), (2, 32, 7, 5), (2, 32, 4, 3)]
    made[0].sum().backward()
    assert all(each.grad.abs().sum() > 0 for each in maps), "the coarse maps are added to the finest"


@KINDS
def test_depth_and_width_are_options(kind):
    def count(**options) -> int:
        with torch.device("meta"):
            head = detector_head(kind, CNN, 3, **options)
        assert all(p.is_meta for p in head.parameters())
        return sum(p.numel() for p in head.parameters())

    assert count() == sum(p.numel() for p in made(kind, CNN).parameters())
    layer = 64 * 64 * 9 + 64 + (0 if kind == "fasterrcnn" else 2 * 64)
    towers = 1 if kind == "fasterrcnn" else 2
    if kind == "retinanet":
        layer -= 64  # a convolution before a norm has no bias
    assert count(depth=4) - count(depth=1) == 3 * towers * layer
    assert count(width=32) < count() < count(width=96)


def test_bad_input():
    with pytest.raises(BadInput, match="unknown detector 'fcoss': did you mean 'fcos'"):
        detector_head("fcoss", CNN, 3)
    for width in (0, 40, 64.0, -32):
        with pytest.raises(BadInput, match=f"head width {width!r}: give a multiple of 32"):
            detector_head("fcos", CNN, 3, width=width)
    for depth in (0, 5, 2.0, True):
        with pytest.raises(BadInput, match=f"head depth {depth!r}: a detector has 1 to 4"):
            detector_head("fcos", CNN, 3, depth=depth)


@pytest.mark.gpu
@KINDS
def test_on_a_gpu(kind):
    head, targets = made(kind, VIT).eval(), boxes(BOXES, [])
    expected = head(drawn(VIT)).detections()
    head.cuda()
    maps = tuple(each.cuda() for each in drawn(VIT))
    random = torch.cuda.get_rng_state()
    answers = head(maps)
    assert answers.losses(targets.to("cuda")).item() == answers.losses(targets.to("cuda")).item()
    assert torch.equal(torch.cuda.get_rng_state(), random)
    for ours, found in zip(answers.detections(), expected, strict=True):
        assert ours["boxes"].is_cuda and len(ours["boxes"]) == pytest.approx(len(found["boxes"]), abs=3)
    head.train()(maps).losses(targets.to("cuda")).backward()
    assert all(p.grad.isfinite().all() for p in head.parameters())
