"""(IA)³: learned factors on keys, values and what enters the MLP's last layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench.errors import BadInput
from bench.methods.branch import Branch, attach
from bench.methods.low_rank import Rows, layers, like, ungrouped, whole
from bench.methods.method import Method, freeze
from bench.sites import Site
from bench.space import Range, Space


@dataclass(frozen=True, repr=False)
class IA3(Method):
    """k ← l_k ⊙ k, v ← l_v ⊙ v, and down(h) ← down(l ⊙ h). Liu et al. 2022, section 3.3 (arXiv:2205.05638).

    Every l starts at one. The role `down` is rescaled at its input, every other at its output; all of it folds into
    the weights and biases.

    Args:
        at: roles to rescale (`bench.sites`): q k v o qkv up down conv proj patch.
        blocks: all (None), the first n, the last n (-n), or a range (start, stop).
    """

    at: tuple[str, ...] = ("k", "v", "down")
    blocks: int | tuple[int, int] | None = None

    space: ClassVar[Space] = {**Method.space, "lr": Range(1e-3, 1e-1, log=True, default=1e-2)}

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Freezes the backbone and hangs factors on every layer selected.

        Raises:
            BadInput: no site matches, or a layer is neither Linear nor an ungrouped Conv2d.
        """
        freeze(model)
        entered = {site.path for site in sites if site.role == "down"}
        for path, layer, rows in layers(model, sites, self):
            if not isinstance(layer, nn.Linear) and not ungrouped(layer):
                raise BadInput(f"IA3 cannot rescale {path}: {type(layer).__name__} is no Linear or ungrouped Conv2d")
            weight: Any = layer.weight
            if path in entered:
                attach(layer, "ia3", InputFactor(layer, weight.shape[1]))
            else:
                ranges = whole(layer, rows, self.at) if isinstance(layer, nn.Linear) else [(0, len(weight))]
                attach(layer, "ia3", OutputFactor(layer, ranges))


class InputFactor(Branch):
    """x ← l ⊙ x along the channels."""

    def __init__(self, host: nn.Module, width: int) -> None:
        super().__init__()
        self.l = nn.Parameter(torch.ones(width, **like(host)))
        self.maps = isinstance(host, nn.Conv2d)

    def before(self, x: Tensor) -> Tensor:
        """x (…, in), or (N, in, H, W)."""
        return x * (self.l[:, None, None] if self.maps else self.l)

    @torch.no_grad()
    def fold(self, host: Any) -> None:
        """Scales the columns of W."""
        host.weight *= self.l.view(1, -1, *[1] * (host.weight.ndim - 2))


class OutputFactor(Branch):
    """y ← l ⊙ y for ranges of output rows.

    Args:
        host: the layer rescaled.
        rows: half-open, ascending, disjoint ranges.
    """

    def __init__(self, host: nn.Module, rows: list[Rows]) -> None:
        super().__init__()
        self.rows, self.maps = rows, isinstance(host, nn.Conv2d)
        self.l = nn.Parameter(torch.ones(sum(stop - start for start, stop in rows), **like(host)))

    def whole(self, height: int) -> Tensor:
        """l of all `height` rows: one where nothing is rescaled."""
        parts, at, taken = [], 0, 0
        for start, stop in self.rows:
            parts += [self.l.new_ones(start - at), self.l[taken : taken + stop - start]]
            taken, at = taken + stop - start, stop
        return torch.cat([*parts, self.l.new_ones(height - at)])

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """y (…, out), or (N, out, H, W)."""
        factor = self.whole(y.shape[1 if self.maps else -1])
        return y * (factor[:, None, None] if self.maps else factor)

    @torch.no_grad()
    def fold(self, host: Any) -> None:
        """Scales rows of W and the bias."""
        factor = self.whole(len(host.weight))
        host.weight *= factor.view(-1, *[1] * (host.weight.ndim - 1))
        if host.bias is not None:
            host.bias *= factor
