"""A backbone as the tasks and the runner see it, and how a method is put on it."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Hashable, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import BadInput, say_once
from bench.methods import Method
from bench.models.coverage import in_part
from bench.models.roles import unknown_blocks
from bench.sites import NoBlocks, Site


class Broken(BadInput):
    """A method fails on a network, by an error that is none of its own refusals."""


class NeedsValues(Broken):
    """A method cannot be put on a network whose tensors have shapes and no values."""


class Features(nn.Identity):
    """The identity through which the features leave a backbone: the `features` site.

    Args:
        width: d, number of features.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width


_UNUSED: dict[Hashable, frozenset[str]] = {}
"""What `_unused` found, by what the backbone was built from, the method, and whether on shapes alone: what can do with
these can do with values, but not the other way round."""


@dataclass(frozen=True)
class PretrainedHead:
    """The parts of a pretrained detector behind its backbone. The task that uses them wraps them.

    Args:
        pyramid: feature maps (tuple) → maps that are all equally wide (tuple), at the strides of the detector.
        detector: torchvision's FCOS, RetinaNet or FasterRCNN.
        strides: of the pyramid's maps.
        background: whether label 0 is the background, as in Faster R-CNN.
    """

    pyramid: nn.Module
    detector: nn.Module
    strides: tuple[int, ...]
    background: bool


@dataclass(frozen=True)
class Maps:
    """What a head stands on where the backbone gives feature maps, finest first.

    Args:
        channels: of each map.
        strides: pixels of the picture that a cell of each map stands for.
        head: makes the pretrained pyramid and detector that came with the weights, for a number of classes; None
            where there are none.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    head: Callable[[int], PretrainedHead] | None = None


@dataclass
class Backbone:
    """A network without head, and what others need to know of it.

    Args:
        module: maps a batch of inputs to pooled features (N, width), to one a token (N, L, width), or, for pictures
            (N, 3, H, W) of any size, to a tuple of maps (N, channels, ⌈H/stride⌉, ⌈W/stride⌉).
        sites: where methods may be put.
        width: number of features; `Maps` where the output is "maps".
        inputs: what a task needs to make inputs for it, e.g. image size, mean and std.
        example: makes n inputs on the module's device, for checks and costs; texts of a given length, by default short.
        resume: runs the rest of the network from the input of a block onward, where the family allows:
            (depth index of the block, that input) → features.
        provenance: name and sha256 of the weights.
        mixed_precision: whether bf16 autocast pays on a CPU that has bf16 instructions.
        output: "pooled", "tokens" for features of every token, or "maps" for those of every place.
        added: keys of the module's `state_dict` that a method has added (`adapt`).
    """

    module: nn.Module
    sites: tuple[Site, ...]
    width: Any
    inputs: Any
    example: Callable[..., Any]
    resume: Callable[[int, Tensor], Tensor] | None = None
    provenance: dict[str, str | None] = field(default_factory=dict)
    mixed_precision: bool = False
    output: str = "pooled"
    added: frozenset[str] = frozenset()

    def batch(self, n: int) -> Any:
        """n inputs of the largest size: pictures of the model's, texts as long as it takes them."""
        length = getattr(self.inputs, "length", None)
        return self.example(n) if length is None else self.example(n, length)


def adapt(backbone: Backbone, method: Method, *, like: Hashable = None) -> None:
    """Puts `method` on the backbone and makes sure that every trainable tensor is reached by the gradient.

    Args:
        backbone: as built; changed in place.
        method: goes on it.
        like: what the backbone was built from. One of the same has the same way for the gradient, whatever its weights
            and device: it is looked for once in a process. Without, it is looked for each time.

    Raises:
        BadInput: the method does not fit, or a trainable tensor gets no gradient (a network that goes past the
            adapted module).
    """
    base = {name for name, _ in backbone.module.named_parameters()}
    keys = backbone.module.state_dict().keys() | base
    try:
        method.apply(backbone.module, backbone.sites)
    except NoBlocks as error:
        raise NoBlocks(f"{error}; seen here: {unknown_blocks(backbone.module)}") from None
    except (BadInput, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise _misfit(backbone, repr(method), error) from error
    backbone.added = frozenset(backbone.module.state_dict().keys() - keys)
    trainable = {n: p for n, p in backbone.module.named_parameters() if p.requires_grad}
    if not trainable:
        return
    shapes = next(iter(trainable.values())).is_meta
    key = (like, type(method), repr(method), shapes)
    unused = _UNUSED.get(key, None if shapes else _UNUSED.get((*key[:3], True))) if like else None
    if unused is None:
        unused = _unused(backbone, method, trainable, base)
        if like:
            _UNUSED[key] = unused
    for name in unused:
        trainable[name].requires_grad_(False)
    if part := in_part(backbone.module, backbone.sites, method, base):
        say_once(f"{method!r} on {type(getattr(backbone.module, 'body', backbone.module)).__name__}: {part}")


def _unused(backbone: Backbone, method: Method, trainable: dict[str, nn.Parameter], base: Set[str]) -> frozenset[str]:
    """Parameters of the network's own that no gradient reaches: nothing uses them, and they must not be counted."""
    try:
        grads = _gradients(backbone, list(trainable.values()))
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        own = any(p.requires_grad and name not in base for name, p in backbone.module.named_parameters())
        raise _misfit(backbone, repr(method) if _is_of(error, method, own=own) else "", error) from error
    unused = frozenset(name for name, grad in zip(trainable, grads, strict=True) if grad is None)
    if inert := sorted(unused - base):
        raise BadInput(f"{method!r} is silently inert at {inert[0]}: the network goes past that module")
    return unused


def _gradients(backbone: Backbone, trainable: list[Tensor]) -> Sequence[Tensor | None]:
    """Of one example, in evaluation."""
    was_training = backbone.module.training
    backbone.module.eval()
    with torch.enable_grad():
        features = backbone.module(backbone.example(1))
        maps = features if backbone.output == "maps" else (features,)
        loss = torch.stack([each.float().square().sum() for each in maps]).sum()
        grads = torch.autograd.grad(loss, trainable, allow_unused=True)
    backbone.module.train(was_training)
    return grads


def _is_of(error: Exception, method: Method, *, own: bool) -> bool:
    """Whether a pass through an adapted network failed in what the method put there, as far as can be told.

    Args:
        error: what was raised.
        method: what was put on the network.
        own: whether it put tensors there: where autograd fails, without any code of either, it is its own then.
    """
    named = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    if any(name.startswith("bench.methods.") or name == type(method).__module__ for name in named):
        return True
    passed = any(frame.f_code.co_name == "forward" for frame, _ in traceback.walk_tb(error.__traceback__))
    return own and not passed


def _misfit(backbone: Backbone, method: str, error: Exception) -> BadInput:
    """What to say where a method, or, without one, the network itself fails: which tensor is astray, or how."""
    module = backbone.module
    home, name = next(module.parameters()).device, type(getattr(module, "body", module)).__name__
    kind = NeedsValues if home.type == "meta" else Broken
    tensors = [*module.named_parameters(), *module.named_buffers()]
    if astray := next((f"{path} on {each.device}" for path, each in tensors if each.device != home), ""):
        return kind(f"{method or name} makes {astray}, where the weights are on {home}: make it on their device")
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    if not method:
        how = "needs values, and cannot run on shapes alone" if kind is NeedsValues else "cannot run"
        return kind(f"the network {name} {how}, whatever the method: {type(error).__name__}: {said}")
    how = "cannot do with shapes alone on" if kind is NeedsValues else "does not fit"
    return kind(f"{method} {how} {name}: {type(error).__name__}: {said}")


def count(backbone: Backbone) -> int:
    """Trainable parameters of the backbone."""
    return sum(p.numel() for p in backbone.module.parameters() if p.requires_grad)
