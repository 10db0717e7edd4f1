"""Side branches: how LoRA and the adapters enter a network without touching the modules that are there.

A branch hangs on a host module as a child and a forward hook, y ← branch(x, y), for the host's input x and output y.
The host keeps its class, its Parameters and their `state_dict` keys, whatever it is: a Linear, timm's Conv2dSame,
a BatchNorm, a whole MLP. Where the network has no module for a stretch (BERT's MLP, from one Linear to another), the
branch hangs on the last module of it and x is the input of the first, its source.
Code that reads `host.weight` past the host's `forward` would leave the branch without a gradient:
`bench.models.adapt` refuses such a network.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn

from bench.errors import BadInput


class Branch(nn.Module):
    """What hangs on a host: `forward(x, y)` returns the host's new output."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x: the host's input, or its source's; y: its output so far. Returns a tensor of y's shape."""
        raise NotImplementedError


class Relay:
    """Carries a source's input to the host, once. The two hooks share it, so that neither module knows the other.

    A copy (or pickle) of the network gets an empty relay that its own two hooks share.
    """

    def __init__(self) -> None:
        self.x: Tensor | None = None

    def __getstate__(self) -> dict[str, None]:
        return {"x": None}

    def put(self, x: Tensor) -> None:
        """Keeps `x` until the host runs."""
        self.x = x

    def take(self) -> Tensor:
        """Hands over what was put, and forgets it."""
        if self.x is None:
            raise RuntimeError("a branch's host ran before the module that its input comes from")
        x, self.x = self.x, None
        return x


def attach(host: nn.Module, name: str, branch: Branch, source: nn.Module | None = None) -> None:
    """Hangs `branch` on `host` under `name`; several branches run in the order attached.

    Args:
        host: whose output the branch changes.
        name: of the child.
        branch: what to hang there.
        source: the module whose input is the branch's x, run before the host; None for the host itself. Such a
            branch spans several layers and cannot be folded into one.

    Raises:
        BadInput: the host already has a branch or an attribute of that name.
    """
    if hasattr(host, name):
        raise BadInput(f"{type(host).__name__} already has {name!r}: was a method applied twice?")
    host.add_module(name, branch)
    relay = None
    if source is not None:
        relay = Relay()
        source.register_forward_pre_hook(partial(_note, relay))
    host.register_forward_hook(partial(_run, name, relay))


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


def _run(name: str, relay: Relay | None, host: nn.Module, args: tuple[Any, ...], y: Tensor) -> Tensor:
    x = relay.take() if relay else args[0]
    return getattr(host, name)(x, y)  # type: ignore[no-any-return]


def _note(relay: Relay, source: nn.Module, args: tuple[Any, ...]) -> None:
    relay.put(args[0])


def _detach(host: nn.Module, name: str) -> None:
    for key, hook in list(host._forward_hooks.items()):
        if isinstance(hook, partial) and hook.func is _run and hook.args == (name, None):
            del host._forward_hooks[key]
    delattr(host, name)
