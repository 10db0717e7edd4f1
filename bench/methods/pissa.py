"""PiSSA: LoRA that starts from the largest singular values of the weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench.methods.branch import Branch
from bench.methods.lora import ConvBranch, LinearBranch, LoRA
from bench.methods.low_rank import Rows
from bench.methods.method import Method
from bench.sites import Site


@dataclass(frozen=True, repr=False)
class PiSSA(Method):
    """W ← W_res + B·A, with B = U_r·S_r^½, A = S_r^½·V_rᵀ of W = U·S·Vᵀ and W_res = W − B·A frozen.

    Meng et al. 2024, eq. 2 to 4 (arXiv:2404.02948). Where `q`, `k` and `v` are rows of one matrix, each has a
    decomposition of its own; a k×k convolution is one matrix (out, in·k·k). W itself stays as it is: what is added to
    it is B·A − B₀·A₀ = (B − B₀)·A + B₀·(A − A₀), so that the network starts exactly as it was and half precision keeps
    small changes of the large factors. B₀ and A₀ are made again from W (their product is unique): A and B alone are
    stored. The scale is one, as in the paper.

    Args:
        rank: r ≥ 1, at most the smaller side of the matrix.
        at: roles to adapt (`bench.sites`): q k v o qkv up down conv proj patch.
        blocks: all (None), the first n, the last n (-n), or a range (start, stop).
    """

    rank: int = 8
    at: tuple[str, ...] = ("q", "v")
    blocks: int | tuple[int, int] | None = None

    shows: ClassVar[tuple[str, ...]] = ("rank", "at")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("rank", 1)

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Freezes the backbone and hangs pairs on every layer selected, at the principal part of its weight.

        Raises:
            BadInput: as LoRA's.
        """
        _Pairs(rank=self.rank, alpha=self.rank, at=self.at, blocks=self.blocks).apply(model, sites)


@dataclass(frozen=True, repr=False)
class _Pairs(LoRA):
    def on_linear(self, layer: nn.Linear, rows: list[Rows]) -> Branch:
        return Principal(layer, self, rows)

    def on_convolution(self, layer: nn.Conv2d) -> Branch:
        return PrincipalKernel(layer, self)


class Principal(LinearBranch):
    """y ← y + x·(B·A − B₀·A₀)ᵀ on a Linear, with a decomposition for each range of output rows."""

    A0: Tensor
    B0: Tensor

    def __init__(self, host: nn.Linear, method: LoRA, rows: list[Rows]) -> None:
        super().__init__(host, method, rows)
        found = [principal(host.weight.detach()[start:stop], method.rank) for start, stop in rows]
        for name, parameter, start in zip("BA", (self.B, self.A), zip(*found, strict=True), strict=True):
            _begin(self, name, parameter, torch.cat(start))

    def pair(self) -> tuple[Tensor, Tensor]:
        """[B − B₀, B₀] and [A; A − A₀]."""
        up = torch.cat([self.spread(self.B - self.B0), self.spread(self.B0)], dim=1)
        return up, torch.cat([self.A, self.A - self.A0])


class PrincipalKernel(ConvBranch):
    """y ← y + (B∗A − B₀∗A₀)∗x on an ungrouped convolution."""

    A0: Tensor
    B0: Tensor

    def __init__(self, host: nn.Conv2d, method: LoRA) -> None:
        super().__init__(host, method)
        up, down = principal(host.weight.detach().flatten(1), method.rank)
        _begin(self, "B", self.B.weight, up[..., None, None])
        _begin(self, "A", self.A.weight, down.view_as(self.A.weight))

    def pair(self) -> tuple[Tensor, Tensor]:
        """[B − B₀, B₀] and [A; A − A₀], as kernels."""
        up, down = self.B.weight, self.A.weight
        return torch.cat([up - self.B0, self.B0], dim=1), torch.cat([down, down - self.A0])


@torch.no_grad()
def _begin(branch: Branch, name: str, parameter: Tensor, start: Tensor) -> None:
    parameter.copy_(start)
    branch.register_buffer(f"{name}0", start.contiguous(), persistent=False)


def principal(weight: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """U_r·S_r^½ (out, rank) and S_r^½·V_rᵀ (rank, in) of W (out, in); decomposed in float32 at least."""
    wide = weight if weight.dtype in (torch.float32, torch.float64) else weight.float()
    u, s, vt = torch.linalg.svd(wide, full_matrices=False)
    root = s[:rank].sqrt()
    return (u[:, :rank] * root).to(weight.dtype), (root[:, None] * vt[:rank]).to(weight.dtype)
