"""SSF: a scale and a shift after every operation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench.errors import BadInput
from bench.methods.branch import Branch, attach
from bench.methods.layer_norm import is_layer_norm
from bench.methods.low_rank import like
from bench.methods.method import Method, freeze
from bench.sites import Site
from bench.space import Range, Space


@dataclass(frozen=True, repr=False)
class SSF(Method):
    """y ← γ ⊙ y + β after every Linear, convolution and normalisation. Lian et al. 2022, eq. 3 (arXiv:2210.08823).

    γ starts at one and β at zero (the authors draw both about these), so the network starts unchanged. A layer without
    a bias is scaled alone: a shift could not be folded into it. ViT-B/16: 205,824 parameters, the patch embedding and
    the last normalisation among them.
    """

    space: ClassVar[Space] = {**Method.space, "lr": Range(3e-4, 3e-2, log=True, default=3e-3)}

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Freezes the backbone and hangs a scale and a shift on every operation.

        Raises:
            BadInput: there is none, or the network reads a weight past its module.
        """
        freeze(model)
        if past := next((site for site in sites if site.bypassed), None):
            raise BadInput(f"SSF: the network reads the weight of {past.path} directly: a scale there would be inert")
        found = list(_operations(model))
        if not found:
            raise BadInput("SSF: this network has no Linear, convolution or normalisation")
        for operation in found:
            attach(operation, "ssf", ScaleAndShift(operation))


def _operations(model: nn.Module) -> Iterator[nn.Module]:
    for module in model.modules():
        known = isinstance(module, nn.Linear | nn.Conv2d | nn.BatchNorm2d | nn.GroupNorm) or is_layer_norm(module)
        if known and getattr(module, "weight", None) is not None:
            yield module


class ScaleAndShift(Branch):
    """y ← scale ⊙ y + bias along the channels; without the second where the host has no bias itself."""

    def __init__(self, host: Any) -> None:
        super().__init__()
        width = len(host.weight)
        self.maps = isinstance(host, nn.Conv2d | nn.BatchNorm2d | nn.GroupNorm)
        self.scale = nn.Parameter(torch.ones(width, **like(host)))
        has_bias = getattr(host, "bias", None) is not None
        self.bias = nn.Parameter(torch.zeros(width, **like(host))) if has_bias else None

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """y (…, width), or (N, width, H, W)."""
        channels = 1 if self.maps or (y.ndim == 4 and y.shape[-1] != len(self.scale)) else -1
        shape = [1] * y.ndim
        shape[channels] = -1
        y = y * self.scale.view(shape)
        return y if self.bias is None else y + self.bias.view(shape)

    @torch.no_grad()
    def fold(self, host: Any) -> None:
        """Scales W's rows and the bias, and adds the shift to it."""
        host.weight *= self.scale.view(-1, *[1] * (host.weight.ndim - 1))
        if self.bias is not None:
            host.bias.mul_(self.scale).add_(self.bias)
