"""VeRA: frozen random matrices shared by all layers, and two vectors a layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.methods.low_rank import Part, Rows, like, update_linears
from bench.methods.method import Method
from bench.sites import Site
from bench.space import Range, Space


@dataclass(frozen=True, repr=False)
class VeRA(Method):
    """W ← W + Λ_b·B·Λ_d·A, A ∈ R^(rank×in), B ∈ R^(out×rank) frozen. Kopiczko et al. 2023, eq. 2 (arXiv:2310.11454).

    b ∈ R^out starts at zero and d ∈ R^rank at `d_initial`; they alone train. Layers of one width share A, of one height
    B: Kaiming-uniform numbers that `projection_seed` gives again, so that neither stands in the checkpoint.

    Args:
        rank: r ≥ 1; it may exceed the layer's sides.
        d_initial: of d.
        projection_seed: of A and B, whatever the run's seed.
        at: roles to adapt (`bench.sites`): q k v o qkv up down; Linear layers alone.
        blocks: all (None), the first n, the last n (-n), or a range (start, stop).
    """

    rank: int = 256
    d_initial: float = 0.1
    projection_seed: int = 0
    at: tuple[str, ...] = ("q", "v")
    blocks: int | tuple[int, int] | None = None

    shows: ClassVar[tuple[str, ...]] = ("rank", "at")
    space: ClassVar[Space] = {**Method.space, "lr": Range(1e-3, 1e-1, log=True, default=1e-2)}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("rank", 1)
        self.above("d_initial", 0)

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Freezes the backbone and hangs the vectors on every Linear selected.

        Raises:
            BadInput: no site matches, or a layer is no Linear.
        """
        shared: dict[tuple[str, int], Tensor] = {}

        def make(layer: nn.Linear, rows: Rows) -> Vectors:
            sides = {"A": (self.rank, layer.in_features), "B": (rows[1] - rows[0], self.rank)}
            found = {}
            for name, shape in sides.items():
                key = name, shape[0] * shape[1]
                if key not in shared:
                    shared[key] = self.projection(name, shape, like(layer))
                found[name] = shared[key]
            return Vectors(found["A"], found["B"], self.d_initial)

        update_linears(model, sites, self, make)

    def projection(self, name: str, shape: tuple[int, int], options: dict[str, Any]) -> Tensor:
        """A frozen matrix, uniform within 1/√columns, drawn on the CPU so that every device has the same."""
        if torch.device(options["device"]).type == "meta":
            return torch.empty(shape, **options)
        dice = torch.Generator().manual_seed(2 * self.projection_seed + (name == "B"))
        drawn = torch.rand(shape, generator=dice, dtype=torch.float64) * 2 - 1
        return (drawn / math.sqrt(shape[1])).to(**options)


class Vectors(Part):
    """ΔW = Λ_b·B·Λ_d·A.

    Args:
        A: (rank, in), shared and frozen.
        B: (out, rank), shared and frozen.
        d_initial: of d.
    """

    def __init__(self, A: Tensor, B: Tensor, d_initial: float) -> None:
        super().__init__()
        self.register_buffer("A", A, persistent=False)
        self.register_buffer("B", B, persistent=False)
        self.b = nn.Parameter(B.new_zeros(len(B)))
        self.d = nn.Parameter(A.new_full((len(A),), d_initial))

    def delta(self) -> Tensor:
        """(out, in)."""
        A, B = self.get_buffer("A"), self.get_buffer("B")
        return self.b[:, None] * (B @ (self.d[:, None] * A))

    def forward(self, x: Tensor) -> Tensor:
        """b ⊙ (B·(d ⊙ (A·x))), without the matrix."""
        return F.linear(F.linear(x, self.get_buffer("A")) * self.d, self.get_buffer("B")) * self.b
