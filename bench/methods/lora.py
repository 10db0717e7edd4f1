"""LoRA: a low-rank update beside a frozen weight."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import BadInput
from bench.methods.branch import Branch, attach
from bench.methods.low_rank import Rows, check_rank, layers, like, whole
from bench.methods.method import Method, freeze
from bench.sites import Site
from bench.space import Range, Space


@dataclass(frozen=True, repr=False)
class LoRA(Method):
    """W ← W + (alpha/rank)·B·A, A ∈ R^(rank×in), B ∈ R^(out×rank). Hu et al. 2021, eq. 3 (arXiv:2106.09685).

    B starts at zero and A as a Linear's weight does (Kaiming uniform), so the network starts unchanged. In a fused
    query-key-value Linear, `q`, `k` and `v` each have an A and a B of their own, which write to their own rows; the
    role `qkv` is one pair over the whole matrix. A k×k convolution has a k×k A and a 1×1 B.

    Args:
        rank: r ≥ 1, at most the smaller side of the matrix.
        alpha: numerator of the scaling.
        dropout: probability with which an entry of the branch's input is dropped in training.
        rank_stabilised: scale by alpha/√rank instead of alpha/rank. Kalajdzievski 2023 (arXiv:2312.03732).
        at: roles to adapt (`bench.sites`): q k v o qkv up down conv proj patch.
        blocks: all (None), the first n, the last n (-n), or a range (start, stop).
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    rank_stabilised: bool = False
    at: tuple[str, ...] = ("q", "v")
    blocks: int | tuple[int, int] | None = None

    shows: ClassVar[tuple[str, ...]] = ("rank", "at")
    space: ClassVar[Space] = {**Method.space, "alpha": Range(2.0, 128.0, log=True), "dropout": Range(0.0, 0.2)}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("rank", 1)
        self.above("alpha", 0)
        if not 0 <= self.dropout < 1:
            raise BadInput(f"dropout {self.dropout}: LoRA needs 0 ≤ dropout < 1")

    @property
    def scale(self) -> float:
        """What B·A is multiplied by."""
        return self.alpha / (math.sqrt(self.rank) if self.rank_stabilised else self.rank)

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Freezes the backbone and hangs a branch on every layer selected.

        Raises:
            BadInput: no site matches, the rank exceeds a layer's width, or the layer is neither Linear nor an
                ungrouped Conv2d.
        """
        freeze(model)
        for path, layer, rows in layers(model, sites, self):
            if isinstance(layer, nn.Linear):
                branch: Branch = LinearBranch(layer, self, whole(layer, rows, self.at))
            elif isinstance(layer, nn.Conv2d) and layer.groups == 1:
                branch = ConvBranch(layer, self)
            else:
                kind = type(layer).__name__
                raise BadInput(f"{type(self).__name__} cannot adapt {path}: {kind} is no Linear or ungrouped Conv2d")
            attach(layer, "lora", branch)


class LinearBranch(Branch):
    """y ← y + scale·x·Aᵀ·Bᵀ on a Linear, with one (A, B) for each range of output rows.

    Args:
        host: the Linear adapted, weight (out, in).
        method: rank, scale and dropout.
        rows: half-open, ascending, disjoint ranges of the host's output rows.

    The pairs are kept stacked, A (n·rank, in) and B (sum of rows, rank), so that one product serves all.
    """

    def __init__(self, host: nn.Linear, method: LoRA, rows: list[Rows]) -> None:
        super().__init__()
        heights = [stop - start for start, stop in rows]
        check_rank(method.rank, min(host.in_features, *heights))
        self.rows, self.rank, self.scale, self.dropout = rows, method.rank, method.scale, method.dropout
        self.out = host.out_features
        self.A = nn.Parameter(torch.empty(len(rows) * method.rank, host.in_features, **like(host)))
        self.B = nn.Parameter(torch.zeros(sum(heights), method.rank, **like(host)))
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))

    def spread(self) -> Tensor:
        """B as one matrix (out, n·rank): block-diagonal, with zero rows where nothing is adapted."""
        if self.rows == [(0, self.out)]:
            return self.B
        parts, at, taken = [], 0, 0
        for i, (start, stop) in enumerate(self.rows):
            block = self.B[taken : taken + stop - start]
            after = len(self.rows) - 1 - i
            below = self.out - stop if after == 0 else 0
            parts.append(F.pad(block, (i * self.rank, after * self.rank, start - at, below)))
            taken, at = taken + stop - start, stop
        return torch.cat(parts)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x (…, in), y (…, out). The product is added in place: a Linear's backward does not need its output."""
        low = F.linear(F.dropout(x, self.dropout, self.training), self.A * self.scale)
        y.flatten(0, -2).addmm_(low.flatten(0, -2).to(y.dtype), self.spread().t().to(y.dtype))
        return y

    @torch.no_grad()
    def fold(self, host: nn.Linear) -> None:
        """W ← W + scale·B·A."""
        host.weight += self.scale * self.spread() @ self.A


class ConvBranch(Branch):
    """y ← y + scale·B∗(A∗x) on an ungrouped convolution: A k×k to `rank` channels, B 1×1.

    A has the host's stride, padding and dilation; where the host pads by the size of its input, as TensorFlow does
    (timm's Conv2dSame), so does A. What else a host does to its weight before use is not A's.
    """

    def __init__(self, host: nn.Conv2d, method: LoRA) -> None:
        super().__init__()
        check_rank(method.rank, min(host.in_channels * math.prod(host.kernel_size), host.out_channels))
        same = ("stride", "padding", "dilation", "padding_mode")
        shape: dict[str, Any] = {name: getattr(host, name) for name in same}
        self.scale, self.dropout = method.scale, method.dropout
        self.pads = bool(getattr(host, "same_pad", "Same" in type(host).__name__))
        kernel: Any = host.kernel_size
        self.A = nn.Conv2d(host.in_channels, method.rank, kernel, bias=False, **shape, **like(host))
        self.B = nn.Conv2d(method.rank, host.out_channels, 1, bias=False, **like(host))
        nn.init.kaiming_uniform_(self.A.weight, a=math.sqrt(5))
        nn.init.zeros_(self.B.weight)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x (N, in, H, W), y (N, out, H', W')."""
        x = F.dropout(x, self.dropout, self.training)
        return y + self.scale * self.B(self.A(F.pad(x, self.margins(x)) if self.pads else x))

    def margins(self, x: Tensor) -> list[int]:
        """Left, right, above, below: so many that ⌈size/stride⌉ cells come out, the odd one on the right and below."""
        found: list[int] = []
        for size, k, s, d in zip(x.shape[-2:], self.A.kernel_size, self.A.stride, self.A.dilation, strict=True):
            total = max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
            found = [total // 2, total - total // 2, *found]
        return found

    @torch.no_grad()
    def fold(self, host: nn.Conv2d) -> None:
        """W ← W + scale·B·A, contracted over the rank."""
        host.weight += self.scale * torch.einsum("or,rikl->oikl", self.B.weight[..., 0, 0], self.A.weight)
