"""Pfeiffer adapters: one bottleneck after the MLP of every block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import nn

from bench.methods.bottleneck import insert
from bench.methods.method import Method
from bench.sites import Site


@dataclass(frozen=True, repr=False)
class Pfeiffer(Method):
    """y ← y + W_up·relu(W_down·y) after the MLP of a block. Pfeiffer et al. 2020 (AdapterFusion, arXiv:2005.00247).

    Half of `Houlsby` in parameters. In a network with LayerScale (DINOv2) the bottleneck acts before it. In a CNN
    the two place the same: a block has one residual branch, and the bottleneck follows its last normalisation; only
    the nonlinearity differs.

    Args:
        width: of the bottleneck. A block costs 2·d·width + width + d parameters at model width d.
        blocks: all (None), the first n, the last n (-n), or a range (start, stop).
    """

    width: int = 64
    blocks: int | tuple[int, int] | None = None

    shows: ClassVar[tuple[str, ...]] = ("width",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("width", 1)

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Freezes the backbone and inserts the bottlenecks. Raises BadInput if no site matches."""
        insert(model, sites, at=("down", "branch"), blocks=self.blocks, width=self.width, act=F.relu)
