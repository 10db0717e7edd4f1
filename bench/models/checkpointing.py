"""Activation checkpointing: blocks that compute their activations again in the backward pass."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as torch_checkpoint

from bench.costs.cuda_rules import as_now
from bench.errors import BadInput
from bench.models.backbone import Backbone


def checkpoint(backbone: Backbone) -> None:
    """Has every block compute its activations again in the backward pass, in place of keeping them.

    Chen et al. 2016 (arXiv:1604.06174). The second pass sees the buffers, the generators and torch's random numbers of
    the first and leaves no trace: batch statistics move once a step, as without it. In evaluation, and for a block
    that no gradient passes, nothing changes.

    Raises:
        BadInput: the network has no residual blocks that are known.
    """
    blocks = [site.path for site in backbone.sites if site.role == "block"]
    if not blocks:
        raise BadInput("activation checkpointing is known for networks of residual blocks: this one has none")
    for path in blocks:
        block = backbone.module.get_submodule(path)
        block.forward = partial(_recomputed, block, block.forward)  # type: ignore[method-assign]


def _recomputed(block: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    again = _AsItWas(block)
    return torch_checkpoint(
        forward, *args, use_reentrant=False, context_fn=lambda: (contextlib.nullcontext(), again), **kwargs
    )


class _AsItWas(contextlib.AbstractContextManager[None]):
    """Within, a block has the state of when this was made, and afterwards again that of before.

    State is what a forward pass may change: buffers, tensors and numbers that a module keeps as attributes, and its
    own generators. Copies stand in the place of tensors, as those of the first pass must not be written to. A tensor's
    version does not tell whether the pass will change it: a BatchNorm's kernel writes to its statistics unseen.
    """

    def __init__(self, block: nn.Module) -> None:
        copies: dict[int, Tensor] = {}  # by the tensor that they are of: what shares one goes on to share it

        def copy(value: Any) -> Any:
            return copies.setdefault(id(value), value.detach().clone()) if isinstance(value, Tensor) else value

        self.slots = [(held, {k: copy(v) for k, v in part.items()}) for held, part in _state(block)]
        self.drawn = [(generator, generator.get_state()) for generator in _generators(block)]
        self.block, self.rules = block, as_now()

    def __enter__(self) -> None:
        self.before = [(held, part) for held, part in _state(self.block)]
        self.states = [(generator, generator.get_state()) for generator, _ in self.drawn]
        _put(self.slots, self.drawn)
        self.rules.__enter__()

    def __exit__(self, *error: Any) -> None:
        self.rules.__exit__(*error)
        _put(self.before, self.states)


def _put(slots: list[tuple[dict[str, Any], dict[str, Any]]], drawn: list[tuple[torch.Generator, Tensor]]) -> None:
    for held, part in slots:
        held.update(part)
    for generator, state in drawn:
        generator.set_state(state)


def _state(block: nn.Module) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Of every module the dictionaries that hold state, each with what of it that is."""
    for module in block.modules():
        yield module._buffers, dict(module._buffers)
        own = {k: v for k, v in vars(module).items() if isinstance(v, int | float | Tensor)}
        yield vars(module), {k: v for k, v in own.items() if not (isinstance(v, Tensor) and v.requires_grad)}


def _generators(block: nn.Module) -> list[torch.Generator]:
    """What modules of the block draw from, beside torch's own, each once."""
    found = {id(v): v for m in block.modules() for v in vars(m).values() if isinstance(v, torch.Generator)}
    return list(found.values())
