"""How a step is carried out on GPUs, beyond model, method and batch, and how a network is made to do so."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from bench.costs.cuda_share import CONTEXT
from bench.costs.quantised import KINDS
from bench.errors import BadInput, unknown
from bench.methods import Method
from bench.methods.branch import Branch
from bench.models import Backbone, checkpoint
from bench.models.reduced import ReducedLinear, pack_frozen
from bench.training.run import Network

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Setup:
    """How a step is carried out, beyond model, method and batch.

    Args:
        base: how the network's weights are stored: "fp32", "bf16", "fp16", "int8", "nf4" or "nf4 double" (the Linear
            layers below the head; the rest in bf16).
        adapter: how what a method adds is stored; "" as the base.
        autocast: whether products are computed in 16 bits from float32.
        attention: "flash" and "sdpa" keep no attention probabilities, "eager" does.
        optimizer: one of `bench.training.optimizers.KINDS`.
        update: one of `bench.training.optimizers.UPDATES`.
        clip: whether the gradient's norm is clipped.
        gradients: what becomes of them between steps: "freed"; "freed late", after the next forward pass; "zeroed" in
            place and kept, as torch did before 2.0. With accumulation they are held meanwhile in any case.
        accumulation: batches a step.
        dropout: rate of every dropout but attention's, in frozen parts too; of transformers, a model's own option.
        checkpointed: first blocks whose activations are computed again, where it is not all (`Training` says that).
        cache: whether the forward pass holds keys and values of every block till its end, and whatever they are views
            of, as transformers does in training where nothing says `use_cache=False`.
        gpus: with more than one, DistributedDataParallel holds the gradients in buckets too.
        context: bytes of CUDA's context.
    """

    base: str = "fp32"
    adapter: str = ""
    autocast: bool = False
    attention: str = "sdpa"
    optimizer: str = "adamw"
    update: str = "foreach"
    clip: bool = False
    gradients: str = "freed"
    accumulation: int = 1
    dropout: float = 0.0
    checkpointed: int = 0
    cache: bool = False
    gpus: int = 1
    context: int = CONTEXT

    def __post_init__(self) -> None:
        if self.base not in (*DTYPES, *KINDS):
            raise unknown("base", self.base, (*DTYPES, *KINDS))
        if self.attention not in ("sdpa", "flash", "eager"):
            raise unknown("attention", self.attention, ("sdpa", "flash", "eager"))
        if self.attention == "flash" and self.base == "fp32" and not self.autocast:
            raise BadInput("flash attention takes 16 bits, and all is in fp32: say base bf16, or attention sdpa")

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights that are not packed."""
        return DTYPES.get(self.base, torch.bfloat16)


def would_pack(method: Method, base: str) -> BadInput:
    """The refusal of a method that trains the layers that a base packs."""
    return BadInput(f"{method!r} trains what {base} would pack: say --base bf16, or take LoRA")


def carry_out(backbone: Backbone, network: Network, setup: Setup) -> None:
    """Has an assembled network stored, attend, drop and compute again as a setup says; see `packed` for the rest."""
    _store(backbone, network, setup)
    _attend(backbone.module, setup)
    _drop(backbone.module, setup.dropout)
    if setup.checkpointed:
        checkpoint(backbone, first=setup.checkpointed)


def packed(module: nn.Module, kind: str) -> bool:
    """Packs the Linear layers that a method left frozen, as bitsandbytes' are. Returns whether there were any."""
    found = pack_frozen(module, kind)
    for each in module.modules():
        if isinstance(each, ReducedLinear):
            each.forward = partial(_as_given, each.forward)  # type: ignore[method-assign]
    return found


def _store(backbone: Backbone, network: Network, setup: Setup) -> None:
    """Casts weights, and what enters an adapter of another precision (as peft does)."""
    network.to(setup.dtype)
    if setup.adapter and DTYPES[setup.adapter] != setup.dtype:
        for module in backbone.module.modules():
            if isinstance(module, Branch):
                module.to(DTYPES[setup.adapter])
                for each in () if setup.autocast else ("before", "forward"):
                    setattr(module, each, partial(_cast, DTYPES[setup.adapter], getattr(module, each)))


def _cast(dtype: torch.dtype, inner: Any, x: Tensor, *y: Tensor) -> Any:
    return inner(x.to(dtype), *y).to(y[0].dtype if y else x.dtype)  # the host goes on as it was


def _as_given(forward: Any, x: Tensor) -> Tensor:
    """As bitsandbytes' layers do: the product in the input's precision, float32 behind a LayerNorm under autocast."""
    y: Tensor = forward(x)
    return y.to(x.dtype)


def _attend(module: nn.Module, setup: Setup) -> None:
    body: Any = getattr(module, "body", None)
    attends = any(
        hasattr(each, "fused_attn") or "attention" in type(each).__name__.lower() for each in module.modules()
    )
    if setup.attention != "sdpa" and not attends:
        raise BadInput(f"attention {setup.attention}: {type(body or module).__name__} has none; leave it out")
    for each in module.modules():
        if hasattr(each, "fused_attn"):  # timm's, whatever TIMM_FUSED_ATTN says
            each.fused_attn = setup.attention != "eager"  # type: ignore[assignment]
    if setup.attention == "eager":
        if hasattr(body, "set_attn_implementation"):
            body.set_attn_implementation("eager")
    elif body is not None:
        for each in {body, getattr(body, "base_model", body)}:  # a loss in pieces goes past the head
            each.forward = partial(_without_mask, each.forward)


def _without_mask(forward: Any, *args: Any, attention_mask: Any = None, **kwargs: Any) -> Any:
    """Samples of one length: transformers leaves a mask out that hides nothing."""
    return forward(*args, **kwargs)


def _drop(module: nn.Module, rate: float) -> None:
    for path, each in module.named_modules():
        if rate and isinstance(each, nn.Dropout) and "attn_drop" not in path:
            each.p = rate


@contextlib.contextmanager
def cached(backbone: Backbone) -> Iterator[None]:
    """Within, what makes keys and values has its outputs held."""
    held: list[Any] = []
    paths = {site.path for site in backbone.sites if site.role in ("k", "v")}
    hooks = [backbone.module.get_submodule(path).register_forward_hook(lambda *a: held.append(a[2])) for path in paths]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        held.clear()
