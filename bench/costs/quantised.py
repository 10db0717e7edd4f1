"""Linear layers whose frozen weight is stored in 8 or 4 bits, as far as memory goes.

As bitsandbytes does it (arXiv:2305.14314): the weight is packed with its scales, and unpacked to the precision of the
product, once in the forward and once in the backward pass; nothing else is kept.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BYTES = {"int8": 1.0, "nf4": 0.5 + 4 / 64, "nf4 double": 0.5 + 1 / 64 + 4 / (64 * 256)}
"""Bytes a weight: its bits, and a scale in float32 for each 64, or one in 8 bits with one in float32 for 256."""


def pack(layer: nn.Linear, kind: str) -> None:
    """Stores a layer's frozen weight packed, in shape and dtype alone: no value survives.

    Args:
        layer: on any device; its bias stays.
        kind: one of `BYTES`.
    """
    weight = layer.weight
    packed = torch.empty(round(weight.numel() * BYTES[kind]), dtype=torch.uint8, device=weight.device)
    shape, dtype = weight.shape, weight.dtype
    layer.weight = nn.Parameter(packed, requires_grad=False)
    layer.forward = partial(_forward, layer, shape, dtype)  # type: ignore[method-assign]


def _forward(layer: nn.Linear, shape: torch.Size, dtype: torch.dtype, x: Tensor) -> Tensor:
    kind = x.device.type
    if kind != "meta" and torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
    y: Tensor = _Unpacked.apply(x.to(dtype), layer.weight, shape)  # type: ignore[no-untyped-call]
    return y if layer.bias is None else y + layer.bias.to(dtype)


class _Unpacked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, packed: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(packed)
        ctx.shape = shape
        return F.linear(x, x.new_empty(shape))

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> Any:
        return given[0] @ given[0].new_empty(ctx.shape), None, None
