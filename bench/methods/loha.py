"""LoHa: the Hadamard product of two low-rank matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from bench.methods.low_rank import Part, Rows, check_rank, random, update_layers, width_of, zeros
from bench.methods.method import Method
from bench.sites import Site
from bench.space import Range, Space


@dataclass(frozen=True, repr=False)
class LoHa(Method):
    """W ← W + (alpha/rank)·(B₁·A₁) ⊙ (B₂·A₂). Hyeon-Woo et al. 2021, proposition 1 (arXiv:2108.06098).

    Each A ∈ R^(rank×in), each B ∈ R^(out×rank): the update's rank is up to rank², for twice LoRA's parameters. A₂
    starts at zero, the others Kaiming-uniform, so the network starts unchanged. Named LoHa by LyCORIS (Yeh et al. 2023,
    arXiv:2309.14859). A kernel is a matrix (out, in·k·k).

    Args:
        rank: r ≥ 1, at most the smaller side of the matrix.
        alpha: numerator of the scaling.
        at: roles to adapt (`bench.sites`): q k v o qkv up down conv proj patch.
        blocks: all (None), the first n, the last n (-n), or a range (start, stop).
    """

    rank: int = 4
    alpha: float = 8.0
    at: tuple[str, ...] = ("q", "v")
    blocks: int | tuple[int, int] | None = None

    shows: ClassVar[tuple[str, ...]] = ("rank", "at")
    space: ClassVar[Space] = {**Method.space, "alpha": Range(1.0, 64.0, log=True)}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("rank", 1)
        self.above("alpha", 0)

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Freezes the backbone and hangs an update on every layer selected.

        Raises:
            BadInput: no site matches, the rank exceeds a layer's smaller side, or the layer is neither Linear nor an
                ungrouped Conv2d.
        """
        update_layers(model, sites, self, lambda layer, rows: Hadamard(layer, rows, self))


class Hadamard(Part):
    """ΔW = scale·(B₁·A₁) ⊙ (B₂·A₂)."""

    def __init__(self, layer: nn.Module, rows: Rows, method: LoHa) -> None:
        super().__init__()
        height, width, rank = rows[1] - rows[0], width_of(layer), method.rank
        check_rank(rank, min(height, width))
        self.scale, self.small = method.alpha / rank, rank**2 * (height + width) < height * width
        self.B1, self.B2 = random(layer, height, rank), random(layer, height, rank)
        self.A1, self.A2 = random(layer, rank, width), zeros(layer, rank, width)

    def delta(self) -> Tensor:
        """(out, in)."""
        return self.scale * (self.B1 @ self.A1) * (self.B2 @ self.A2)

    def forward(self, x: Tensor) -> Tensor:
        """By two matrices of rank² where that is less work than the one: all products of rows, and of columns."""
        if not self.small:
            return super().forward(x)
        down = (self.A1[:, None] * self.A2).flatten(0, 1) * self.scale
        return F.linear(F.linear(x, down), (self.B1[:, :, None] * self.B2[:, None]).flatten(1))
