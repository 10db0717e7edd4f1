"""DoRA: LoRA for the direction of a weight, and a vector for its magnitude."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.methods.branch import Branch
from bench.methods.lora import ConvBranch, LinearBranch, LoRA
from bench.methods.low_rank import Rows, unreduced


@dataclass(frozen=True, repr=False)
class DoRA(LoRA):
    """W' = m ⊙ V/‖V‖ with V = W + (alpha/rank)·B·A, ‖·‖ of each output row. Liu et al. 2024, eq. 5 (arXiv:2402.09353).

    m ∈ R^out starts at ‖W‖, A and B as LoRA's, so the network starts unchanged. The norm is held constant in the
    backward pass (section 4.3). Each range of rows of a fused matrix has its own A, B and m; of a convolution, m has a
    value for each output channel. ViT-B/16 at q and v, rank 8: 294,912 + 24·768 = 313,344 parameters.

    Args:
        rank, alpha, dropout, rank_stabilised, at, blocks, start: as of `LoRA`.
    """

    def on_linear(self, layer: nn.Linear, rows: list[Rows]) -> Branch:
        """Pairs A, B and magnitudes on a Linear."""
        return Directions(layer, self, rows)

    def on_convolution(self, layer: nn.Conv2d) -> Branch:
        """One pair and the magnitudes of the output channels."""
        return KernelDirections(layer, self)


class Directions(LinearBranch):
    """Rows of y ← g ⊙ (y − b + scale·x·Aᵀ·Bᵀ) + b, g = m/‖W + scale·B·A‖, for the host's W and b; g is 1 elsewhere."""

    def __init__(self, host: nn.Linear, method: DoRA, rows: list[Rows]) -> None:
        super().__init__(host, method, rows)
        self.host = (host,)  # in a tuple, so that it is no child of its own child
        norms = norms_of(host.weight)
        self.m = nn.Parameter(torch.cat([norms[start:stop] for start, stop in rows]))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x (…, in), y (…, out)."""
        (host,) = self.host
        return scaled(super().forward(x, y), host.bias, self.excess(host, x))

    def excess(self, host: nn.Linear, x: Tensor) -> Tensor:
        """g − 1 (out,): zero at the start, so that half precision loses nothing of it."""
        with torch.no_grad(), unreduced(x):
            norms = norms_of(host.weight + self.delta())
        pieces, at, taken = [], 0, 0
        for start, stop in self.rows:
            mine = self.m[taken : taken + stop - start] / norms[start:stop] - 1
            pieces.append(F.pad(mine, (start - at, 0)))
            taken, at = taken + stop - start, stop
        return F.pad(torch.cat(pieces), (0, self.out - at))

    @torch.no_grad()
    def fold(self, host: nn.Linear) -> None:
        """W ← m ⊙ V/‖V‖, in the rows adapted."""
        excess = self.excess(host, host.weight)
        super().fold(host)
        host.weight *= 1 + excess[:, None]


class KernelDirections(ConvBranch):
    """y ← g ⊙ (y − b + scale·B∗(A∗x)) + b along the channels, g = m/‖W + scale·B·A‖ of each output channel."""

    def __init__(self, host: nn.Conv2d, method: DoRA) -> None:
        super().__init__(host, method)
        self.host = (host,)
        self.m = nn.Parameter(norms_of(host.weight).clone())

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x (N, in, H, W), y (N, out, H', W')."""
        (host,) = self.host
        bias = None if host.bias is None else host.bias[:, None, None]
        return scaled(super().forward(x, y), bias, self.excess(host, x)[:, None, None])

    def excess(self, host: nn.Conv2d, x: Tensor) -> Tensor:
        """g − 1 (out,)."""
        with torch.no_grad(), unreduced(x):
            norms = norms_of(host.weight + self.delta())
        return self.m / norms - 1

    @torch.no_grad()
    def fold(self, host: nn.Conv2d) -> None:
        """W ← m ⊙ V/‖V‖ of each output channel."""
        excess = self.excess(host, host.weight)
        super().fold(host)
        host.weight *= 1 + excess[:, None, None, None]


@torch.no_grad()
def norms_of(weight: Tensor) -> Tensor:
    """‖·‖ (out,) of each row, or of each output channel of a kernel; a row of zeros has the least number above zero."""
    found = torch.linalg.vector_norm(weight.flatten(1), dim=1)
    return found.clamp_min(torch.finfo(found.dtype).tiny)


def scaled(y: Tensor, bias: Any, excess: Tensor) -> Tensor:
    """y + h ⊙ (y − b), of which y alone is kept for the backward pass."""
    excess = excess.to(y.dtype)
    found = torch.addcmul(y, y, excess)
    return found if bias is None else found.sub_((excess * bias).to(y.dtype))
