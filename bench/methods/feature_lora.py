"""Feature LoRA: a low-rank map on top of the backbone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import BadInput
from bench.methods.branch import Branch, attach
from bench.methods.method import Method, freeze
from bench.sites import Site, select
from bench.space import Range, Space


@dataclass(frozen=True, repr=False)
class FeatureLoRA(Method):
    """z ← z + B·A·z on the features z of width d, A ∈ R^(rank×d), B ∈ R^(d×rank), `depth` times over.

    The features are the pooled ones of a picture or a text, or, where the task answers for every token, each token's;
    of feature maps, each cell's, with an A and a B for every map.
    The form in which the low-rank map stands on top of a frozen backbone instead of inside it. B starts at zero.
    The map belongs to the features and not to a weight of the backbone, so there is nothing to fold it into.

    Args:
        rank: r ≥ 1, at most d.
        depth: 1 or 2 stacked maps.
        tune_last: 0, 1 or 2: so many of the last residual blocks train in full beside it.
    """

    rank: int = 8
    depth: int = 1
    tune_last: int = 0

    shows: ClassVar[tuple[str, ...]] = ("rank", "depth")
    space: ClassVar[Space] = {**Method.space, "lr": Range(1e-3, 1e-1, log=True, default=1e-2)}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("rank", 1)
        if self.depth not in (1, 2):
            raise BadInput(f"depth {self.depth}: FeatureLoRA stacks 1 or 2 maps")
        if self.tune_last not in (0, 1, 2):
            raise BadInput(f"tune_last {self.tune_last}: FeatureLoRA trains the last 0, 1 or 2 blocks")

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Freezes the backbone, hangs the maps on its features and frees the last blocks.

        Raises:
            BadInput: the backbone has no features to publish, or some are narrower than the rank.
        """
        freeze(model)
        if self.tune_last:
            for site in select(sites, at=("block",), blocks=-self.tune_last):
                model.get_submodule(site.path).requires_grad_(True)
        weight = next(p for p in model.parameters() if p.is_floating_point())  # none that is packed
        for site in select(sites, at=("features",)):
            features: Any = model.get_submodule(site.path)
            for layer in range(self.depth):
                attach(features, f"lora{layer + 1}", FeatureMap(self.rank, features.width, like=weight))


class FeatureMap(Branch):
    """y ← y + B·A·y.

    Args:
        rank: r.
        width: d, of the features.
        like: a tensor that gives device and dtype.
    """

    def __init__(self, rank: int, width: int, *, like: Tensor) -> None:
        super().__init__()
        if rank > width:
            raise BadInput(f"rank {rank}: the features are {width} wide; use a rank of at most {width}")
        self.A = nn.Parameter(torch.empty(rank, width, device=like.device, dtype=like.dtype))
        self.B = nn.Parameter(torch.zeros(width, rank, device=like.device, dtype=like.dtype))
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """y (N, d) pooled, (N, L, d) for each token or cell, or (N, d, 1, 1) from a convolutional head."""
        flat = y.flatten(1) if y.ndim == 4 else y
        return (flat + F.linear(F.linear(flat, self.A), self.B)).view_as(y)
