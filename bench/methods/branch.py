"""Side branches: how LoRA and the adapters enter a network without touching the modules that are there.

A branch hangs on a host module as a child and a forward hook, y ← branch(x, y), for the host's input x and output y.
The host keeps its class, its Parameters and their `state_dict` keys, whatever it is: a Linear, timm's Conv2dSame,
a BatchNorm, a whole MLP. Where the network has no module for a stretch (BERT's MLP, from one Linear to another), the
branch hangs on the last module of it and x is the input of the first, its source.
Code that reads `host.weight` past the host's `forward` would leave the branch without a gradient:
`bench.models.adapt` refuses such a network.
"""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import torch
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

    Raises:
        BadInput: a host changes its weight before it uses it, as timm's StdConv2d does; nothing is folded then.
    """
    for path, host in model.named_modules():
        for name, branch in host.named_children():
            if folds(branch) and not _folds_exactly(host, name):
                raise BadInput(
                    f"{path} is a {type(host).__name__}, which changes its weight before use: "
                    "a branch there cannot be merged"
                )
    for host in list(model.modules()):
        for name, branch in list(host.named_children()):
            if folds(branch):
                _fold(host, name)


def folds(branch: nn.Module) -> bool:
    """Whether a module is a branch that claims to be linear in its host's input, so that it can be folded into it."""
    return isinstance(branch, Branch) and hasattr(branch, "fold")


def _fold(host: nn.Module, name: str) -> None:
    branch: Any = getattr(host, name)
    branch.fold(host)
    _detach(host, name)


def _folds_exactly(host: nn.Module, name: str) -> bool:
    """Whether a host with other code than torch's computes the same once the branch is folded: tried on a copy."""
    plain = type(host) in (nn.Linear, nn.Conv2d) and "forward" not in vars(host) and not host._forward_pre_hooks
    weight = getattr(host, "weight", None)
    if plain or not isinstance(weight, Tensor) or weight.is_meta:
        return True
    twin: Any = copy.deepcopy(host).double().eval()
    dice = torch.Generator().manual_seed(0)
    for p in getattr(twin, name).parameters():  # one at its start would add nothing
        p.data = torch.randn(p.shape, generator=dice, dtype=p.dtype).to(p.device)
    sides = [2 * (k - 1) * d + 2 * s + 1 for k, d, s in zip(*_window(twin), strict=True)]
    x = torch.randn(2, weight.shape[1], *sides, generator=dice, dtype=torch.float64).to(weight.device)
    with torch.no_grad():
        before = twin(x)
        _fold(twin, name)
        after = twin(x)
    return torch.allclose(before, after, rtol=1e-6, atol=1e-6 * before.abs().max().item())


def _window(host: Any) -> tuple[Any, Any, Any]:
    """Kernel, dilation and stride of a convolution, for every direction; of a Linear there are none."""
    return (host.kernel_size, host.dilation, host.stride) if isinstance(host, nn.Conv2d) else ((), (), ())


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
