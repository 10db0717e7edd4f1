"""DoRA: LoRA for the direction of a weight, and a vector for its magnitude."""

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
class DoRA(Method):
    """W' = m ⊙ V/‖V‖ with V = W + (alpha/rank)·B·A, ‖·‖ of each output row. Liu et al. 2024, eq. 5 (arXiv:2402.09353).

    m ∈ R^out starts at ‖W‖, A as a Linear's weight does, B at zero, so the network starts unchanged. The norm is held
    constant in the backward pass (section 4.3). Each range of rows of a fused matrix has its own A, B and m.

    Args:
        rank: r ≥ 1, at most the smaller side of the matrix.
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
        """Freezes the backbone and hangs a branch on every Linear selected.

        Raises:
            BadInput: no site matches, a layer is no Linear, or the rank exceeds its smaller side.
        """
        freeze(model)
        for path, layer, rows in layers(model, sites, self):
            if not isinstance(layer, nn.Linear):
                raise BadInput(f"DoRA cannot adapt {path}: {type(layer).__name__} is no Linear")
            attach(layer, "dora", Directions(layer, self, whole(layer, rows, self.at)))


class Directions(Branch):
    """Rows of y ← g ⊙ (y − b + x·ΔWᵀ) + b, g = m/‖W + ΔW‖, for the host's W and b and each range of rows.

    Args:
        host: the Linear adapted, weight (out, in).
        method: rank and alpha.
        rows: half-open, ascending, disjoint ranges of the host's output rows.
    """

    def __init__(self, host: nn.Linear, method: DoRA, rows: list[Rows]) -> None:
        super().__init__()
        self.host = (host,)  # in a tuple, so that it is no child of its own child
        self.rows, self.scale = rows, method.alpha / method.rank
        self.A, self.B, self.m = nn.ParameterList(), nn.ParameterList(), nn.ParameterList()
        for start, stop in rows:
            check_rank(method.rank, min(host.in_features, stop - start))
            down = torch.empty(method.rank, host.in_features, **like(host))
            nn.init.kaiming_uniform_(down, a=math.sqrt(5))
            self.A.append(nn.Parameter(down))
            self.B.append(nn.Parameter(torch.zeros(stop - start, method.rank, **like(host))))
            self.m.append(nn.Parameter(_norms(host.weight.detach()[start:stop]).clone()))

    def _pieces(self) -> Any:
        return zip(self.rows, self.A, self.B, self.m, strict=True)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x (…, in), y (…, out)."""
        (host,) = self.host
        for (start, stop), down, up, m in self._pieces():
            with torch.no_grad():
                norms = _norms(host.weight[start:stop] + self.scale * up @ down)
            g = (m / norms).to(y.dtype)
            rows = y[..., start:stop]
            bare = rows - host.bias[start:stop].to(y.dtype) if host.bias is not None else rows
            low = F.linear(F.linear(x, down * self.scale), up).to(y.dtype)
            y = _placed(y, rows + (g - 1) * bare + g * low, start, stop)
        return y

    @torch.no_grad()
    def fold(self, host: nn.Linear) -> None:
        """W ← m ⊙ V/‖V‖, rows by rows."""
        for (start, stop), down, up, m in self._pieces():
            v = host.weight[start:stop] + self.scale * up @ down
            host.weight[start:stop] = (m / _norms(v))[:, None] * v


def _norms(weight: Tensor) -> Tensor:
    """‖·‖ of each row."""
    return torch.linalg.vector_norm(weight, dim=1)


def _placed(y: Tensor, rows: Tensor, start: int, stop: int) -> Tensor:
    """`y` with other values in some rows; `y` itself is needed for the gradient of m."""
    if (start, stop) == (0, y.shape[-1]):
        return rows
    return torch.cat([y[..., :start], rows, y[..., stop:]], dim=-1)
