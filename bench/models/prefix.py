"""The part of an adapted network that neither trains nor varies, so that it need run only once per picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from bench.models.backbone import Backbone
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
    at the input of a residual block, for families that can resume there (plain ViTs).

    Returns:
        The cut, or None where training begins before the first such place, or the features are not pooled.
    """
    if backbone.output != "pooled":
        return None
    features = next(site.path for site in backbone.sites if site.role == "features")
    trains = {name for name, p in backbone.module.named_parameters() if p.requires_grad}
    if all(name.startswith(features + ".") for name in trains):
        module = backbone.module.get_submodule(features)
        return FrozenPrefix(partial(_input_of, module, backbone.module), module.__call__, whole=True)
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
    if not 0 < first < len(blocks):
        return None
    host = backbone.module.get_submodule(blocks[first])
    return FrozenPrefix(partial(_input_of, host, backbone.module), partial(backbone.resume, first))


def _after(backbone: Backbone) -> list[str]:
    """Top-level modules that a plain ViT runs after its blocks."""
    names = [name for name, _ in backbone.module.named_children()]
    return names[names.index("blocks") + 1 :] if "blocks" in names else []


class _Reached(Exception):
    """Carries a module's input out of a forward pass that need not go on."""

    def __init__(self, value: Tensor) -> None:
        self.value = value


@torch.no_grad()
def _input_of(module: nn.Module, network: nn.Module, inputs: Any) -> Tensor:
    def stop(_: nn.Module, args: tuple[Any, ...]) -> None:
        raise _Reached(args[0])

    hook = module.register_forward_pre_hook(stop)
    try:
        network(inputs)
    except _Reached as reached:
        return reached.value
    finally:
        hook.remove()
    raise RuntimeError(f"{type(module).__name__} was not reached in the forward pass")
