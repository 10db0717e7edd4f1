"""Side branches: how LoRA and the adapters enter a network without touching the modules that are there.

A branch hangs on a host module as a child and a forward hook, y ← branch(x, y), for the host's input x and output y.
The host keeps its class, its Parameters and their `state_dict` keys, whatever it is: a Linear, timm's Conv2dSame,
a BatchNorm, a whole MLP. Code that reads `host.weight` past the host's `forward` would leave the branch without a
gradient: `bench.models.adapt` refuses such a network.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn

from bench.errors import BadInput


class Branch(nn.Module):
    """What hangs on a host: `forward(x, y)` returns the host's new output."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x: the host's input; y: its output so far. Returns a tensor of y's shape."""
        raise NotImplementedError


def attach(host: nn.Module, name: str, branch: Branch) -> None:
    """Hangs `branch` on `host` under `name`; several branches run in the order attached.

    Raises:
        BadInput: the host already has a branch or an attribute of that name.
    """
    if hasattr(host, name):
        raise BadInput(f"{type(host).__name__} already has {name!r}: was a method applied twice?")
    host.add_module(name, branch)
    host.register_forward_hook(partial(_run, name))


def merge(model: nn.Module) -> None:
    """Folds every branch that can be folded into its host (it has `fold(host)`) and takes it off.

    Afterwards the network computes the same (up to rounding) at the cost of the untouched base, and its
    `state_dict` has the base's keys. Nonlinear branches (adapters) stay.
    """
    for host in list(model.modules()):
        for name, branch in list(host.named_children()):
            fold: Any = getattr(branch, "fold", None)
            if isinstance(branch, Branch) and fold is not None:
                fold(host)
                _detach(host, name)


def _run(name: str, host: nn.Module, args: tuple[Any, ...], y: Tensor) -> Tensor:
    return getattr(host, name)(args[0], y)  # type: ignore[no-any-return]


def _detach(host: nn.Module, name: str) -> None:
    for key, hook in list(host._forward_hooks.items()):
        if isinstance(hook, partial) and hook.func is _run and hook.args == (name,):
            del host._forward_hooks[key]
    delattr(host, name)
