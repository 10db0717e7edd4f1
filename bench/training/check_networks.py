"""What methods are checked on: small networks of every kind, with random weights, in float64, and their training."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import count as count_from
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.methods import Method
from bench.models import Backbone, HuggingFace, Timm, adapt
from bench.training.recipe import Step, Training, optimizer, set_mode
from bench.training.run import Network


@dataclass(frozen=True)
class OnMaps:
    """A model where its feature maps are asked for, as object detection does, in place of a model specification.

    Args:
        model: a specification whose networks give maps.
    """

    model: Any

    @property
    def name(self) -> str:
        """Name of the model, and that it is on maps."""
        return f"{self.model.name}, maps"

    def build(self, **options: Any) -> Backbone:
        """Makes the backbone; options as the model's own `build` takes."""
        return self.model.build(output="maps", **options)  # type: ignore[no-any-return]


VIT = Timm("test_vit", weights="random", image_size=32)
CNN = Timm("test_resnet", weights="random", image_size=32)
BERT = HuggingFace("test-bert", weights="random")
VIT_MAPS, CNN_MAPS = OnMaps(VIT), OnMaps(CNN)
MODELS = (VIT, CNN, BERT, VIT_MAPS, CNN_MAPS)
"""One of each kind: what a method is checked on unless other models are named."""


class Violation(AssertionError):
    """A method breaks a rule; the message says which tensor and by how much."""


def build(method: Method | None, model: Any) -> Backbone:
    """A random backbone in float64 and evaluation mode, adapted by `method` if one is given.

    Its scales are drawn around one, as a trained network's are: timm starts the last normalisation of a residual
    branch at zero, behind which nothing would have a gradient.
    """
    backbone = _copy(_base(model))
    torch.manual_seed(0)  # what a method draws is the same whenever it is put there
    if method is not None:
        adapt(backbone, method)
    return backbone


def _copy(backbone: Backbone) -> Backbone:
    """A network of its own; the inputs, which have a tokenizer, are shared."""
    return copy.deepcopy(backbone, {id(backbone.inputs): backbone.inputs})


@lru_cache(maxsize=1)  # ten checks of a method on a model follow one another, and each begins with it
def _base(model: Any) -> Backbone:
    backbone: Backbone = model.build(seed=0)
    backbone.module.double().eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for p in backbone.module.parameters():
            if p.ndim == 1:
                p.add_(torch.where(p == 0, 0.0, 0.2) * torch.randn_like(p))
        for module in backbone.module.modules():
            if isinstance(module, nn.BatchNorm2d) and not module.weight.any():
                module.weight.uniform_(0.5, 1.5)
    return backbone


def flat(outputs: Tensor | tuple[Tensor, ...]) -> Tensor:
    """Everything a backbone gives out for each sample, (N, …): features, or all cells of all maps."""
    maps = (outputs,) if isinstance(outputs, Tensor) else outputs
    return torch.cat([each.flatten(1) for each in maps], dim=1)


def perturb(module: nn.Module) -> None:
    """Moves every trainable tensor off its start, as training would."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in module.parameters():
            if p.requires_grad:
                p.add_(0.05 * torch.randn(p.shape, generator=generator, dtype=p.dtype))


@torch.no_grad()
def features_of(backbone: Backbone) -> Tensor:
    """What an adapted backbone makes of two examples, in evaluation; it is left as it was."""
    training = {module: module.training for module in backbone.module.modules()}
    found = flat(backbone.module.eval()(backbone.example(2)))
    for module, was in training.items():
        module.training = was
    return found


def losses(method: Method, backbone: Backbone, *, steps: int = 150) -> Iterator[float]:
    """Training loss of each step on eight examples with random labels, from seed 0: Adam, clipped, as a run has it.

    Args:
        method: what is trained.
        backbone: from `build`.
        steps: of the whole training, as the method is told; its largest learning rate is 1e-2.
    """
    labels = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1])
    x, module = backbone.example(8), backbone.module
    torch.manual_seed(3)
    network = Network(module, _Judge(flat(module(x)).shape[1]))
    set_mode(network)
    largest = max((method.rates(name) for name, p in module.named_parameters() if p.requires_grad), default=1.0)
    training = Training(lr=1e-2 / max(1.0, largest), head_lr=1e-2, clip_norm=1.0)
    groups = optimizer(module, network.head, training, rates=method.rates).param_groups
    rule = torch.optim.Adam([{"params": group["params"], "lr": group["lr"]} for group in groups])
    own = partial(method.penalty, module), partial(method.after_step, module)
    step = Step(network, _cross_entropy, rule, training, torch.device("cpu"), "fp32", *own)
    for number in count_from(1):
        loss, penalty = step.over([(x, labels, 1.0)], at=(min(number, steps), steps))
        if penalty is not None and not penalty.isfinite():
            raise Violation(f"the penalty is {penalty.item()}")
        yield loss.item()


class _Judge(nn.Linear):
    """Two classes from all features."""

    def __init__(self, width: int) -> None:
        super().__init__(width, 2, dtype=torch.float64)

    def forward(self, outputs: Any) -> Tensor:
        return super().forward(flat(outputs))


def _cross_entropy(outputs: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    return F.cross_entropy(outputs, targets, label_smoothing=smoothing)
