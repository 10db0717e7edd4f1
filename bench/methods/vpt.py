"""Visual prompt tuning: learned tokens that join the patches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench.errors import BadInput
from bench.methods.branch import Branch, attach
from bench.methods.method import Method, freeze
from bench.sites import Site, select
from bench.space import Range, Space

BLOCKS = ("vision_transformer.Block", "vision_transformer.ResPostBlock")
"""Blocks whose attention takes tokens beside the grid: none has positions, windows or rotations of its own."""


@dataclass(frozen=True, repr=False)
class VPT(Method):
    """[x, P] enters a block, P ∈ R^(prompts×d) of learned tokens. Jia et al. 2022, eq. 4-7 (arXiv:2203.12119).

    "Deep": every block has prompts of its own, and what it makes of them is dropped. "Shallow" (`deep=False`): the
    first block's go through all of them, and are dropped behind the last. No prompt gets to the pooling or into a
    feature map. They stand behind the patches, not between class token and patches as in the paper: attention gives
    the same for every order. P starts uniform within √(6/(inputs of a patch + d)), as in the authors' code.

    Args:
        prompts: p ≥ 1, of each block.
        deep: prompts for every block, or for the first alone.
    """

    prompts: int = 10
    deep: bool = True

    departs: ClassVar[str | None] = "prompts join the patches"
    shows: ClassVar[tuple[str, ...]] = ("prompts",)
    space: ClassVar[Space] = {**Method.space, "lr": Range(1e-3, 1e-1, log=True, default=1e-2)}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("prompts", 1)

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Freezes the backbone and hangs prompts on its blocks.

        Raises:
            BadInput: it is no plain vision transformer.
        """
        freeze(model)
        blocks: list[Any] = [model.get_submodule(site.path) for site in select(sites, at=("block",))]
        for block in blocks:
            kind = f"{type(block).__module__.rpartition('.')[2]}.{type(block).__name__}"
            if kind not in BLOCKS:
                raise BadInput(
                    f"VPT is for plain vision transformers: a {type(block).__name__} takes no tokens beside its own; "
                    "for texts there are PromptTuning and PrefixTuning"
                )
        patch = next((model.get_submodule(site.path) for site in sites if site.role == "patch"), None)
        inputs = 3 * 16 * 16 if patch is None else patch.weight[0].numel()  # type: ignore[index, union-attr, operator]
        if self.deep:
            for block in blocks:
                attach(block, "vpt", DeepPrompts(self.prompts, block.norm1.weight, inputs))
        else:
            attach(blocks[0], "vpt", Prompts(self.prompts, blocks[0].norm1.weight, inputs))
            attach(blocks[-1], "vpt_end", Drop(self.prompts))


class Prompts(Branch):
    """x ← [x, P] before a block.

    Args:
        number: p.
        like: a tensor (d,) that gives width, device and dtype.
        inputs: of the patch embedding, which the start is scaled by.
    """

    def __init__(self, number: int, like: Tensor, inputs: int) -> None:
        super().__init__()
        self.P = nn.Parameter(torch.empty(number, len(like), device=like.device, dtype=like.dtype))
        bound = math.sqrt(6 / (inputs + len(like)))
        nn.init.uniform_(self.P, -bound, bound)

    def before(self, x: Tensor) -> Tensor:
        """x (N, tokens, d). Returns (N, tokens + p, d)."""
        return torch.cat([x, self.P.to(x.dtype).expand(len(x), -1, -1)], dim=1)


class DeepPrompts(Prompts):
    """x ← [x, P] before a block, and without them behind it."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """y (N, tokens + p, d). Returns (N, tokens, d)."""
        return y[:, : -len(self.P)]


class Drop(Branch):
    """y without its last `number` tokens."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """y (N, tokens + number, d). Returns (N, tokens, d)."""
        return y[:, : -self.number]
