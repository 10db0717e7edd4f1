"""Memory of a detector's step as its authors train it: torchvision's own network, a real step on the CPU.

What such a step does depends on its data, so that `bench.training.gpu_step`, which traces shapes, refuses it. Here
pictures of noise with boxes on them pass a network of random weights, which is followed storage by storage as there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import get_model
from torchvision.models.detection import FasterRCNN, RetinaNet
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
from torchvision.ops import FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from bench.costs.memory import begin
from bench.errors import unknown
from bench.methods import FullFineTuning
from bench.models import Backbone
from bench.training import optimizers
from bench.training.gpu_step import Estimate, Setup, followed
from bench.training.recipe import Training
from bench.training.run import Network, Run

KINDS = ("fasterrcnn", "retinanet")
WIDTH = 256
"""Channels of the pyramid."""
NORMS = ("frozen", "evaluated")


@dataclass(frozen=True)
class Detector:
    """A detector and its batch.

    Args:
        name: one of `KINDS`, "_", a ResNet of torchvision, "_fpn".
        pictures: in a batch.
        height, width: of a picture, in pixels.
        boxes: on each picture.
        norms: "frozen", constants, which keep nothing for the backward pass; or "evaluated", batch norms by their
            running statistics, whose scales and shifts train, and which keep their input.
        stages: of the ResNet's five that train, from the last.
        classes: with the background.
    """

    name: str
    pictures: int
    height: int
    width: int
    boxes: int = 8
    norms: str = "frozen"
    stages: int = 3
    classes: int = 91

    def __post_init__(self) -> None:
        if self.name.partition("_")[0] not in KINDS:
            raise unknown("detector", self.name, [f"{kind}_resnet50_fpn" for kind in KINDS])
        if self.norms not in NORMS:
            raise unknown("norms", self.norms, NORMS)


def estimate(detector: Detector, setup: Setup) -> Estimate:
    """The memory of one step of a training that has begun.

    Args:
        detector: and its batch.
        setup: of it, optimiser and update, what becomes of gradients, and the number of GPUs.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network: Any = _Whole(_made(detector))
        trainable = [p for p in network.parameters() if p.requires_grad]
        rule = optimizers.make(setup.optimizer, setup.update, trainable)
        begin(rule)
        rule.zero_grad(set_to_none=setup.gradients != "zeroed")
        task: Any = _Boxes(detector)
        run = Run(task, None, FullFineTuning(), Training(batch_size=detector.pictures), seed=0)
        pictures = partial(torch.randn, detector.pictures, 3, detector.height, detector.width)
        backbone = Backbone(module=network, sites=(), width=None, inputs=None, example=lambda n: pictures())
        return followed(run, backbone, network, setup, rule, steps=1)


def _made(detector: Detector) -> nn.Module:
    kind, body, _ = detector.name.split("_")
    norm = FrozenBatchNorm2d if detector.norms == "frozen" else nn.BatchNorm2d
    resnet: Any = get_model(body, weights=None, norm_layer=norm)
    sizes: dict[str, Any] = {"min_size": detector.height, "max_size": max(detector.height, detector.width)}
    made: nn.Module
    if kind == "fasterrcnn":
        made = FasterRCNN(_resnet_fpn_extractor(resnet, detector.stages), detector.classes, **sizes)
    else:
        above = LastLevelP6P7(WIDTH, WIDTH)
        pyramid = _resnet_fpn_extractor(resnet, detector.stages, returned_layers=[2, 3, 4], extra_blocks=above)
        made = RetinaNet(pyramid, detector.classes, **sizes)
    made.train()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    return made


class _Whole(Network):
    """Pictures → what gives the losses of targets. torchvision's detectors take both at once."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__(detector, nn.Identity())

    def forward(self, x: Tensor) -> Any:
        return partial(self.backbone, list(x))


@dataclass(frozen=True)
class _Boxes:
    detector: Detector
    name: str = "boxes"

    def stand_ins(self, inputs: Tensor) -> list[dict[str, Tensor]]:
        """Boxes of the first class along each picture's diagonal, each larger than the one before."""
        share = torch.arange(1, self.detector.boxes + 1)[:, None] / (2 * self.detector.boxes)
        sides = torch.tensor([inputs.shape[-1], inputs.shape[-2]] * 2)
        boxes = torch.cat([share / 2, share / 2, share * 3 / 2, share * 3 / 2], dim=1) * sides
        labels = torch.ones(len(boxes), dtype=torch.int64)
        return [{"boxes": boxes.clone(), "labels": labels.clone()} for _ in inputs]

    def loss(self, outputs: Any, targets: list[dict[str, Tensor]], *, smoothing: float = 0.0) -> Tensor:
        """The sum of the detector's own."""
        return torch.stack(list(outputs(targets).values())).sum()
