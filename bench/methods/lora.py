"""LoRA: a low-rank update beside a frozen weight."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import BadInput, unknown
from bench.methods.branch import Branch, attach
from bench.methods.low_rank import (
    Rows,
    check_rank,
    layers,
    like,
    margins,
    pads_by_size,
    random,
    refused,
    ungrouped,
    whole,
    width_of,
    zeros,
)
from bench.methods.method import Method, freeze
from bench.sites import Site
from bench.space import Range, Space

STARTS = ("uniform", "normal", "B")


@dataclass(frozen=True, repr=False)
class LoRA(Method):
    """W ← W + (alpha/rank)·B·A, A ∈ R^(rank×in), B ∈ R^(out×rank). Hu et al. 2021, eq. 3 (arXiv:2106.09685).

    B starts at zero and A random, so the network starts unchanged. In a fused query-key-value Linear, `q`, `k` and `v`
    each have an A and a B of their own, which write to their own rows; the role `qkv` is one pair over the whole
    matrix. A k×k convolution has a k×k A and a 1×1 B.

    Args:
        rank: r ≥ 1, at most the smaller side of the matrix.
        alpha: numerator of the scaling.
        dropout: probability with which an entry of the branch's input is dropped in training.
        rank_stabilised: scale by alpha/√rank instead of alpha/rank. Kalajdzievski 2023 (arXiv:2312.03732).
        at: roles to adapt (`bench.sites`): q k v o qkv up down conv proj patch.
        blocks: all (None), the first n, the last n (-n), or a range (start, stop).
        start: "uniform": A is Kaiming uniform, as the authors have it; "normal": A is from N(0, 1/rank²); "B": A is
            zero and B Kaiming uniform (Hayou et al. 2024, arXiv:2406.08447).
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    rank_stabilised: bool = False
    at: tuple[str, ...] = ("q", "v")
    blocks: int | tuple[int, int] | None = None
    start: str = "uniform"

    shows: ClassVar[tuple[str, ...]] = ("rank", "at")
    space: ClassVar[Space] = {**Method.space, "alpha": Range(2.0, 128.0, log=True), "dropout": Range(0.0, 0.2)}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("rank", 1)
        self.above("alpha", 0)
        if not 0 <= self.dropout < 1:
            raise BadInput(f"dropout {self.dropout}: {type(self).__name__} needs 0 ≤ dropout < 1")
        if self.start not in STARTS:
            raise unknown(f"start of {type(self).__name__}", str(self.start), STARTS)

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
                attach(layer, "lora", self.on_linear(layer, whole(layer, rows, self.at)))
            elif isinstance(layer, nn.Conv2d) and ungrouped(layer):
                attach(layer, "lora", self.on_convolution(layer))
            else:
                raise refused(self, path, layer)

    def on_linear(self, layer: nn.Linear, rows: list[Rows]) -> Branch:
        """What hangs on a Linear, for ranges of its output rows."""
        return LinearBranch(layer, self, rows)

    def on_convolution(self, layer: nn.Conv2d) -> Branch:
        """What hangs on an ungrouped convolution."""
        return ConvBranch(layer, self)


def begin(A: Tensor, B: Tensor, method: LoRA) -> None:
    """Where another start is asked for than that of B at zero and A Kaiming uniform, which stand already."""
    if method.start == "normal":
        nn.init.normal_(A, std=1 / method.rank)  # peft's "gaussian"
    elif method.start == "B":
        nn.init.zeros_(A)
        nn.init.kaiming_uniform_(B, a=math.sqrt(5))


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
        self.A = random(host, len(rows) * method.rank, host.in_features)
        self.B = zeros(host, sum(heights), method.rank)
        begin(self.A, self.B, method)

    def spread(self, up: Tensor) -> Tensor:
        """A B (sum of rows, rank) as one matrix (out, n·rank): block-diagonal, zero in rows that are not adapted."""
        if self.rows == [(0, self.out)]:
            return up
        parts, at, taken = [], 0, 0
        for i, (start, stop) in enumerate(self.rows):
            block = up[taken : taken + stop - start]
            after = len(self.rows) - 1 - i
            below = self.out - stop if after == 0 else 0
            parts.append(F.pad(block, (i * self.rank, after * self.rank, start - at, below)))
            taken, at = taken + stop - start, stop
        return torch.cat(parts)

    def pair(self) -> tuple[Tensor, Tensor]:
        """B (out, n·rank) and A (n·rank, in): the update is scale·B·A."""
        return self.spread(self.B), self.A

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x (…, in), y (…, out). The product is added in place: a Linear's backward does not need its output."""
        up, down = self.pair()
        low = F.linear(F.dropout(x, self.dropout, self.training), down * self.scale)
        y.flatten(0, -2).addmm_(low.flatten(0, -2).to(y.dtype), up.t().to(y.dtype))
        return y

    def delta(self) -> Tensor:
        """ΔW (out, in)."""
        up, down = self.pair()
        return self.scale * up @ down

    @torch.no_grad()
    def fold(self, host: nn.Linear) -> None:
        """W ← W + ΔW."""
        host.weight += self.delta()


class ConvBranch(Branch):
    """y ← y + scale·B∗(A∗x) on an ungrouped convolution: A k×k to `rank` channels, B 1×1.

    A has the host's stride, padding and dilation; where the host pads by the size of its input, as TensorFlow does
    (timm's Conv2dSame), so does A. What else a host does to its weight before use is not A's.
    """

    def __init__(self, host: nn.Conv2d, method: LoRA) -> None:
        super().__init__()
        check_rank(method.rank, min(width_of(host), host.out_channels))
        same = ("stride", "padding", "dilation", "padding_mode")
        shape: dict[str, Any] = {name: getattr(host, name) for name in same}
        self.scale, self.dropout = method.scale, method.dropout
        self.pads = pads_by_size(host)
        kernel: Any = host.kernel_size
        self.A = nn.Conv2d(host.in_channels, method.rank, kernel, bias=False, **shape, **like(host))
        self.B = nn.Conv2d(method.rank, host.out_channels, 1, bias=False, **like(host))
        nn.init.kaiming_uniform_(self.A.weight, a=math.sqrt(5))
        nn.init.zeros_(self.B.weight)
        begin(self.A.weight, self.B.weight, method)

    def pair(self) -> tuple[Tensor, Tensor]:
        """B (out, n, 1, 1) and A (n, in, k, k): the update is scale·B·A, contracted over n."""
        return self.B.weight, self.A.weight

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x (N, in, H, W), y (N, out, H', W')."""
        x = F.dropout(x, self.dropout, self.training)
        x = F.pad(x, margins(self.A, x)) if self.pads else x
        up, down = self.pair()
        return y + F.conv2d(self.A._conv_forward(x, down, None), up * self.scale)

    def delta(self) -> Tensor:
        """ΔW (out, in, k, k)."""
        up, down = self.pair()
        return self.scale * torch.einsum("or,rikl->oikl", up[..., 0, 0], down)

    @torch.no_grad()
    def fold(self, host: nn.Conv2d) -> None:
        """W ← W + ΔW."""
        host.weight += self.delta()
