"""PiSSA: LoRA that starts from the largest singular values of the weight."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench.methods.branch import attach
from bench.methods.lora import ConvBranch, LinearBranch, LoRA
from bench.methods.method import Method
from bench.sites import Site


@dataclass(frozen=True, repr=False)
class PiSSA(Method):
    """W ← W_res + B·A, with B = U_r·S_r^½, A = S_r^½·V_rᵀ of W = U·S·Vᵀ and W_res = W − B·A frozen.

    Meng et al. 2024, eq. 2 to 4 (arXiv:2404.02948). The network starts as it was, up to rounding. Where `q`, `k` and
    `v` are rows of one matrix, each has a decomposition of its own; a k×k convolution is one matrix (out, in·k·k).
    W itself stays as it is: a frozen branch takes the product B·A at the start off again, which is unique, so that it
    can be made anew from W, and A and B alone are stored. The scale is one, as in the paper.

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
        """Freezes the backbone, hangs LoRA's branches, and moves the principal part of each weight into them.

        Raises:
            BadInput: as LoRA's.
        """
        LoRA(rank=self.rank, alpha=self.rank, at=self.at, blocks=self.blocks).apply(model, sites)
        hung = [(host, branch) for host in model.modules() for branch in host.children()]
        for host, branch in hung:
            if isinstance(host, nn.Linear) and isinstance(branch, LinearBranch):
                _start_linear(host, branch)
            elif isinstance(host, nn.Conv2d) and isinstance(branch, ConvBranch):
                _start_conv(host, branch)
            else:
                continue
            attach(host, "start", _taken_off(branch))


@torch.no_grad()
def _start_linear(host: nn.Linear, branch: LinearBranch) -> None:
    taken = 0
    for number, (start, stop) in enumerate(branch.rows):
        up, down = principal(host.weight[start:stop], branch.rank)
        branch.B[taken : taken + stop - start] = up
        branch.A[number * branch.rank : (number + 1) * branch.rank] = down
        taken += stop - start


@torch.no_grad()
def _start_conv(host: nn.Conv2d, branch: ConvBranch) -> None:
    up, down = principal(host.weight.flatten(1), branch.A.out_channels)
    branch.B.weight[..., 0, 0] = up
    branch.A.weight.copy_(down.view_as(branch.A.weight))


def _taken_off(branch: LinearBranch | ConvBranch) -> LinearBranch | ConvBranch:
    """The same branch with the opposite sign and buffers for parameters, which no checkpoint holds."""
    start = copy.deepcopy(branch)
    start.scale = -start.scale
    for module in list(start.modules()):
        for name, parameter in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, parameter.detach(), persistent=False)
    return start


def principal(weight: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """U_r·S_r^½ (out, rank) and S_r^½·V_rᵀ (rank, in) of W (out, in); decomposed in float32 at least."""
    wide = weight if weight.dtype in (torch.float32, torch.float64) else weight.float()
    u, s, vt = torch.linalg.svd(wide, full_matrices=False)
    root = s[:rank].sqrt()
    return (u[:, :rank] * root).to(weight.dtype), (root[:, None] * vt[:rank]).to(weight.dtype)
