"""Detection heads: a feature pyramid and one of torchvision's detectors on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import detection as tv
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.fcos import FCOSHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.poolers import LevelMapper

from bench.errors import BadInput, unknown
from bench.models.backbone import Maps
from bench.tasks.detection.boxes import Boxes
from bench.tasks.detection.pyramids import pyramid

GROUPS = 32
"""Of the GroupNorm in the detectors' towers: torchvision's FCOS has it fixed."""
LEAST_SCORE = 0.01
"""Detections below are dropped; low, since average precision looks at the whole ranking."""
MOST = 100
"""Detections of a picture: COCO's evaluation counts no more."""


class Detector(nn.Module):
    """A pyramid and a detector of torchvision's, which is given the pyramid's maps in place of pictures.

    Args:
        pyramid: tuple of the backbone's maps → tuple of maps that are all equally wide, finest first.
        detector: torchvision's FCOS, RetinaNet or FasterRCNN; it is altered in place. Its own backbone and transform
            are dropped, its anchors and its region pooling are put on exact strides.
        strides: pixels of the network's input that a cell of each of the pyramid's maps stands for.
        background: whether the detector's label 0 is the background, as in Faster R-CNN.
    """

    def __init__(
        self, pyramid: nn.Module, detector: nn.Module, strides: tuple[float, ...], *, background: bool = False
    ) -> None:
        super().__init__()
        self.pyramid, self.detector, self.background = pyramid, detector, background
        detector.backbone, detector.transform = nn.Identity(), AsPictures(strides[0])
        for name, part in list(detector.named_modules()):
            if isinstance(part, AnchorGenerator):
                detector.set_submodule(name, ExactAnchors(part, strides))
            elif isinstance(part, MultiScaleRoIAlign):
                _put_on_strides(part, strides[: len(part.featmap_names)])
        last: Any = getattr(detector, "roi_heads", detector)
        last.score_thresh, last.detections_per_img = LEAST_SCORE, MOST

    def forward(self, maps: tuple[Tensor, ...]) -> Answers:
        """The backbone's maps to what can be asked of them: losses or detections."""
        return Answers(self, tuple(self.pyramid(maps)))


@dataclass(frozen=True, eq=False)
class Answers:
    """What a detector has to say to a batch, in float32 whatever the autocast.

    Args:
        head: it.
        maps: its pyramid's maps, (N, width, h, w) each, finest first.
    """

    head: Detector
    maps: tuple[Tensor, ...]

    def losses(self, boxes: Boxes) -> Tensor:
        """The sum of the detector's own loss terms, a scalar: a mean over pictures or over matched places.

        In evaluation mode the regions that Faster R-CNN samples are the same at every call, and training's random
        numbers do not notice.
        """
        shift = int(self.head.background)
        pairs = zip(boxes.boxes, boxes.labels, strict=True)
        targets = [{"boxes": each.float(), "labels": labels + shift} for each, labels in pairs]
        with nullcontext() if self.head.training else _same_draws(self.maps[0].device):
            terms: dict[str, Tensor] = self._ask(targets)
        return torch.stack(list(terms.values())).sum()

    @torch.no_grad()
    def detections(self) -> list[dict[str, Tensor]]:
        """What is found on each picture, best first.

        Returns:
            "boxes" (m, 4): x1, y1, x2, y2 in pixels of the network's input, within what the maps cover; "labels" (m)
            from 0; "scores" (m) in 0..1. m is at most 100.
        """
        shift = int(self.head.background)
        return [{**found, "labels": found["labels"] - shift} for found in self._ask(None)]

    def _ask(self, targets: list[dict[str, Tensor]] | None) -> Any:
        maps = tuple(each.float() for each in self.maps)
        with torch.autocast(maps[0].device.type, enabled=False), _mode(self.head.detector, targets is not None):
            return self.head.detector(maps, targets)


class AsPictures(nn.Module):
    """Stands where a torchvision detector has its transform: lets maps pass for the batch of pictures.

    Args:
        stride: of the finest map.
    """

    def __init__(self, stride: float) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, maps: tuple[Tensor, ...], targets: Any) -> tuple[ImageList, Any]:
        """The maps by level, with the size in pixels that they cover, and the targets as they are."""
        n, _, h, w = maps[0].shape
        size = (math.ceil(h * self.stride), math.ceil(w * self.stride))
        by_level: Any = {str(level): each for level, each in enumerate(maps)}
        return ImageList(by_level, [size] * n), targets

    def postprocess(self, found: Any, *sizes: Any) -> Any:
        """Detections as they are: they are in pixels of the network's input already."""
        return found


class ExactAnchors(AnchorGenerator):
    """Anchors a stride apart.

    torchvision divides the picture's size by the map's instead, which is wrong where the map was rounded up.

    Args:
        like: gives the anchors of a cell.
        strides: of the maps.
    """

    def __init__(self, like: AnchorGenerator, strides: tuple[float, ...]) -> None:
        super().__init__(like.sizes, like.aspect_ratios)
        self.cell_anchors, self.strides = like.cell_anchors, strides

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        """The anchors of all maps, (A, 4), once for each picture."""
        self.set_cell_anchors(feature_maps[0].dtype, feature_maps[0].device)
        grids, steps = [list(each.shape[-2:]) for each in feature_maps], [[s, s] for s in self.strides]
        return [torch.cat(self.grid_anchors(grids, steps))] * len(image_list.image_sizes)


def centred_anchors(
    sizes: tuple[tuple[float, ...], ...], ratios: tuple[float, ...], strides: tuple[float, ...]
) -> AnchorGenerator:
    """Anchors in the middle of their cells, at (s/2 + x·s, s/2 + y·s) as in FCOS (arXiv:1904.01355, section 3.1).

    torchvision puts them on the corners, which a pretrained head has learnt to live with; a new one would see less of
    what lies at the right and lower edge.
    """
    made = AnchorGenerator(sizes, (ratios,) * len(sizes))
    fine = 1024  # torchvision rounds to whole pixels, which turns 7 into 8
    made.cell_anchors = [
        made.generate_anchors([fine * s for s in of_level], list(ratios)) / fine + stride / 2
        for of_level, stride in zip(sizes, strides, strict=True)
    ]
    return made


def _put_on_strides(pool: MultiScaleRoIAlign, strides: tuple[float, ...]) -> None:
    """Sets what the pooling would guess from the first picture: it takes every stride for a power of two."""
    pool.scales = [1 / stride for stride in strides]
    levels = [round(math.log2(stride)) for stride in (strides[0], strides[-1])]
    pool.map_levels = LevelMapper(*levels, pool.canonical_scale, pool.canonical_level)


@contextmanager
def _mode(detector: nn.Module, training: bool) -> Iterator[None]:
    """torchvision's detectors go by `training` to tell losses from detections; their layers keep their own mode."""
    kinds = (tv.FCOS, tv.RetinaNet, tv.FasterRCNN, RegionProposalNetwork, RoIHeads)
    before = {part: part.training for part in detector.modules() if isinstance(part, kinds)}
    try:
        for part in before:
            part.training = training
        yield
    finally:
        for part, was in before.items():
            part.training = was


@contextmanager
def _same_draws(device: torch.device) -> Iterator[None]:
    """Random numbers from the start, and afterwards as if none had been drawn."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        yield


def _fcos(given: nn.Module, classes: int, strides: tuple[float, ...], depth: int) -> nn.Module:
    """FCOS (arXiv:1904.01355): every place is an anchor, as large as its stride."""
    anchors = centred_anchors(tuple((s,) for s in strides), (1.0,), strides)
    head = FCOSHead(given.out_channels, 1, classes, depth)
    # Distances to a box's sides pass a ReLU. torchvision starts them around zero, where half have no gradient, and in
    # a short training some seeds never get over it: here every side starts a stride away.
    nn.init.ones_(head.regression_head.bbox_reg.bias)
    return tv.FCOS(given, classes, anchor_generator=anchors, head=head)


def _retinanet(given: nn.Module, classes: int, strides: tuple[float, ...], depth: int) -> nn.Module:
    """RetinaNet (arXiv:1708.02002): nine anchors a place, of sizes 4s·2^(0, ⅓, ⅔)."""
    sizes = tuple(tuple(4 * s * 2 ** (third / 3) for third in range(3)) for s in strides)
    anchors = centred_anchors(sizes, (0.5, 1.0, 2.0), strides)
    head = RetinaNetHead(given.out_channels, 9, classes, norm_layer=partial(nn.GroupNorm, GROUPS))
    for tower in (head.classification_head, head.regression_head):
        tower.conv = tower.conv[:depth]
    return tv.RetinaNet(given, classes, anchor_generator=anchors, head=head)


def _fasterrcnn(given: nn.Module, classes: int, strides: tuple[float, ...], depth: int) -> nn.Module:
    """Faster R-CNN (arXiv:1506.01497) on a pyramid: three anchors a place, of size 8s; label 0 is background."""
    width: Any = given.out_channels
    levels = [str(level) for level in range(len(strides))]
    return tv.FasterRCNN(
        given,
        rpn_anchor_generator=centred_anchors(tuple((8 * s,) for s in strides), (0.5, 1.0, 2.0), strides),
        rpn_head=RPNHead(width, 3, depth),
        box_roi_pool=MultiScaleRoIAlign(levels, output_size=7, sampling_ratio=2),
        box_head=TwoMLPHead(7 * 7 * width, 4 * width),
        box_predictor=FastRCNNPredictor(4 * width, 1 + classes),
    )


DETECTORS: dict[str, Callable[..., nn.Module]] = {"fcos": _fcos, "retinanet": _retinanet, "fasterrcnn": _fasterrcnn}


def check_detector(kind: str, *, width: int, depth: int) -> None:
    """Refuses what `detector_head` cannot make.

    Raises:
        BadInput: an unknown kind, a width that GroupNorm cannot part, or a depth that is not 1 to 4.
    """
    if kind not in DETECTORS:
        raise unknown("detector", str(kind), DETECTORS)
    if type(width) is not int or width < GROUPS or width % GROUPS:
        raise BadInput(f"head width {width!r}: give a multiple of {GROUPS}, the groups of its GroupNorm")
    if type(depth) is not int or not 1 <= depth <= 4:
        raise BadInput(f"head depth {depth!r}: a detector has 1 to 4 convolutions before its answers")


def detector_head(kind: str, maps: Maps, classes: int, *, width: int = 64, depth: int = 2) -> Detector:
    """A detection head on a backbone's maps: the pretrained one if they come with one, else a new one.

    Args:
        kind: "fcos", "retinanet" or "fasterrcnn"; a pretrained head is of its own kind.
        maps: what the backbone gives.
        classes: K, without background.
        width: channels of the pyramid and the towers, a multiple of 32. torchvision's 256 are slow without a GPU.
        depth: convolutions in a tower, 1 to 4 (of the region proposals in Faster R-CNN).

    Raises:
        BadInput: another kind, width or depth.
    """
    check_detector(kind, width=width, depth=depth)
    if maps.head is not None:
        came = maps.head(classes)
        return Detector(came.pyramid, came.detector, came.strides, background=came.background)
    below, strides = pyramid(maps, width)
    given: Any = nn.Identity()
    given.out_channels = width  # what torchvision asks of a backbone
    made = DETECTORS[kind](given, classes, strides, depth)
    return Detector(below, made, strides, background=kind == "fasterrcnn")
