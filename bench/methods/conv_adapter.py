"""Residual adapters of convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import BadInput
from bench.methods.branch import Branch, attach
from bench.methods.low_rank import layers, like
from bench.methods.method import Method, freeze
from bench.sites import CONV, Site
from bench.space import Range, Space


@dataclass(frozen=True, repr=False)
class ConvAdapter(Method):
    """y ← y + α∗y, α ∈ R^(C×C×1×1), after every convolution. Rebuffi et al. 2017, eq. 2 (arXiv:1705.08045).

    The adapter in series of the authors' residual adapter module. α starts at zero, so the network starts unchanged,
    and folds into the convolution before it: W ← W + α·W, b ← b + α·b. The paper also trains the scales and shifts of
    the batch normalisations; here they stay frozen, so that only adapters count.

    Args:
        at: roles to adapt (`bench.sites`): conv proj patch, and up down where they are 1×1 convolutions.
        blocks: all (None), the first n, the last n (-n), or a range (start, stop).
    """

    at: tuple[str, ...] = CONV
    blocks: int | tuple[int, int] | None = None

    space: ClassVar[Space] = {**Method.space, "lr": Range(3e-5, 3e-3, log=True, default=3e-4)}

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Freezes the backbone and hangs a 1×1 convolution on every convolution selected.

        Raises:
            BadInput: no site matches, or a layer is no ungrouped Conv2d.
        """
        freeze(model)
        for path, layer, _ in layers(model, sites, self):
            if not isinstance(layer, nn.Conv2d) or layer.groups > 1:
                raise BadInput(f"ConvAdapter cannot adapt {path}: {type(layer).__name__} is no ungrouped Conv2d")
            attach(layer, "conv_adapter", Residual(layer))


class Residual(Branch):
    """y ← y + α∗y.

    Args:
        host: the convolution, with C output channels.
    """

    def __init__(self, host: nn.Conv2d) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(host.out_channels, host.out_channels, **like(host)))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """y (N, C, H, W)."""
        return y + F.conv2d(y, self.alpha[:, :, None, None])

    @torch.no_grad()
    def fold(self, host: Any) -> None:
        """W ← W + α·W, b ← b + α·b."""
        host.weight += torch.einsum("ij,j...->i...", self.alpha, host.weight)
        if host.bias is not None:
            host.bias += self.alpha @ host.bias
