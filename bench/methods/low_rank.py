"""What methods beside a frozen weight share: which layers they take, and updates of ranges of output rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import BadInput
from bench.methods.branch import Branch, attach
from bench.methods.method import freeze
from bench.sites import MODULE_ROLES, Site, select

Rows = tuple[int, int]


def layers(model: nn.Module, sites: Sequence[Site], method: Any) -> Iterator[tuple[str, nn.Module, list[Rows | None]]]:
    """The layers that a method's `at` and `blocks` select, each once, by path.

    Yields:
        Path, layer, and the half-open ranges of output rows that are selected of it, ascending; None for all rows.

    Raises:
        BadInput: no site matches, or a role is of no layer.
    """
    name = type(method).__name__
    chosen = sorted(select(sites, at=method.at, blocks=method.blocks), key=lambda s: (s.path, s.rows or (0, 0)))
    for site in chosen:
        if site.role in MODULE_ROLES:
            raise BadInput(f"{name} cannot adapt {site.path}: role {site.role!r} is no Linear or ungrouped Conv2d")
    for path, group in groupby(chosen, key=lambda site: site.path):
        yield path, model.get_submodule(path), [site.rows for site in group]


def whole(layer: nn.Linear, rows: Sequence[Rows | None], at: Sequence[str]) -> list[Rows]:
    """The ranges with all rows written out.

    Raises:
        BadInput: some overlap.
    """
    found = [r or (0, layer.out_features) for r in rows]
    if any(a[1] > b[0] for a, b in pairwise(found)):
        raise BadInput(f"at={tuple(at)!r} adapts the same rows twice: give either 'qkv' or some of q, k, v")
    return found


def update_linears(
    model: nn.Module, sites: Sequence[Site], method: Any, make: Callable[[nn.Linear, Rows], Part]
) -> None:
    """Freezes `model` and hangs an update on every Linear selected, with a part for each range of rows.

    Args:
        model: the backbone.
        sites: its sites.
        method: has `at` and `blocks`.
        make: the part of a layer and a range of its output rows.

    Raises:
        BadInput: no site matches, or a layer is no Linear.
    """
    freeze(model)
    for path, layer, rows in layers(model, sites, method):
        if not isinstance(layer, nn.Linear):
            raise BadInput(f"{type(method).__name__} cannot adapt {path}: {type(layer).__name__} is no Linear")
        ranges = whole(layer, rows, method.at)
        attach(layer, "update", Update(ranges, [make(layer, r) for r in ranges]))


def check_rank(rank: int, width: int) -> None:
    """Refuses a rank above the smaller side of a matrix."""
    if rank > width:
        raise BadInput(f"rank {rank}: the layer's smaller side is {width}; use a rank of at most {width}")


def like(layer: nn.Module) -> dict[str, Any]:
    """Device and dtype of new tensors beside a layer."""
    weight: Any = layer.weight
    return {"device": weight.device, "dtype": weight.dtype}


class Part(nn.Module):
    """A ΔW ∈ R^(out×in) of some output rows of a Linear."""

    def delta(self) -> Tensor:
        """ΔW (out, in)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """x (…, in). Returns x·ΔWᵀ (…, out)."""
        return F.linear(x, self.delta())


class Update(Branch):
    """y ← y + x·ΔWᵀ on a Linear, with a ΔW for each range of output rows.

    Args:
        rows: half-open, ascending, disjoint ranges of the host's output rows.
        parts: a ΔW for each.
    """

    def __init__(self, rows: list[Rows], parts: Sequence[Part]) -> None:
        super().__init__()
        self.rows = rows
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x (…, in), y (…, out). Added in place: a Linear's backward does not need its output."""
        for (start, stop), part in zip(self.rows, self.parts, strict=True):
            y[..., start:stop].add_(part(x).to(y.dtype))
        return y

    @torch.no_grad()
    def fold(self, host: nn.Linear) -> None:
        """W ← W + ΔW, rows by rows."""
        for (start, stop), part in zip(self.rows, self.parts, strict=True):
            host.weight[start:stop].add_(part.delta())  # type: ignore[operator]
