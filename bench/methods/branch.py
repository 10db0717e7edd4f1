"""Side branches: how LoRA and the adapters enter a network without touching the modules that are there.

A branch hangs on a host module as a child and hooks: it may change the host's input, x ← branch.before(x), and its
output, y ← branch(x, y).
The host keeps its class, its Parameters and their `state_dict` keys, whatever it is: a Linear, timm's Conv2dSame,
a BatchNorm, a whole MLP. Where the network has no module for a stretch (BERT's MLP, from one Linear to another), the
branch hangs on the last module of it and x is the input of the first, its source.
Code that reads `host.weight` past the host's `forward` would leave the branch without a gradient:
`bench.models.adapt` refuses such a network.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import BadInput


class Branch(nn.Module):
    """What hangs on a host: `before(x)` changes its input, `forward(x, y)` its output. Either may be left out.

    A branch that is linear in the host's input may have `fold(host)`, which writes it into the host's weight.
    """

    def before(self, x: Tensor) -> Tensor:
        """x: the host's input. Returns what the host is given in its place."""
        return x

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x: what the host was given, or its source's input; y: its output so far. Returns a tensor of y's shape."""
        return y


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
    """Hangs `branch` on `host` under `name`; several branches run in the order attached, before the host and after it.

    Args:
        host: whose input or output the branch changes.
        name: of the child.
        branch: what to hang there.
        source: the module whose input is the branch's x, run before the host; None for the host itself. Such a
            branch spans several layers and cannot be folded into one.

    Raises:
        BadInput: the host already has a branch or an attribute of that name.
        TypeError: the branch has neither `before` nor `forward`.
    """
    if hasattr(host, name):
        raise BadInput(f"{type(host).__name__} already has {name!r}: was a method applied twice?")
    earlier, later = (getattr(type(branch), each) is not getattr(Branch, each) for each in ("before", "forward"))
    if not earlier and not later:
        raise TypeError(f"{type(branch).__name__} has neither `before` nor `forward`: it would do nothing")
    host.add_module(name, branch)
    relay = None
    if source is not None:
        relay = Relay()
        source.register_forward_pre_hook(partial(_note, relay))
    if earlier:
        host.register_forward_pre_hook(partial(_before, name))
    if later:
        host.register_forward_hook(partial(_run, name, relay))


def merge_branches(model: nn.Module) -> bool:
    """Folds every branch that can be folded into its host (it has `fold(host)`) and takes it off, hooks and all.

    Afterwards the network computes the same (up to rounding) at the cost of the untouched base, and its
    `state_dict` has the base's keys. Nonlinear branches (adapters) stay.

    Returns:
        Whether there was one to fold.

    Raises:
        BadInput: a host changes its weight before it uses it, as timm's StdConv2d does, or has several branches that
            do not commute; nothing is folded then.
    """
    hosts = [(path, host, names) for path, host in model.named_modules() if (names := _foldable(host))]
    for path, host, names in hosts:
        if why := _refusal(host, names):
            raise BadInput(f"{path or 'the network'} is a {type(host).__name__}, which {why}")
    for _, host, names in hosts:
        _fold(host, names)
    return bool(hosts)


def folds(branch: nn.Module) -> bool:
    """Whether a module is a branch that claims to be linear in its host's input, so that it can be folded into it."""
    return isinstance(branch, Branch) and hasattr(branch, "fold")


def _foldable(host: nn.Module) -> list[str]:
    """Names of a host's branches that fold, in the order in which they do: the nearest to the weight first.

    That is, those that act on the output in the order attached, then those that act on the input, the last one first.
    """
    names = [name for name, branch in host.named_children() if folds(branch)]
    outer = {hook.args[0] for hook in _ours(host._forward_pre_hooks, _before)}
    return [n for n in names if n not in outer] + [n for n in reversed(names) if n in outer]


def _fold(host: Any, names: list[str]) -> None:
    if hasattr(host, "restore"):  # its weight is packed, and would round what is added
        host.restore()
    for name in names:
        branch: Any = getattr(host, name)
        branch.fold(host)
        _detach(host, name)


def _refusal(host: nn.Module, names: list[str]) -> str:
    """Why a host would not compute the same with its branches folded; "" where it does.

    One with other code than torch's, or with several branches, is tried on a copy.
    """
    others = [name for name, branch in host.named_children() if isinstance(branch, Branch)]
    foreign = len(host._forward_pre_hooks) > len(_ours(host._forward_pre_hooks, _before, _note))
    plain = type(host).__module__.startswith("torch.nn.modules.") and "forward" not in vars(host) and not foreign
    weight = getattr(host, "weight", None)
    if (plain and len(others) == 1) or not isinstance(weight, Tensor) or weight.is_meta:
        return ""
    if not plain and not _folds_exactly(host, names[:1], without=[name for name in others if name != names[0]]):
        act = getattr(host, "act", None)  # of timm's normalisations with an activation
        if isinstance(act, nn.Module) and not isinstance(act, nn.Identity):
            return f"ends with an activation, {type(act).__name__}: a branch behind it cannot be merged"
        return "changes its weight before use: a branch there cannot be merged"
    if len(others) > 1 and not _commutes(host, names, others):
        return f"has the branches {', '.join(others)}: give the one that merges first"
    return ""


def _commutes(host: nn.Module, names: list[str], others: list[str]) -> bool:
    """Whether the folded come before what stays; where something else tells, whether a copy computes the same."""
    if not _ours(host._forward_pre_hooks, _before) and names == others[: len(names)]:
        return True
    relayed = any(hook.args[1] is not None for hook in _ours(host._forward_hooks, _run))
    return not relayed and _folds_exactly(host, names)


def _folds_exactly(host: nn.Module, names: list[str], without: Sequence[str] = ()) -> bool:
    """Whether a copy with random branches computes the same once they are folded."""
    twin: Any = copy.deepcopy(host).double().eval()
    for name in without:
        _detach(twin, name)
    dice = torch.Generator().manual_seed(0)
    for branch in twin.children():
        for p in branch.parameters() if isinstance(branch, Branch) else ():  # one at its start would add nothing
            p.data = torch.randn(p.shape, generator=dice, dtype=p.dtype).to(p.device)
    x = torch.randn(_shape(twin), generator=dice, dtype=torch.float64).to(twin.weight.device)
    with torch.no_grad():
        before = twin(x)
        _fold(twin, names)
        after = twin(x)
    return torch.allclose(before, after, rtol=1e-6, atol=1e-6 * before.abs().max().item())


def _shape(host: Any) -> tuple[int, ...]:
    """Of two inputs of a layer: a Linear, transformers' Conv1D, a convolution, a normalisation of rows or of maps."""
    width = host.weight.shape
    if isinstance(host, nn.Conv2d):
        window = zip(host.kernel_size, host.dilation, host.stride, strict=True)
        sides: list[int] = [2 * (k - 1) * d + 2 * s + 1 for k, d, s in window]
        return (2, host.in_channels, *sides)
    if len(width) > 1:
        return (2, width[0] if type(host).__name__ == "Conv1D" else width[1])
    maps = any(sign in type(host).__name__ for sign in ("2d", "BatchNorm", "GroupNorm"))
    return (2, *width, 3, 3) if maps else (2, 3, *width)


def _before(name: str, host: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return (getattr(host, name).before(args[0]), *args[1:])


def _run(name: str, relay: Relay | None, host: nn.Module, args: tuple[Any, ...], y: Tensor) -> Tensor:
    x = relay.take() if relay else args[0]
    return getattr(host, name)(x, y)  # type: ignore[no-any-return]


def _note(relay: Relay, source: nn.Module, args: tuple[Any, ...]) -> None:
    relay.put(args[0])


def _detach(host: nn.Module, name: str) -> None:
    for hooks, ours in ((host._forward_pre_hooks, _before), (host._forward_hooks, _run)):
        gone = [hook for hook in _ours(hooks, ours) if hook.args[0] == name]
        for key in [key for key, hook in hooks.items() if hook in gone]:
            del hooks[key]
    delattr(host, name)


def _ours(hooks: Mapping[int, Any], *by: Callable[..., Any]) -> list[Any]:
    """Those of a module's hooks that `attach` has registered."""
    return [hook for hook in hooks.values() if isinstance(hook, partial) and hook.func in by]
