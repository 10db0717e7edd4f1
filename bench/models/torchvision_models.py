"""Pretrained detectors from torchvision: the ResNet-50 is the backbone, pyramid and detector come with it as head."""

from __future__ import annotations

import contextlib
import copy
import math
import pickle
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn
from torchvision.models import WeightsEnum, get_model, get_model_weights
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor

from bench import assets
from bench.assets.remembered import digests
from bench.errors import BadInput, unknown
from bench.models.backbone import Backbone, Maps, PretrainedHead
from bench.models.dropout import silence
from bench.models.feature_maps import MapNetwork, map_sites
from bench.models.hub import check_unchanged
from bench.models.timm_models import ImageInputs, noise
from bench.models.trace import seen
from bench.spec import Spec, check_numbers

DETECTORS = {
    "fcos_resnet50_fpn": 8,
    "retinanet_resnet50_fpn": 8,
    "retinanet_resnet50_fpn_v2": 8,
    "fasterrcnn_resnet50_fpn": 4,
    "fasterrcnn_resnet50_fpn_v2": 4,
}
"""torchvision's name → the finest stride of the pyramid's five maps. Those up to 32 stand on maps of the ResNet."""


@dataclass(frozen=True, repr=False)
class Torchvision(Spec):
    """A detector of torchvision, pretrained on COCO (118,000 pictures of 80 kinds of everyday things).

    Its ResNet-50 is the backbone that the methods adapt; its pyramid and detector are the head, whose classifier
    (in Faster R-CNN with the boxes of each class) is new. FCOS (arXiv:1904.01355), RetinaNet (arXiv:1708.02002, v2 by
    arXiv:1912.02424) and Faster R-CNN (arXiv:1506.01497, v2 by arXiv:2111.11429). Where torchvision freezes every
    BatchNorm (FCOS) the network here has ordinary ones: frozen unless the method trains them.

    Args:
        name: one of `DETECTORS`.
        weights: "pretrained" takes torchvision's file, from where torch keeps such files ($TORCH_HOME) or from the
            network; "random" initialises from the run's seed.
        image_size: longer side in pixels; None for 800.
    """

    name: str
    weights: str = "pretrained"
    image_size: int | None = None

    shows: ClassVar[tuple[str, ...]] = ()
    families: ClassVar[tuple[str, ...]] = ("detection",)
    asset: ClassVar[None] = None

    def __post_init__(self) -> None:
        check_numbers(self)
        if self.name not in DETECTORS:
            raise unknown("detector", str(self.name), DETECTORS)
        if self.weights not in ("pretrained", "random"):
            raise unknown("weights", self.weights, ("pretrained", "random"))
        if self.image_size is not None and (type(self.image_size) is not int or self.image_size < 1):
            raise BadInput(f"image_size {self.image_size!r}: give a whole number of pixels")

    def fingerprint(self) -> None:
        """Nothing: torchvision's names of weights stand for one file for good."""

    def cached(self) -> None:
        """Nothing: a file of another hash than its name says is refused."""

    def untrained(self) -> Torchvision:
        """The same network with random weights, for what needs none: timing."""
        return replace(self, weights="random")

    def build(self, *, device: str = "cpu", seed: int = 0, output: str = "maps", kernels: str = "") -> Backbone:
        """Makes the backbone; on device "meta" only its shapes, without fetching weights.

        Its `width.head` makes copies of pyramid and detector, with a new classifier drawn from torch's generator;
        `kernels` changes nothing, as a convolution has no choice of them.

        Raises:
            BadInput: weights that cannot be had, or another output than "maps".
        """
        if output != "maps":
            raise BadInput(f"{self.name} is a detector: it gives feature maps, not output={output!r}")
        meta = device == "meta"
        with torch.random.fork_rng(devices=[]), torch.device("meta") if meta else contextlib.nullcontext():
            torch.manual_seed(seed)
            detector: Any = get_model(self.name, weights=None, weights_backbone=None)
        silence(detector)
        provenance: dict[str, str | None] = {"weights": "random", "weights_sha256": None}
        if self.weights == "pretrained" and not meta:
            provenance = _load(detector, self.name)
        body, pyramid = detector.backbone.body, Pyramid(detector.backbone.fpn)
        detector.backbone = nn.Identity()
        strides = tuple(DETECTORS[self.name] * 2**level for level in range(5))
        levels = [stride for stride in strides if stride <= 32]
        network = MapNetwork(body, _levels, channels=[64 * stride for stride in levels], strides=levels).to(device)
        transform = detector.transform
        size = self.image_size or transform.min_size[0]
        example = partial(noise, network, size=size)
        return Backbone(
            module=network,
            sites=map_sites(network, seen(network, example, name=self.name)),
            width=Maps(network.channels, network.strides, partial(_head, pyramid, detector, strides)),
            inputs=ImageInputs(size, tuple(transform.image_mean), tuple(transform.image_std)),
            example=example,
            provenance=provenance,
            output=output,
        )


class Pyramid(nn.Module):
    """torchvision's feature pyramid (arXiv:1612.03144) and the coarser maps on top: tuple of maps → tuple of maps."""

    def __init__(self, fpn: nn.Module) -> None:
        super().__init__()
        self.fpn = fpn

    def forward(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Maps of the ResNet, finest first; returns five maps, 256 channels each."""
        return tuple(self.fpn({str(i): each for i, each in enumerate(maps)}).values())


def _levels(body: nn.Module, pictures: Tensor) -> list[Tensor]:
    return list(body(pictures).values())


def _head(pyramid: Pyramid, detector: nn.Module, strides: tuple[int, ...], classes: int) -> PretrainedHead:
    """Copies of pyramid and detector, with a new classifier for `classes` classes, the background not counted."""
    own: Any = copy.deepcopy(detector)
    background = isinstance(own, FasterRCNN)
    with torch.device(next(own.parameters()).device):
        if background:
            width = own.roi_heads.box_predictor.cls_score.in_features
            own.roi_heads.box_predictor = FastRCNNPredictor(width, classes + 1)
        else:
            head = own.head.classification_head
            head.cls_logits = nn.Conv2d(head.cls_logits.in_channels, head.num_anchors * classes, 3, padding=1)
            head.num_classes = classes
            nn.init.normal_(head.cls_logits.weight, std=0.01)
            nn.init.constant_(head.cls_logits.bias, -math.log(99))  # every class starts at a probability of 0.01
    return PretrainedHead(copy.deepcopy(pyramid), own, strides, background)


def _load(detector: nn.Module, name: str) -> dict[str, str | None]:
    """Loads torchvision's weights; returns the provenance.

    Raises:
        BadInput: they are not there and cannot be fetched, or the file is not what it should be.
    """
    entry: WeightsEnum = get_model_weights(name).DEFAULT  # type: ignore[attr-defined]
    file = Path(torch.hub.get_dir(), "checkpoints", Path(urlsplit(entry.url).path).name)
    advice = f"put {file.name} into {file.parent} ($TORCH_HOME moves that folder), or use weights='random'"
    if not file.exists() and assets.offline():
        raise BadInput(f"no weights for {name!r}: LORA_BENCH_OFFLINE is set; unset it, {advice}")
    check_unchanged([file] if file.is_file() else [])
    try:
        state = entry.get_state_dict(progress=False, check_hash=True, map_location="cpu", weights_only=True)
        detector.load_state_dict(state)
    except OSError as error:
        raise BadInput(f"no weights for {name!r}: they cannot be fetched ({error}); {advice}") from error
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise BadInput(f"the weights for {name!r} are damaged or not whole: delete {file} and try again") from error
    check_unchanged([file])
    return {"weights": f"torchvision: {entry}", "weights_sha256": digests([file])[0]}
