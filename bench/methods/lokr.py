"""LoKr: the Kronecker product of a small matrix and a low-rank one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.methods.low_rank import Part, Rows, like, update_linears
from bench.methods.method import Method
from bench.sites import Site
from bench.space import Range, Space


@dataclass(frozen=True, repr=False)
class LoKr(Method):
    """W ← W + (alpha/rank)·C ⊗ (B·A). Yeh et al. 2023, section 4.3 (arXiv:2309.14859).

    After KronA (Edalati et al. 2022, arXiv:2212.10650). out = a·c and in = b·d, each split as evenly as divisors
    allow, C ∈ R^(a×b), B ∈ R^(c×rank), A ∈ R^(rank×d); where rank ≥ max(c, d)/2, one full matrix R^(c×d) stands in
    place of B·A. C starts at zero, so the network starts unchanged.

    Args:
        rank: r ≥ 1.
        alpha: numerator of the scaling.
        at: roles to adapt (`bench.sites`): q k v o qkv up down; Linear layers alone.
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
        """Freezes the backbone and hangs an update on every Linear selected.

        Raises:
            BadInput: no site matches, or a layer is no Linear.
        """
        update_linears(model, sites, self, lambda layer, rows: Kronecker(layer, rows, self))


class Kronecker(Part):
    """ΔW = scale·C ⊗ (B·A), or scale·C ⊗ D."""

    B: Tensor
    A: Tensor
    D: Tensor

    def __init__(self, layer: nn.Linear, rows: Rows, method: LoKr) -> None:
        super().__init__()
        (a, c), (b, d) = factors(rows[1] - rows[0]), factors(layer.in_features)
        self.scale = method.alpha / method.rank
        self.C = nn.Parameter(torch.zeros(a, b, **like(layer)))
        low = method.rank < max(c, d) / 2
        shapes = {"B": (c, method.rank), "A": (method.rank, d)} if low else {"D": (c, d)}
        for name, shape in shapes.items():
            tensor = torch.empty(shape, **like(layer))
            nn.init.kaiming_uniform_(tensor, a=math.sqrt(5))
            setattr(self, name, nn.Parameter(tensor))

    def right(self) -> Tensor:
        """The right factor (c, d)."""
        return self.D if hasattr(self, "D") else self.B @ self.A

    def delta(self) -> Tensor:
        """(a·c, b·d)."""
        return self.scale * torch.kron(self.C, self.right())

    def forward(self, x: Tensor) -> Tensor:
        """(C ⊗ R)·x = C·X·Rᵀ for X (b, d), without the large matrix."""
        folded = x.unflatten(-1, (self.C.shape[1], -1))
        right = F.linear(folded, self.right() * self.scale)
        return torch.einsum("ab,...bc->...ac", self.C.to(right.dtype), right).flatten(-2)


def factors(size: int) -> tuple[int, int]:
    """The two divisors nearest to √size, the smaller first: 768 = 24·32."""
    small = next(n for n in range(math.isqrt(size), 0, -1) if size % n == 0)
    return small, size // small
