"""LoHa: the Hadamard product of two low-rank matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench.methods.low_rank import Part, Rows, check_rank, like, update_linears
from bench.methods.method import Method
from bench.sites import Site
from bench.space import Range, Space


@dataclass(frozen=True, repr=False)
class LoHa(Method):
    """W ← W + (alpha/rank)·(B₁·A₁) ⊙ (B₂·A₂). Hyeon-Woo et al. 2021, proposition 1 (arXiv:2108.06098).

    Each A ∈ R^(rank×in), each B ∈ R^(out×rank): the update's rank is up to rank², for twice LoRA's parameters. A₂
    starts at zero, the others Kaiming-uniform, so the network starts unchanged. Named LoHa by LyCORIS (Yeh et al. 2023,
    arXiv:2309.14859). A step makes the matrix out×in.

    Args:
        rank: r ≥ 1, at most the smaller side of the matrix.
        alpha: numerator of the scaling.
        at: roles to adapt (`bench.sites`): q k v o qkv up down; Linear layers alone.
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
        """Freezes the backbone and hangs an update on every Linear selected.

        Raises:
            BadInput: no site matches, a layer is no Linear, or the rank exceeds its smaller side.
        """
        update_linears(model, sites, self, lambda layer, rows: Hadamard(layer, rows, self))


class Hadamard(Part):
    """ΔW = scale·(B₁·A₁) ⊙ (B₂·A₂)."""

    B1: Tensor
    A1: Tensor
    B2: Tensor
    A2: Tensor

    def __init__(self, layer: nn.Linear, rows: Rows, method: LoHa) -> None:
        super().__init__()
        height, width = rows[1] - rows[0], layer.in_features
        check_rank(method.rank, min(height, width))
        self.scale = method.alpha / method.rank
        for name, shape in {"B1": (height, method.rank), "A1": (method.rank, width)}.items():
            for key in (name, name.replace("1", "2")):
                tensor = torch.empty(shape, **like(layer))
                nn.init.kaiming_uniform_(tensor, a=math.sqrt(5))
                setattr(self, key, nn.Parameter(tensor))
        nn.init.zeros_(self.A2)

    def delta(self) -> Tensor:
        """(out, in)."""
        return self.scale * (self.B1 @ self.A1) * (self.B2 @ self.A2)
