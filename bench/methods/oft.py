"""OFT: rotations of what enters a layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench.errors import BadInput
from bench.methods.branch import Branch, attach
from bench.methods.low_rank import (
    KernelUpdate,
    Part,
    Rows,
    Update,
    layers,
    like,
    refused,
    ungrouped,
    unreduced,
    whole,
    width_of,
)
from bench.methods.method import Method, freeze
from bench.sites import Site


@dataclass(frozen=True, repr=False)
class OFT(Method):
    """W ← W·Rᵀ, R ∈ R^(in×in) orthogonal: blocks (I − Q)·(I + Q)⁻¹, Q = −Qᵀ. Qiu et al. 2023, eq. 4 (arXiv:2306.07280).

    The angles between the rows of W stay. Q is zero at first, so the network starts unchanged. Where all output rows
    of a Linear are selected, Rᵀ turns the input (as Qiu et al. 2025, arXiv:2506.19847), at O(block_size) a feature; a
    range of rows, and a convolution (its kernel as a matrix (out, in·k·k)), are turned as matrices.
    A layer has in·(block_size − 1)/2 parameters, a fused matrix for each of q, k and v selected.

    Args:
        block_size: b > 1 of the blocks on R's diagonal; it divides the layer's inputs.
        at: roles to adapt (`bench.sites`): q k v o qkv up down conv proj patch.
        blocks: all (None), the first n, the last n (-n), or a range (start, stop).
    """

    block_size: int = 32
    at: tuple[str, ...] = ("q", "v")
    blocks: int | tuple[int, int] | None = None

    shows: ClassVar[tuple[str, ...]] = ("block_size", "at")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("block_size", 2)

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Freezes the backbone and hangs a rotation on every layer selected.

        Raises:
            BadInput: no site matches, the block size does not divide a layer's inputs, or the layer is neither Linear
                nor an ungrouped Conv2d.
        """
        freeze(model)
        for path, layer, given in layers(model, sites, self):
            if isinstance(layer, nn.Linear):
                rows = whole(layer, given, self.at)
                self._check(path, layer)
                if rows == [(0, layer.out_features)]:
                    attach(layer, "rotation", Turned(layer, self.block_size))
                else:
                    attach(layer, "rotation", Update(rows, [TurnedRows(layer, r, self.block_size) for r in rows]))
            elif isinstance(layer, nn.Conv2d) and ungrouped(layer):
                self._check(path, layer)
                part = TurnedRows(layer, (0, layer.out_channels), self.block_size)
                attach(layer, "rotation", KernelUpdate(layer, part))
            else:
                raise refused(self, path, layer)

    def _check(self, path: str, layer: nn.Module) -> None:
        width, size = width_of(layer), self.block_size
        if width % size:
            fits = min((n for n in range(2, width + 1) if width % n == 0), key=lambda n: (abs(n - size), n))
            raise BadInput(f"block_size {size}: it does not divide the {width} inputs of {path}; {fits} does")


class Blocks(nn.Module):
    """R − I of a layer: the blocks −2·Q·(I + Q)⁻¹, of which the entries above Q's diagonal are the parameters."""

    def __init__(self, layer: nn.Module, size: int) -> None:
        super().__init__()
        number = width_of(layer) // size
        self.Q = nn.Parameter(torch.zeros(number, size * (size - 1) // 2, **like(layer)))
        rows, columns = torch.triu_indices(size, size, 1, device=self.Q.device)
        self.register_buffer("above", rows * size + columns, persistent=False)
        self.size = size

    def forward(self) -> Tensor:
        """(number, size, size); at least in float32."""
        q = self.Q if self.Q.dtype == torch.float64 else self.Q.float()
        upper = q.new_zeros(len(q), self.size**2).index_copy(1, self.get_buffer("above"), q)
        upper = upper.unflatten(1, (self.size, self.size))
        skew = upper - upper.mT
        eye = torch.eye(self.size, device=q.device, dtype=q.dtype)
        with unreduced(q):
            found: Tensor = torch.linalg.solve(eye + skew, -2 * skew, left=False)
        return found


class Turned(Branch):
    """x ← Rᵀ·x before a Linear."""

    def __init__(self, host: nn.Linear, size: int) -> None:
        super().__init__()
        self.rotation = Blocks(host, size)

    def before(self, x: Tensor) -> Tensor:
        """x (…, in)."""
        turn = self.rotation().to(x.dtype)
        folded = x.unflatten(-1, turn.shape[:2])
        return x + torch.einsum("...nk,nkc->...nc", folded, turn).flatten(-2).to(x.dtype)

    @torch.no_grad()
    def fold(self, host: nn.Linear) -> None:
        """W ← W·Rᵀ."""
        host.weight += turned(host.weight, self.rotation())


class TurnedRows(Part):
    """ΔW = W·(R − I)ᵀ for the host's W of some rows.

    Args:
        host: a Linear or an ungrouped convolution.
        rows: half-open range of its output rows.
        size: of a block.
    """

    def __init__(self, host: Any, rows: Rows, size: int) -> None:
        super().__init__()
        self.host, self.rows = (host,), rows  # in a tuple, so that it is no child of its own child
        self.rotation = Blocks(host, size)

    def delta(self) -> Tensor:
        """(out, in), or (out, in·k·k)."""
        (host,) = self.host
        return turned(host.weight[slice(*self.rows)].flatten(1), self.rotation())


def turned(weight: Tensor, turn: Tensor) -> Tensor:
    """W·(R − I)ᵀ for W (out, in) and the blocks of R − I."""
    folded = weight.unflatten(-1, turn.shape[:2])
    return torch.einsum("onc,nkc->onk", folded, turn.to(weight.dtype)).flatten(1)
