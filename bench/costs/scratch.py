"""Scratch space of kernels on a CPU: what convolutions, attention and sums make and free before they end.

oneDNN, which computes most of them, has layouts of its own: blocks of 8 or 16 channels, as many as a register holds
numbers. So a convolution copies its input and its weight into them, and its output back, and frees the copies again.
torch's dispatcher sees none of that; its allocator does, and it is often the peak of a CNN's step on a CPU. What is
here was read off torch's profiler (torch 2.14, AVX2 and AVX512), one convolution after the other.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

FLAT = 4
"""Inputs of fewer channels, pictures, are read as they lie."""
WIDE = 14
"""Kernels up to so wide have a path of their own for their weight's gradient; wider ones multiply matrices."""
DEEP = 3
"""The same of depthwise kernels."""
FEW = 16
"""Samples below which one thread computes 1×1 convolutions without oneDNN (`use_mkldnn` in ATen's Convolution.cpp)."""
SMALL = 20_480
"""Values of a single sample up to which kernels of up to 3×3 are ATen's own."""


ELEMENTWISE = frozenset(
    getattr(torch.ops.aten, name + end) for name in ("add", "sub", "mul", "div") for end in ("", "_")
)
"""What adds a tensor in bf16 to one in float32, as autocast's residual sums do, and copies the first on the way."""


def scratch(func: Any, args: tuple[Any, ...], out: Any) -> int:
    """Bytes at the peak within an operation, beyond what goes in and what comes out; 0 of what is known to need none.

    As oneDNN and ATen lay things out with this process's number of threads and this CPU's registers. What a kernel
    needs besides copies is some tens of kB a thread, of matrix products in bf16 up to 1.5 MB a thread, whatever the
    batch; it is not counted.

    Args:
        func: as a `TorchDispatchMode` gets it.
        args: positional, as torch's schema has them; tensors may be fake.
        out: what it returned.
    """
    if func is torch.ops.aten.convolution.default and not args[6]:
        x, weight = args[:2]
        return _forward(x, weight, out, _OneDNN(x, weight, stride=args[3], dilation=args[5], groups=args[8]))
    if func is torch.ops.aten.convolution_backward.default and not args[7]:
        given, x, weight = args[:3]
        onednn = _OneDNN(x, weight, stride=args[4], dilation=args[6], groups=args[9])
        return _backward(given, x, weight, onednn, wanted=args[10])
    if func is torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default:
        return _attention(*args[:2])
    if func is torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward.default:
        return args[0].nbytes + _attention(*args[1:3])  # the outputs' gradient is copied
    if getattr(func, "overloadpacket", None) in ELEMENTWISE:
        return _promoted(args, out)
    return 0


def _promoted(args: tuple[Any, ...], out: Any) -> int:
    """Of an elementwise operation on two precisions: a copy of what is of another than the result."""
    if not isinstance(out, Tensor):
        return 0
    given = (each for each in args if isinstance(each, Tensor) and each.ndim)
    return sum(each.numel() * out.itemsize for each in given if each.is_floating_point() and each.dtype != out.dtype)


def _attention(q: Tensor, k: Tensor) -> int:
    """Of flash attention: each thread has a block of scores, their sums, and a block of outputs, in float32."""
    length = q.shape[-2]
    rows = min(length, 256 if length >= 768 else 64 if length >= 192 else 32)
    return 4 * torch.get_num_threads() * rows * (min(k.shape[-2], 512) + 2 + q.shape[-1])


class _OneDNN:
    """Whether oneDNN computes a convolution, and bytes in its layouts."""

    def __init__(self, x: Tensor, weight: Tensor, *, stride: Any, dilation: Any, groups: int) -> None:
        self.wide_registers = torch.backends.cpu.get_cpu_capability() == "AVX512"
        self.block = 16 if self.wide_registers else 8
        self.strided = any(each > 1 for each in stride)
        self.depthwise = 1 < groups == x.shape[1]
        self.padded = groups == 1 or self.depthwise
        self.sizes = weight.shape[2:]
        self.pointwise = math.prod(self.sizes) == 1
        self.flat = x.shape[1] < FLAT
        self.last = x.ndim == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
        worth = self.strided or max(dilation) > 1 or len(x) >= FEW or not self.pointwise or torch.get_num_threads() > 1
        large = groups > 1 or min(self.sizes) > 3 or len(x) > 1 or x.numel() > SMALL
        self.used = x.dtype != torch.float32 or (worth and large)

    def data(self, x: Tensor) -> int:
        """Of inputs, outputs and their gradients."""
        return x.nbytes // x.shape[1] * self._blocked(x.shape[1])

    def weight(self, weight: Tensor) -> int:
        """Of a weight or its gradient."""
        inner = weight.shape[1] if self.flat or self.depthwise else self._blocked(weight.shape[1])
        return weight.nbytes // (weight.shape[0] * weight.shape[1]) * self._blocked(weight.shape[0]) * inner

    def gradient(self, weight: Tensor) -> int:
        """Of a weight's gradient, where channels come last: of wide depthwise kernels a block by a block a channel."""
        if not (self.depthwise and max(self.sizes) > DEEP):
            return self.weight(weight)
        return weight.numel() * self.block**2 * (4 if weight.dtype == torch.float32 else 4 + weight.itemsize)

    def matrices(self, weight: Tensor, y: Tensor) -> int:
        """Of the gradient of a wide kernel's weight: a sum of its own for each thread, and a sample's patches."""
        if max(self.sizes) <= (DEEP if self.depthwise else WIDE):
            return 0
        return torch.get_num_threads() * (4 * weight.nbytes + _columns(weight, y) // len(y))

    def _blocked(self, channels: int) -> int:
        return -(-channels // self.block) * self.block if self.padded else channels


def _forward(x: Tensor, weight: Tensor, y: Tensor, onednn: _OneDNN) -> int:
    if not onednn.used:
        return 0 if onednn.pointwise and not onednn.strided else _columns(weight, y)
    if onednn.last:
        return weight.nbytes * (not onednn.pointwise and not onednn.depthwise) + onednn.weight(weight)
    copied = onednn.data(y)
    given = (0 if onednn.flat else onednn.data(x)) + onednn.weight(weight)
    return max(given + copied - y.nbytes, copied)


def _backward(gradient: Tensor, x: Tensor, weight: Tensor, onednn: _OneDNN, *, wanted: list[bool]) -> int:
    """Of the input's gradient, then of the weight's, while that of the input is there."""
    of_x, of_weight = wanted[:2]
    matrix = onednn.weight(weight)
    if not onednn.used:
        plain = onednn.pointwise and not onednn.strided
        return _columns(weight, gradient) if of_weight and not plain else 0
    if onednn.last:
        many = onednn.matrices(weight, gradient) if max(onednn.sizes) > WIDE else 0
        return max(of_x * (weight.nbytes + matrix), of_weight * (many or 2 * weight.nbytes + onednn.gradient(weight)))
    made = of_x * x.nbytes + of_weight * weight.nbytes
    outer, inner = onednn.data(gradient), onednn.data(x)
    strided = onednn.strided and not onednn.depthwise
    first = max(outer + matrix + inner, 3 * x.nbytes if strided else inner + x.nbytes) if of_x else 0
    copies = outer + (0 if onednn.flat else inner) + matrix
    wide = onednn.matrices(weight, gradient)
    second = of_x * x.nbytes + (wide + weight.nbytes if wide else max(copies, matrix + weight.nbytes))
    return max(first - made, second - made if of_weight else 0, 0)


def _columns(weight: Tensor, y: Tensor) -> int:
    """Bytes of the matrix whose columns are the patches that a kernel sees."""
    return len(y) * math.prod(weight.shape[1:]) * math.prod(y.shape[2:]) * y.element_size()
