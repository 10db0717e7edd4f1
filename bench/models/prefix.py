"""The part of an adapted network that neither trains nor varies, so that it need run only once per picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import is_fake

from bench.models.backbone import Backbone
from bench.models.dropout import drops_in_training
from bench.models.trace import in_evaluation
from bench.sites import depth


@dataclass(frozen=True)
class FrozenPrefix:
    """A network cut in two: features(x) = resume(run(x)).

    Args:
        run: inputs → what reaches the first part that trains. Deterministic; needs no gradient.
        resume: that → pooled features.
        whole: whether the whole network runs only once, as what trains stands on its features.
    """

    run: Callable[[Any], Tensor]
    resume: Callable[[Tensor], Tensor]
    whole: bool = False


def frozen_prefix(backbone: Backbone) -> FrozenPrefix | None:
    """Cuts an adapted backbone before the first module that trains.

    Two cuts are known: at the features (nothing below them trains: linear probe, feature LoRA), for every family; and
    at the input of a residual block, for families that can resume there (plain ViTs). A place where the two halves
    would not be the whole is none: something that trains reaches before it, or a hook of what lies around it would
    not run.

    Returns:
        The cut, or None where training begins before the first such place, where the features are not pooled, or
        where dropout was asked for, which makes something else of a sample every time.
    """
    place = _place(backbone) if backbone.output == "pooled" else None
    if place is None or drops_in_training(backbone.module):
        return None
    path, block = place
    host = backbone.module.get_submodule(path)
    run = partial(_input_of, host, backbone.module)
    resume = host.__call__ if block is None or backbone.resume is None else partial(backbone.resume, block)
    around = (backbone.module.get_submodule(path[:end]) for end in _ends(path))
    if any(module._forward_hooks for module in around) or not _is_whole(backbone, run, resume):
        return None
    return FrozenPrefix(torch.no_grad()(run), resume, whole=block is None)


def _place(backbone: Backbone) -> tuple[str, int | None] | None:
    """The path of the module before which to cut, and its depth index where it is a block."""
    features = next(site.path for site in backbone.sites if site.role == "features")
    trains = {name for name, p in backbone.module.named_parameters() if p.requires_grad}
    if all(name.startswith(features + ".") for name in trains):
        return features, None
    if backbone.resume is None:
        return None
    blocks = [site.path for site in backbone.sites if site.role == "block"]
    early = [name for name in trains if not name.startswith(tuple(path + "." for path in blocks))]
    late = tuple(prefix + "." for prefix in (features, *_after(backbone)))
    if any(not name.startswith(late) for name in early):
        return None
    first = next(
        (i for i, path in enumerate(blocks) if any(n.startswith(path + ".") for n in trains)), depth(backbone.sites)
    )
    return (blocks[first], first) if 0 < first < len(blocks) else None


def _ends(path: str) -> list[int]:
    """Where the paths of the modules around a module end, from the network itself on."""
    return [0, *(i for i, sign in enumerate(path) if sign == ".")]


def _is_whole(backbone: Backbone, run: Callable[[Any], Tensor], resume: Callable[[Tensor], Tensor]) -> bool:
    """Whether the two halves give what the network gives, and no gradient passes from one to the other.

    On one example, in evaluation. Another one runs before it resumes: what a method carries past the cut, as a side
    network does that reads the first blocks, is then of the wrong sample. Of tensors without values only the gradient
    is looked at.
    """
    with in_evaluation(backbone.module):
        example = backbone.example(1)
        with torch.enable_grad():
            reached = run(example)
        if reached.requires_grad:
            return False
        if reached.is_meta or is_fake(reached):
            return True
        with torch.no_grad():
            whole = backbone.module(example)
            run(_second(backbone.example(2)))
            halves = resume(reached)
    return halves.shape == whole.shape and torch.allclose(halves, whole, rtol=1e-3, atol=1e-4)


def _second(inputs: Any) -> Any:
    """The second of some inputs alone."""
    return {key: each[1:2] for key, each in inputs.items()} if isinstance(inputs, Mapping) else inputs[1:2]


def _after(backbone: Backbone) -> list[str]:
    """Top-level modules that a plain ViT runs after its blocks."""
    names = [name for name, _ in backbone.module.named_children()]
    return names[names.index("blocks") + 1 :] if "blocks" in names else []


class _Reached(Exception):
    """Carries a module's input out of a forward pass that need not go on."""

    def __init__(self, value: Tensor) -> None:
        self.value = value


def _input_of(module: nn.Module, network: nn.Module, inputs: Any) -> Tensor:
    def stop(_: nn.Module, args: tuple[Any, ...]) -> None:
        raise _Reached(args[0])

    # Before the module's other hooks: they run when it resumes.
    hook = module.register_forward_pre_hook(stop, prepend=True)
    try:
        network(inputs)
    except _Reached as reached:
        return reached.value
    finally:
        hook.remove()
    raise RuntimeError(f"{type(module).__name__} was not reached in the forward pass")
