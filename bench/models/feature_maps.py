"""Backbones for detection: pictures of any size → feature maps."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import BadInput
from bench.models.backbone import Features
from bench.models.roles import below, called_below, sites
from bench.models.trace import Seen, in_evaluation
from bench.sites import Site, depth

Taps = Callable[[nn.Module, Tensor], Sequence[Tensor]]


class MapNetwork(nn.Module):
    """Pictures (N, 3, H, W) → one map (N, channels, ⌈H/stride⌉, ⌈W/stride⌉) a stride, finest first.

    A picture is padded with zeros on the right and below to a multiple of the coarsest stride, and the maps are cut
    back. Each leaves through a `Features` of its own as cells (N, H·W, channels).

    Args:
        body: the network itself; its parameters are named as in its library, behind "body.".
        taps: (body, pictures) → maps.
        channels: of each map.
        strides: pixels of the picture that a cell of each map stands for.
    """

    def __init__(self, body: nn.Module, taps: Taps, *, channels: Sequence[int], strides: Sequence[int]) -> None:
        super().__init__()
        self.body, self.taps = body, taps
        self.channels, self.strides = tuple(channels), tuple(strides)
        self.features = nn.ModuleList(Features(width) for width in channels)

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """Pictures (N, 3, H, W) of any size, normalised."""
        height, width = pictures.shape[-2:]
        coarsest = self.strides[-1]
        maps = self.taps(self.body, F.pad(pictures, (0, -width % coarsest, 0, -height % coarsest)))
        leaving = []
        for features, stride, whole in zip(self.features, self.strides, maps, strict=True):
            cut = whole[..., : -(-height // stride), : -(-width // stride)]
            cells = features(cut.flatten(2).transpose(1, 2))
            leaving.append(cells.transpose(1, 2).unflatten(2, cut.shape[2:]))
        return tuple(leaving)

    def no_weight_decay(self) -> set[str]:
        """Parameters that the body exempts."""
        return {f"body.{name}" for name in getattr(self.body, "no_weight_decay", set)()}


def map_sites(network: MapNetwork, pass_: Seen | None) -> tuple[Site, ...]:
    """The sites of the body under their names in the network, and one `features` a map.

    Args:
        network: on maps.
        pass_: what a pass through it did; None where it cannot be run without values.
    """
    found = below("body.", sites(network.body, called_below("body.", pass_)))
    return (*found, *(Site(f"features.{i}", "features", depth(found)) for i in range(len(network.features))))


def any_size(name: str, size: int | None) -> dict[str, Any]:
    """What timm must be told so that `name`, if it is a plain ViT, takes pictures of any size.

    Its position embedding is made for pictures of `size` as they are padded, to whole patches.
    """
    body: Any = timm.create_model(name, device="meta")
    if "dynamic_img_size" not in inspect.signature(type(body)).parameters:
        return {}
    patch = body.patch_embed.patch_size[0]
    return {"dynamic_img_size": True, **({"img_size": -(-size // patch) * patch} if size else {})}


def timm_maps(body: Any, name: str) -> MapNetwork:
    """The maps of a timm network: the last one of a plain ViT, normalised; else those of the three coarsest strides.

    What lies behind the last map is taken off.

    Raises:
        BadInput: a network that takes pictures of one size only, or that does not give out its maps.
    """
    try:
        return _timm_maps(body)
    except (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise BadInput(
            f"{name} gives no feature maps of pictures of any size: for detection take a CNN, a Swin "
            "or a plain ViT (vit_…, deit3_…, DINOv2)"
        ) from error


def _timm_maps(body: Any) -> MapNetwork:
    last = {level["reduction"]: index for index, level in enumerate(body.feature_info)}
    strides = sorted(last)[-3:]
    plain, indices = len(strides) == 1, [last[stride] for stride in strides]
    if plain and isinstance(body.norm, nn.Identity) and hasattr(body, "fc_norm"):
        body.norm, body.fc_norm = body.fc_norm, nn.Identity()  # the final norm of a ViT that pools before it
    body.prune_intermediate_layers(indices, prune_norm=not plain, prune_head=True)
    taps = partial(_intermediates, indices=indices, norm=plain)
    height, width = 2 * strides[-1], 3 * strides[-1]
    maps = _try(body, taps, height, width)
    if any(m.shape[2:] != (height // stride, width // stride) for m, stride in zip(maps, strides, strict=True)):
        raise ValueError(f"maps of {[tuple(m.shape[2:]) for m in maps]} cells, not of strides {strides}")
    return MapNetwork(body, taps, channels=[m.shape[1] for m in maps], strides=strides)


def _intermediates(body: Any, pictures: Tensor, *, indices: list[int], norm: bool) -> list[Tensor]:
    maps: list[Tensor] = body.forward_intermediates(
        pictures, indices=indices, norm=norm, stop_early=True, intermediates_only=True
    )
    return maps


@torch.no_grad()
def _try(body: nn.Module, taps: Taps, height: int, width: int) -> Sequence[Tensor]:
    """The maps of one blank picture."""
    with in_evaluation(body):
        return taps(body, next(body.parameters()).new_zeros(1, 3, height, width))
