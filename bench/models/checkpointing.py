"""Activation checkpointing: blocks that compute their activations again in the backward pass."""

from __future__ import annotations

import contextlib
import copy
import random
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as torch_checkpoint

from bench.costs.cuda_rules import as_now
from bench.errors import BadInput
from bench.models.backbone import Backbone

MACHINERY = frozenset(vars(nn.Module())) - {"training"}
"""Attributes that torch gives every module: parameters, children and hooks; buffers are looked at apart."""


def checkpoint(backbone: Backbone, *, every: int = 1, first: int | None = None) -> None:
    """Has every block, or every k-th, compute its activations again in the backward pass, in place of keeping them.

    Chen et al. 2016 (arXiv:1604.06174). The second pass sees the buffers, attributes and random numbers of
    the first and leaves no trace: batch statistics move once a step, as without it. In evaluation, and for a block
    that no gradient passes, nothing changes.

    Args:
        backbone: adapted.
        every: k; the first block is one of them.
        first: of the first blocks alone; of all without.

    Raises:
        BadInput: the network has no residual blocks that are known.
    """
    blocks = [site.path for site in backbone.sites if site.role == "block"]
    if not blocks:
        raise BadInput("activation checkpointing is known for networks of residual blocks: this one has none")
    for path in blocks[:first:every]:
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

    State is what a forward pass may change: buffers, whatever a module keeps as attributes (tensors, numbers, lists
    and dictionaries of them, generators), and the random numbers of Python and NumPy; torch's are seen to by torch.
    Copies stand in the place of tensors and collections, as those of the first pass must not be written to. A tensor's
    version does not tell whether the pass will change it: a BatchNorm's kernel writes to its statistics unseen.
    """

    def __init__(self, block: nn.Module) -> None:
        copies: dict[int, Any] = {}  # by what they are of: what shares one goes on to share it
        self.slots = [(held, {k: _copy(v, copies) for k, v in part.items()}) for held, part in _state(block)]
        self.drawn = [(generator, generator.get_state()) for generator in _generators(block)]
        self.dice = random.getstate(), np.random.get_state()
        self.block, self.rules = block, as_now()

    def __enter__(self) -> None:
        self.before = list(_state(self.block))
        self.states = [(generator, generator.get_state()) for generator, _ in self.drawn]
        self.dice_before = random.getstate(), np.random.get_state()
        _put(self.slots, self.drawn, self.dice)
        self.rules.__enter__()

    def __exit__(self, *error: Any) -> None:
        self.rules.__exit__(*error)
        _put(self.before, self.states, self.dice_before)


Slots = list[tuple[dict[str, Any], dict[str, Any]]]


def _put(slots: Slots, drawn: list[tuple[torch.Generator, Tensor]], dice: tuple[Any, Any]) -> None:
    for held, part in slots:
        for key in [key for key in held if key not in part and _is_state(key, held[key])]:
            del held[key]  # what a pass has made anew
        held.update(part)
    for generator, state in drawn:
        generator.set_state(state)
    random.setstate(dice[0])
    np.random.set_state(dice[1])


def _state(block: nn.Module) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Of every module the dictionaries that hold state, each with what of it that is."""
    for module in block.modules():
        yield module._buffers, dict(module._buffers)
        yield vars(module), {key: value for key, value in vars(module).items() if _is_state(key, value)}


def _is_state(key: str, value: Any) -> bool:
    """Whether an attribute may be what a pass changes: no machinery of torch's, no parameter or what comes of one."""
    if key in MACHINERY or isinstance(value, nn.Module | torch.Generator) or callable(value):
        return False
    return not (isinstance(value, Tensor) and value.requires_grad)


def _copy(value: Any, copies: dict[int, Any]) -> Any:
    """Of a tensor, an array, other dice or a collection, with all in it; anything else is itself."""
    if id(value) in copies:
        return copies[id(value)]
    found: Any
    match value:
        case nn.Parameter():
            return value
        case Tensor():
            found = value if value.requires_grad else value.detach().clone()
        case np.ndarray() | random.Random() | np.random.Generator() | np.random.RandomState():
            found = copy.deepcopy(value)
        case dict() | list() | deque():
            found = copies[id(value)] = copy.copy(value)
            for key, each in list(value.items() if isinstance(value, dict) else enumerate(value)):
                found[key] = _copy(each, copies)
        case set():
            found = set(value)
        case _:
            return value
    copies[id(value)] = found
    return found


def _generators(block: nn.Module) -> list[torch.Generator]:
    """What modules of the block draw from, beside torch's own, each once."""
    found = {id(v): v for m in block.modules() for v in vars(m).values() if isinstance(v, torch.Generator)}
    return list(found.values())
