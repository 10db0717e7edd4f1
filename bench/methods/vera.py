"""VeRA: frozen random matrices shared by all layers, and two vectors a layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import BadInput
from bench.methods.low_rank import Part, Rows, layers, like, update_layers, whole, zeros
from bench.methods.method import Method
from bench.sites import Site
from bench.space import Range, Space


@dataclass(frozen=True, repr=False)
class VeRA(Method):
    """W ← W + Λ_b·B·Λ_d·A, A ∈ R^(rank×in), B ∈ R^(out×rank) frozen. Kopiczko et al. 2023, eq. 2 (arXiv:2310.11454).

    b ∈ R^out starts at zero and d ∈ R^rank at `d_initial`; they alone train and count: out + rank a layer, 43,008 of
    RoBERTa-base at rank 1,024. All layers share A and B (as many columns and rows of them as a layer has), which are
    Kaiming-uniform numbers that `projection_seed` gives again: they take memory and are not in the checkpoint.

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
        widths, heights, kind = [1], [1], dict[str, Any]()
        for path, layer, rows in layers(model, sites, self):
            if not isinstance(layer, nn.Linear):
                raise BadInput(f"VeRA cannot adapt {path}: {type(layer).__name__} is no Linear")
            kind = like(layer)
            widths.append(layer.in_features)
            heights += [stop - start for start, stop in whole(layer, rows, self.at)]
        shared = Projections(self.projection_seed, self.rank, max(widths), max(heights), **kind)
        update_layers(model, sites, self, lambda layer, rows: Vectors(shared, layer, rows, self.d_initial))


class Projections(nn.Module):
    """A (rank, width) and B (height, rank): one module in all branches, which moving the network leaves one.

    They are no part of a `state_dict`: the seed gives them again, on any device the same. As of the authors' code (and
    peft's, number for number): uniform within √(6/columns), A drawn first.
    """

    A: Tensor
    B: Tensor

    def __init__(
        self, seed: int, rank: int, width: int, height: int, *, device: torch.device, dtype: torch.dtype
    ) -> None:
        super().__init__()
        dice = torch.Generator().manual_seed(seed)
        for name, shape in (("A", (rank, width)), ("B", (height, rank))):
            drawn = torch.empty(shape, device="meta" if device.type == "meta" else "cpu", dtype=torch.float32)
            if device.type != "meta":
                bound = math.sqrt(6 / shape[1])
                drawn.uniform_(-bound, bound, generator=dice)
            self.register_buffer(name, drawn.to(device=device, dtype=dtype), persistent=False)


class Vectors(Part):
    """ΔW = Λ_b·B·Λ_d·A.

    Args:
        shared: has A and B, of which as many columns and rows are used as the layer has.
        layer: the Linear.
        rows: half-open range of its output rows.
        d_initial: of d.
    """

    def __init__(self, shared: Projections, layer: nn.Linear, rows: Rows, d_initial: float) -> None:
        super().__init__()
        self.shared, self.width, self.height = shared, layer.in_features, rows[1] - rows[0]
        self.b = zeros(layer, self.height)
        self.d = nn.Parameter(torch.full((len(shared.A),), d_initial, **like(layer)))

    def matrices(self) -> tuple[Tensor, Tensor]:
        """A (rank, in) and B (out, rank)."""
        return self.shared.A[:, : self.width], self.shared.B[: self.height]

    def delta(self) -> Tensor:
        """(out, in)."""
        A, B = self.matrices()
        return self.b[:, None] * (B @ (self.d[:, None] * A))

    def forward(self, x: Tensor) -> Tensor:
        """b ⊙ (B·(d ⊙ (A·x))), without the matrix."""
        A, B = self.matrices()
        return F.linear(F.linear(x, A) * self.d, B) * self.b
