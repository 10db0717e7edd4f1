"""A frozen base in fewer bits, whatever the method: weights stored in bf16, int8 or nf4 (QLoRA, arXiv:2305.14314).

A weight is packed with its scales and unpacked, to the precision of the product, once in the forward and once in the
backward pass: between them no copy is kept. What a method adds stays as wide as the rest of the network. Packing and
unpacking are bitsandbytes', which has kernels for CPU and CUDA; its layers are not: in evaluation they round the
inputs too, on CUDA otherwise than on a CPU, so that what is trained is not what is tested.
"""

from __future__ import annotations

import importlib.util
import logging
from collections import Counter
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import is_fake

from bench.costs.quantised import KINDS, packed_bytes
from bench.errors import BadInput, unknown

BASES = ("fp32", "bf16", *KINDS)
"""How the weights of a model can be stored."""
BLOCK, BLOCKS = 64, 256
"""Values that share a scale in nf4, and scales that share one where they are packed too."""


def check_base(base: str) -> None:
    """Refuses what is none of `BASES`."""
    if base not in BASES:
        raise unknown("base", base, BASES)


def reduce(module: nn.Module, base: str, *, name: str = "") -> dict[str, str | None]:
    """Stores the weights of a network in fewer bits.

    Every Linear layer, and for bf16 every embedding. Convolutions, biases, normalisations, position tables, the layer
    over the vocabulary, and weights that two modules share stay as they are.

    Args:
        module: a network, on any device, "meta" too.
        base: one of `BASES`; "fp32" leaves all as it is.
        name: of the network, for messages.

    Returns:
        For the record: "base", how it is stored and how much of the weights that is. Empty for "fp32".

    Raises:
        BadInput: there is nothing to reduce, or bitsandbytes is not installed.
    """
    if base == "fp32":
        return {}
    if base in KINDS and importlib.util.find_spec("bitsandbytes") is None:
        raise BadInput(f"base={base!r} needs bitsandbytes: pip install 'lora-bench[quantised]'")
    total = sum(p.numel() for p in module.parameters())
    layers = reducible(module, embeddings=base == "bf16")
    if not layers:
        raise BadInput(
            f"base={base!r} changes nothing: {name or type(module).__name__} has no Linear layers, and convolutions "
            "stay in full precision; leave it out"
        )
    share = sum(layer.weight.numel() for layer in layers) / total
    for layer in layers:
        pack(layer, base)
    return {"base": f"{base}: {len(layers)} layers, {100 * share:.0f} % of the weights"}


def reducible(module: nn.Module, *, embeddings: bool = False) -> list[Any]:
    """The layers whose weight can be packed: plain ones, which read it in their own `forward` alone."""
    held = Counter(id(p) for each in module.modules() for p in each._parameters.values())
    over_words = getattr(module, "output_embedding", None)
    kinds = (nn.Linear, nn.Embedding) if embeddings else (nn.Linear,)
    plain = [each for each in module.modules() if type(each) in kinds and each is not over_words]
    return [each for each in plain if held[id(each.weight)] == 1 and getattr(each, "max_norm", None) is None]


def pack(layer: Any, kind: str) -> None:
    """Stores the weight of a Linear layer or an embedding packed, in its place and under its name.

    On "meta" and fake tensors in shape alone.
    """
    weight = layer.weight.detach()
    layer.__class__ = ReducedEmbedding if isinstance(layer, nn.Embedding) else ReducedLinear
    layer.kind, layer.shape = kind, weight.shape
    layer.register_buffer("like", weight.new_empty(0), persistent=False)
    layer._parameters["weight"] = Packed(_packed(weight, kind)[:, None], requires_grad=False)


def pack_frozen(module: nn.Module, kind: str) -> bool:
    """Packs the Linear layers that a method left frozen. Returns whether there were any."""
    frozen = [each for each in reducible(module) if not each.weight.requires_grad]
    for layer in frozen:
        pack(layer, kind)
    return bool(frozen)


def restore(module: nn.Module) -> nn.Module:
    """Gives every reduced layer its weight back, as it was rounded, in the precision of the rest. Returns the same."""
    for each in module.modules():
        if isinstance(each, Reduced):
            each.restore()
    return module


class Packed(nn.Parameter):
    """The bytes of a packed weight, (bytes, 1): of the scales, then of the values. It never trains."""

    @property
    def requires_grad(self) -> bool:
        """No."""
        return False

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value:
            raise BadInput(
                "a packed weight cannot train: on this base take a method that keeps the weights frozen (LoRA, "
                "adapters, biases, normalisations), or base='fp32'"
            )

    def requires_grad_(self, requires_grad: bool = True) -> Packed:
        """Refuses, unless it is to stay frozen."""
        self.requires_grad = requires_grad
        return self


class Reduced(nn.Module):
    """A layer whose weight is packed. `weight` unpacks it to read: methods find there what they find in any layer."""

    kind: str
    like: Tensor
    shape: torch.Size
    plain: type[nn.Module]
    _parameters: dict[str, Any]

    @property
    def weight(self) -> Tensor:
        """A copy of the weight, unpacked, in the precision of the rest of the network; it refuses to be changed."""
        found = self.unpacked(self.dtype)
        return found if found.is_meta or is_fake(found) else found.as_subclass(_ReadOnly)

    @property
    def dtype(self) -> torch.dtype:
        """Of the rest of the network: that of a tensor without values, which goes with it."""
        return self.like.dtype

    def unpacked(self, dtype: torch.dtype) -> Tensor:
        """The weight in some precision."""
        return _unpacked(self._parameters["weight"], self.kind, self.shape, dtype)

    def restore(self) -> None:
        """Becomes an ordinary layer again, with the weight as it was rounded."""
        weight = self.unpacked(self.dtype)
        del self.like
        self.__class__ = self.plain  # type: ignore[assignment]
        self._parameters["weight"] = nn.Parameter(weight, requires_grad=False)

    def register_parameter(self, name: str, param: nn.Parameter | None) -> None:
        """Refuses another weight."""
        if name == "weight":
            raise _changed("replaced")
        super().register_parameter(name, param)


class ReducedLinear(Reduced, nn.Linear):  # type: ignore[override]
    """y = x·Wᵀ + b, W unpacked in both passes."""

    plain = nn.Linear

    def forward(self, x: Tensor) -> Tensor:
        """x (…, in). Returns (…, out), in autocast's precision where that is on, else in that of the network."""
        kind, dtype = x.device.type, self.dtype
        if kind != "meta" and torch.is_autocast_enabled(kind):
            dtype = torch.get_autocast_dtype(kind)
        y: Tensor = _Product.apply(x.to(dtype), self._parameters["weight"], self)  # type: ignore[no-untyped-call]
        return y if self.bias is None else y.add_(self.bias.to(dtype))


class ReducedEmbedding(Reduced, nn.Embedding):  # type: ignore[override]
    """Rows of a table in bf16, widened once they are taken out."""

    plain = nn.Embedding

    def forward(self, ids: Tensor) -> Tensor:
        """Ids (…). Returns (…, width)."""
        table = self._parameters["weight"].view(-1).view(torch.bfloat16).view(self.shape)
        return F.embedding(ids, table, self.padding_idx).to(self.dtype)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, packed: Tensor, layer: Reduced) -> Tensor:
        ctx.save_for_backward(packed)
        ctx.about = layer.kind, layer.shape
        return F.linear(x, _unpacked(packed, layer.kind, layer.shape, x.dtype))

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> Any:
        kind, shape = ctx.about
        return given[0] @ _unpacked(ctx.saved_tensors[0], kind, shape, given[0].dtype), None, None


class _ReadOnly(Tensor):
    """A copy for reading: what is written into it would be lost, so it refuses."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        in_place = (name.endswith("_") and not name.startswith("__") and name != "requires_grad_") or (
            name.startswith("__i") and name not in ("__index__", "__int__", "__invert__")
        )
        targets = [args[0] if args and (in_place or name in ("__setitem__", "__set__")) else None, kwargs.get("out")]
        if any(isinstance(each, cls) for each in targets):
            raise _changed("written to")
        with torch._C.DisableTorchFunctionSubclass():
            found = func(*args, **kwargs)
        if type(found) is Tensor and any(
            isinstance(each, cls) and each.untyped_storage()._cdata == found.untyped_storage()._cdata for each in args
        ):
            return found.as_subclass(cls)  # a view of it
        return found


def _changed(how: str) -> BadInput:
    return BadInput(
        f"the weight of a reduced layer cannot be {how}, as it is packed: take a method that leaves the base as it is, "
        "or base='fp32'"
    )


def _packed(weight: Tensor, kind: str) -> Tensor:
    """Bytes of a weight: scales in float32 first, where they are aligned. On the CPU, for all devices to agree."""
    if weight.is_meta or is_fake(weight):
        return torch.empty(packed_bytes(kind, tuple(weight.shape)), dtype=torch.uint8, device=weight.device)
    wide = weight.float().cpu().contiguous()
    if kind == "bf16":
        parts = [wide.to(torch.bfloat16)]
    elif kind == "int8":
        values, scales, _ = _library().int8_vectorwise_quant(wide)
        parts = [scales, values]
    else:
        double = kind == "nf4 double"
        values, state = _library().quantize_4bit(wide, blocksize=BLOCK, compress_statistics=double, quant_type="nf4")
        above = [state.offset, state.state2.absmax] if double else []
        parts = [*above, state.absmax, values]
    return torch.cat([part.reshape(-1).view(torch.uint8) for part in parts]).to(weight.device)


def _unpacked(packed: Tensor, kind: str, shape: torch.Size, dtype: torch.dtype) -> Tensor:
    if packed.is_meta or is_fake(packed):
        return packed.new_empty(shape, dtype=dtype)
    data, rows, blocks = packed.detach().view(-1), shape[0], -(-shape.numel() // BLOCK)
    if kind == "bf16":
        return data.view(torch.bfloat16).view(shape).to(dtype)
    if kind == "int8":
        scales, values = data[: 4 * rows].view(torch.float32), data[4 * rows :].view(torch.int8).view(shape)
        return _library().int8_vectorwise_dequant(values, scales).to(dtype)  # type: ignore[no-any-return]
    scales, values = _scales(data, blocks) if kind == "nf4 double" else _split(data, blocks)
    wide = dtype if dtype in (torch.bfloat16, torch.float16) else torch.float32
    row = [1, 2 * len(values)]  # the kernel knows no odd number of columns
    found: Tensor = torch.ops.bitsandbytes.dequantize_4bit(values, scales, BLOCK, "nf4", row, wide)
    return found.view(-1)[: shape.numel()].view(shape).to(dtype)


def _split(data: Tensor, count: int) -> tuple[Tensor, Tensor]:
    return data[: 4 * count].view(torch.float32), data[4 * count :]


def _scales(data: Tensor, blocks: int) -> tuple[Tensor, Tensor]:
    """Scales in 8 bits, with one in float32 for 256 of them and the mean of all, unpacked; and what comes after."""
    library = _library()
    numbers, rest = _split(data, 1 + -(-blocks // BLOCKS))
    code = library.create_dynamic_map().to(data.device)
    scales = library.dequantize_blockwise(rest[:blocks], absmax=numbers[1:], code=code, blocksize=BLOCKS)
    return scales + numbers[0], rest[blocks:]


def _library() -> Any:
    """bitsandbytes, which takes a second to come and tells of kernels that it could download."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    import bitsandbytes.functional

    return bitsandbytes.functional
