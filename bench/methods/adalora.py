"""AdaLoRA: LoRA whose ranks are taken, while it trains, from the layers that need them least."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import BadInput
from bench.methods.low_rank import Part, Rows, check_rank, like, update_layers, width_of, zeros
from bench.methods.method import Method
from bench.sites import Site
from bench.space import Range, Space

SMOOTHING = 0.85
"""β₁ and β₂ of equations 9 and 10."""


@dataclass(frozen=True, repr=False)
class AdaLoRA(Method):
    """W ← W + (alpha/start_rank)·P·Λ·Q, of which the most important λ stay. Zhang et al. 2023, eq. 3
    (arXiv:2303.10512).

    P ∈ R^(out×start_rank) and Q ∈ R^(start_rank×in) start normal with deviation 0.02, the diagonal Λ at zero, so the
    network starts unchanged. A penalty keeps P and Q near orthogonal: the mean over all of ‖PᵀP − I‖_F and ‖QQᵀ − I‖_F
    (the authors' code; eq. 4 has the sum of squares). A triplet's importance is that of λ plus the means of those of
    its column of P and its row of Q: each |w·∂w|, smoothed, times its smoothed deviation (eq. 8 to 11). From
    `initial` to 1 − `final` of the steps the number of triplets falls along a cubic (eq. 12) from start_rank to `rank`
    times the matrices; the λ of the others are zero, and stay so to the end.

    Parameters are counted at that end, a triplet of in + out + 1 each, with the start's beside; where the layers differ
    in size, as if each kept `rank`. Memory and time of a step are the start's, and the checkpoint has what is zero too.
    Where the best epoch comes before the budget is reached, its weights have more triplets than the budget.

    Args:
        rank: of the end, on average over the matrices; r ≥ 1.
        start_rank: of every matrix at the start, at most its smaller side.
        alpha: numerator of the scaling.
        orthogonality: weight of the penalty, γ.
        initial: share of the steps before any triplet is switched off.
        final: share of the steps that train what is left.
        every: steps between two allocations; ΔT.
        at: roles to adapt (`bench.sites`): q k v o qkv up down conv proj patch.
        blocks: all (None), the first n, the last n (-n), or a range (start, stop).
    """

    rank: int = 8
    start_rank: int = 12
    alpha: float = 16.0
    orthogonality: float = 0.5
    initial: float = 0.1
    final: float = 0.3
    every: int = 10
    at: tuple[str, ...] = ("q", "v")
    blocks: int | tuple[int, int] | None = None

    shows: ClassVar[tuple[str, ...]] = ("rank", "at")
    space: ClassVar[Space] = {**Method.space, "alpha": Range(2.0, 128.0, log=True)}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("rank", 1)
        self.at_least("every", 1)
        self.at_least("orthogonality", 0)
        self.above("alpha", 0)
        if self.start_rank < self.rank:
            raise BadInput(f"start_rank {self.start_rank}: AdaLoRA needs start_rank ≥ rank, which is {self.rank}")
        if self.initial < 0 or self.final < 0 or self.initial + self.final >= 1:
            raise BadInput(f"initial {self.initial}, final {self.final}: AdaLoRA needs 0 ≤ each, and a sum below 1")

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Freezes the backbone and hangs triplets on every layer selected.

        Raises:
            BadInput: no site matches, the start's rank exceeds a layer's smaller side, or the layer is neither Linear
                nor an ungrouped Conv2d.
        """
        update_layers(model, sites, self, lambda layer, rows: Triplets(layer, rows, self))

    def penalty(self, model: nn.Module) -> Tensor | None:
        """orthogonality · mean of ‖PᵀP − I‖_F and ‖QQᵀ − I‖_F."""
        if not self.orthogonality:
            return None
        found = [_from_identity(each) for t in triplets(model) for each in (t.Q @ t.Q.mT, t.P.mT @ t.P)]
        return self.orthogonality * torch.stack(found).mean()

    def after_step(self, model: nn.Module, step: int, steps: int) -> None:
        """Weighs every entry by its gradient, and switches off what the budget of this step does not hold."""
        first, last = round(self.initial * steps), steps - round(self.final * steps)
        parts = triplets(model)
        if step < last:
            for part in parts:
                part.weigh()
        if step == last or (first < step < last and step % self.every == 0):
            left = max(0.0, 1 - (step - first) / max(1, last - first)) ** 3
            end, start = (rank * len(parts) for rank in (self.rank, self.start_rank))
            allocate(parts, int((start - end) * left) + end)
        elif step > last:
            for part in parts:
                part.E.mul_(part.get_buffer("kept"))

    def removed(self, model: nn.Module) -> int:
        """(start_rank − rank)·(in + out + 1) of every matrix."""
        sides = [part.P.shape[0] + part.Q.shape[1] + 1 for part in triplets(model)]
        return (self.start_rank - self.rank) * sum(sides)


class Triplets(Part):
    """ΔW = scale·P·Λ·Q, with what training remembers of every entry: in buffers that no checkpoint needs."""

    def __init__(self, layer: Any, rows: Rows, method: AdaLoRA) -> None:
        super().__init__()
        height, width, rank = rows[1] - rows[0], width_of(layer), method.start_rank
        check_rank(rank, min(height, width))
        self.scale = method.alpha / rank
        self.P = nn.Parameter(torch.empty(height, rank, **like(layer)).normal_(std=0.02))
        self.E = zeros(layer, rank)
        self.Q = nn.Parameter(torch.empty(rank, width, **like(layer)).normal_(std=0.02))
        for name, p in (("P", self.P), ("E", self.E), ("Q", self.Q)):
            for what in ("sensitivity", "deviation"):
                self.register_buffer(f"{what}_{name}", torch.zeros_like(p), persistent=False)
        self.register_buffer("kept", torch.ones_like(self.E), persistent=False)

    def delta(self) -> Tensor:
        """(out, in)."""
        return self.P @ (self.Q * (self.E * self.scale)[:, None])

    def forward(self, x: Tensor) -> Tensor:
        """x (…, in), without the matrix."""
        return F.linear(F.linear(x, self.Q * (self.E * self.scale)[:, None]), self.P)

    def weigh(self) -> None:
        """Smooths |w·∂w| of every entry, and how far it is from its own mean."""
        for name in "PEQ":
            p = getattr(self, name)
            if p.grad is not None:
                mean, deviation = self.get_buffer(f"sensitivity_{name}"), self.get_buffer(f"deviation_{name}")
                now = (p * p.grad).abs()
                mean.lerp_(now, 1 - SMOOTHING)
                deviation.lerp_((now - mean).abs(), 1 - SMOOTHING)

    def importance(self) -> Tensor:
        """(start_rank,)."""
        P, E, Q = (self.get_buffer(f"sensitivity_{n}") * self.get_buffer(f"deviation_{n}") for n in "PEQ")
        return E + P.mean(0) + Q.mean(1)


def triplets(model: nn.Module) -> list[Triplets]:
    """Those of every matrix."""
    return [module for module in model.modules() if isinstance(module, Triplets)]


def allocate(parts: Sequence[Triplets], budget: int) -> None:
    """Keeps the `budget` most important triplets of all; the λ of the others become zero."""
    scores = torch.cat([part.importance() for part in parts])
    kept = torch.zeros_like(scores).index_fill(0, scores.topk(min(budget, len(scores))).indices, 1)
    for part, mask in zip(parts, kept.split([len(part.E) for part in parts]), strict=True):
        part.get_buffer("kept").copy_(mask)
        part.E.mul_(mask)


def _from_identity(gram: Tensor) -> Tensor:
    return (gram - torch.eye(len(gram), device=gram.device, dtype=gram.dtype)).norm()
