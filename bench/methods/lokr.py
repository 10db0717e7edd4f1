"""LoKr: the Kronecker product of a small matrix and a low-rank one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.methods.low_rank import Part, Rows, random, update_layers, width_of, zeros
from bench.methods.method import Method
from bench.sites import Site
from bench.space import Range, Space


@dataclass(frozen=True, repr=False)
class LoKr(Method):
    """W ← W + (alpha/rank)·C ⊗ (B·A). Yeh et al. 2023, section 4.3 (arXiv:2309.14859).

    After KronA (Edalati et al. 2022, arXiv:2212.10650). out = a·c and in = b·d, each split as evenly as divisors
    allow, C ∈ R^(a×b), B ∈ R^(c×rank), A ∈ R^(rank×d); where rank ≥ max(c, d)/2, one full matrix R^(c×d) stands in
    place of B·A. C starts at zero, so the network starts unchanged. Of a k×k convolution d is d·k·k in A and D.

    Args:
        rank: r ≥ 1.
        alpha: numerator of the scaling.
        at: roles to adapt (`bench.sites`): q k v o qkv up down conv proj patch.
        blocks: all (None), the first n, the last n (-n), or a range (start, stop).
    """

    rank: int = 8
    alpha: float = 16.0
    at: tuple[str, ...] = ("q", "v")
    blocks: int | tuple[int, int] | None = None

    shows: ClassVar[tuple[str, ...]] = ("rank", "at")
    space: ClassVar[Space] = {**Method.space, "alpha": Range(2.0, 128.0, log=True)}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("rank", 1)
        self.above("alpha", 0)

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Freezes the backbone and hangs an update on every layer selected.

        Raises:
            BadInput: no site matches, or a layer is neither Linear nor an ungrouped Conv2d.
        """
        update_layers(model, sites, self, lambda layer, rows: Kronecker(layer, rows, self))


class Kronecker(Part):
    """ΔW = scale·C ⊗ (B·A), or scale·C ⊗ D."""

    def __init__(self, layer: Any, rows: Rows, method: LoKr) -> None:
        super().__init__()
        of_kernel = width_of(layer) // layer.weight.shape[1]
        (a, c), (b, d) = factors(rows[1] - rows[0]), factors(layer.weight.shape[1])
        self.scale = method.alpha / method.rank
        self.C = zeros(layer, a, b)
        if method.rank < max(c, d) / 2:
            self.B, self.A = random(layer, c, method.rank), random(layer, method.rank, d * of_kernel)
        else:
            self.D = random(layer, c, d * of_kernel)

    def right(self) -> Tensor:
        """The right factor (c, d·k·k), scaled."""
        return (self.D if hasattr(self, "D") else self.B @ self.A) * self.scale

    def delta(self) -> Tensor:
        """(a·c, b·d·k·k)."""
        return torch.kron(self.C, self.right())

    def forward(self, x: Tensor) -> Tensor:
        """(C ⊗ R)·x = C·X·Rᵀ for X (b, d), without the large matrix."""
        folded = x.unflatten(-1, (self.C.shape[1], -1))
        right = F.linear(folded, self.right())
        return (self.C.to(right.dtype) @ right).flatten(-2)


def factors(size: int) -> tuple[int, int]:
    """The two divisors nearest to √size, the smaller first: 768 = 24·32."""
    small = next(n for n in range(math.isqrt(size), 0, -1) if size % n == 0)
    return small, size // small
