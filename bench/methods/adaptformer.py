"""AdaptFormer: a bottleneck in parallel to the MLP of every block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import nn

from bench.methods.bottleneck import insert
from bench.methods.method import Method
from bench.sites import Site
from bench.space import Range, Space


@dataclass(frozen=True, repr=False)
class AdaptFormer(Method):
    """MLP(x) ← MLP(x) + scale·W_up·relu(W_down·x), x the MLP's input. Chen et al. 2022 (arXiv:2205.13535).

    Equations 2-3 there.
    In a network with LayerScale (DINOv2) that factor acts on MLP and bottleneck alike, on top of `scale`. In a CNN
    without MLPs the bottleneck, of 1×1 convolutions, runs in parallel to the last convolution of each residual branch.

    Args:
        width: of the bottleneck. A block costs 2·d·width + width + d parameters at model width d.
        scale: s in the paper, 0.1 there.
        blocks: all (None), the first n, the last n (-n), or a range (start, stop).
    """

    width: int = 64
    scale: float = 0.1
    blocks: int | tuple[int, int] | None = None

    shows: ClassVar[tuple[str, ...]] = ("width",)
    space: ClassVar[Space] = {**Method.space, "scale": Range(0.03, 3.0, log=True)}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("width", 1)
        self.above("scale", 0)

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Freezes the backbone and inserts the bottlenecks. Raises BadInput if no site matches."""
        insert(
            model,
            sites,
            at=("mlp", "proj"),
            blocks=self.blocks,
            width=self.width,
            act=F.relu,
            parallel=True,
            scale=self.scale,
        )
