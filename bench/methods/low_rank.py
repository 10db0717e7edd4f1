"""What methods beside a frozen weight share: which layers they take, and updates of ranges of output rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
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


def ungrouped(layer: nn.Module) -> bool:
    """Whether a layer is a convolution whose kernel is one matrix, of every input channel to every output channel."""
    return isinstance(layer, nn.Conv2d) and layer.groups == 1


def refused(method: Any, path: str, layer: nn.Module) -> BadInput:
    """What a method says that takes Linears and ungrouped convolutions, and is given another layer."""
    kind = type(layer).__name__
    return BadInput(f"{type(method).__name__} cannot adapt {path}: {kind} is no Linear or ungrouped Conv2d")


def update_layers(
    model: nn.Module, sites: Sequence[Site], method: Any, make: Callable[[Any, Rows], Part], *, kernels: bool = True
) -> None:
    """Freezes `model` and hangs an update on every layer selected, of a Linear with a part for each range of rows.

    Args:
        model: the backbone.
        sites: its sites.
        method: has `at` and `blocks`.
        make: the part of a layer and a range of its output rows.
        kernels: whether the method takes convolutions too.

    Raises:
        BadInput: no site matches, or a layer is neither Linear nor an ungrouped Conv2d.
    """
    freeze(model)
    for path, layer, rows in layers(model, sites, method):
        if isinstance(layer, nn.Linear):
            ranges = whole(layer, rows, method.at)
            attach(layer, "update", Update(ranges, [make(layer, r) for r in ranges]))
        elif not kernels:
            raise BadInput(f"{type(method).__name__} cannot adapt {path}: {type(layer).__name__} is no Linear")
        elif isinstance(layer, nn.Conv2d) and ungrouped(layer):
            attach(layer, "update", KernelUpdate(layer, make(layer, (0, layer.out_channels))))
        else:
            raise refused(method, path, layer)


def check_rank(rank: int, width: int) -> None:
    """Refuses a rank above the smaller side of a matrix."""
    if rank > width:
        raise BadInput(f"rank {rank}: the layer's smaller side is {width}; use a rank of at most {width}")


def like(layer: nn.Module) -> dict[str, Any]:
    """Device and dtype of new tensors beside a layer."""
    weight: Any = layer.weight
    return {"device": weight.device, "dtype": weight.dtype}


def width_of(layer: Any) -> int:
    """Columns of a layer's weight as a matrix (out, in): a kernel's are in·k·k."""
    return layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels * math.prod(layer.kernel_size)


def random(layer: nn.Module, *shape: int) -> nn.Parameter:
    """A parameter that starts as a Linear's weight of that shape does: Kaiming uniform."""
    tensor = torch.empty(shape, **like(layer))
    nn.init.kaiming_uniform_(tensor, a=math.sqrt(5))
    return nn.Parameter(tensor)


def zeros(layer: nn.Module, *shape: int) -> nn.Parameter:
    """A parameter that starts at zero."""
    return nn.Parameter(torch.zeros(shape, **like(layer)))


def unreduced(like: Tensor) -> AbstractContextManager[None]:
    """A context in which no autocast rounds what is small beside a one: norms, and matrices that are solved."""
    return nullcontext() if like.is_meta else torch.autocast(like.device.type, enabled=False)


class Part(nn.Module):
    """A ΔW ∈ R^(out×in) of some output rows of a Linear, or of a convolution with its kernel as a matrix."""

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


class KernelUpdate(Branch):
    """y ← y + ΔW∗x on an ungrouped convolution, padded and strided as its own kernel is."""

    def __init__(self, host: nn.Conv2d, part: Part) -> None:
        super().__init__()
        self.host = (host,)  # in a tuple, so that it is no child of its own child
        self.part = part
        self.kernel = host.weight.shape

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x (N, in, H, W), y (N, out, H', W')."""
        (host,) = self.host
        x = F.pad(x, margins(host, x)) if pads_by_size(host) else x
        return y + nn.Conv2d._conv_forward(host, x, self.part.delta().view(self.kernel), None)

    @torch.no_grad()
    def fold(self, host: nn.Conv2d) -> None:
        """W ← W + ΔW."""
        host.weight += self.part.delta().view(self.kernel)


def pads_by_size(layer: nn.Conv2d) -> bool:
    """Whether a convolution pads by the size of its input, as TensorFlow does (timm's Conv2dSame)."""
    return bool(getattr(layer, "same_pad", "Same" in type(layer).__name__))


def margins(layer: nn.Conv2d, x: Tensor) -> list[int]:
    """Left, right, above, below: so many that ⌈size/stride⌉ cells come out, the odd one on the right and below."""
    found: list[int] = []
    for size, k, s, d in zip(x.shape[-2:], layer.kernel_size, layer.stride, layer.dilation, strict=True):
        total = max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
        found = [total // 2, total - total // 2, *found]
    return found
