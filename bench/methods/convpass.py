"""Convpass: convolutions on the grid of patches, beside attention and MLP."""

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
from bench.methods.low_rank import like
from bench.methods.method import Method, freeze
from bench.sites import Site, select
from bench.space import Range, Space

BLOCK = "vision_transformer.Block"


@dataclass(frozen=True, repr=False)
class Convpass(Method):
    """x ← x + Attn(LN(x)) + scale·Conv(LN(x)), the MLP alike. Jie and Deng 2022 (arXiv:2207.07039).

    Conv(z) = W_up·σ(K ∗ σ(W_down·z)), with K a 3×3 convolution on the grid of patches and σ(u) = u·sigmoid(1.702u);
    a class token or register goes through K as a picture of one cell. As in the authors' code (JieShibo/PETL-ViT), K
    starts as the identity and W_up at zero, so the network starts unchanged. Nothing of it folds into a weight. They
    drop a tenth of the bottleneck in training; here no method has dropout unless a model asks for some. A block costs
    2·(2·d·width + d + 9·width² + 2·width) parameters.

    Args:
        width: of the bottleneck, 8 in the paper.
        scale: s in the paper, which chooses among 0.01 to 100.
        mlp: beside the MLP too; without, beside attention alone (Convpass-attn).
        blocks: all (None), the first n, the last n (-n), or a range (start, stop).
    """

    width: int = 8
    scale: float = 1.0
    mlp: bool = True
    blocks: int | tuple[int, int] | None = None

    shows: ClassVar[tuple[str, ...]] = ("width",)
    space: ClassVar[Space] = {**Method.space, "scale": Range(0.1, 10.0, log=True)}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("width", 1)
        self.above("scale", 0)

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Freezes the backbone and hangs a bypass behind attention and MLP of every block selected.

        Raises:
            BadInput: it is no plain vision transformer.
        """
        freeze(model)
        for site in select(sites, at=("block",), blocks=self.blocks):
            block: Any = model.get_submodule(site.path)
            network: Any = model.get_submodule(site.path.removesuffix(f"blocks.{site.block}").rstrip("."))
            kind = f"{type(block).__module__.rpartition('.')[2]}.{type(block).__name__}"
            if kind != BLOCK or not hasattr(network, "patch_embed"):
                raise BadInput(f"Convpass is for plain vision transformers: a {kind} here has no grid of patches")
            grid, others = network.patch_embed.grid_size, network.num_prefix_tokens
            attach(block.ls1, "convpass", Bypass(self, block.norm1, grid, others), block.attn)  # ls1: behind LayerScale
            if self.mlp:
                attach(block.ls2, "convpass", Bypass(self, block.norm2, grid, others), block.mlp)


class Bypass(Branch):
    """y ← y + scale·W_up·σ(K ∗ σ(W_down·x)).

    Args:
        method: width and scale.
        norm: the normalisation before; its weight (d,) gives width, device and dtype.
        grid: rows and columns of patches, where pictures have the size that the network was made for.
        others: tokens before the patches.
    """

    def __init__(self, method: Convpass, norm: nn.LayerNorm, grid: tuple[int, int], others: int) -> None:
        super().__init__()
        d, width, made = len(norm.weight), method.width, like(norm)
        self.scale, self.grid, self.others = method.scale, grid, others
        self.down, self.up = nn.Linear(d, width, **made), nn.Linear(width, d, **made)
        self.conv = nn.Conv2d(width, width, 3, padding=1, **made)
        nn.init.xavier_uniform_(self.down.weight)
        nn.init.dirac_(self.conv.weight)
        for start_at_zero in (self.down.bias, self.conv.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(start_at_zero)  # type: ignore[arg-type]

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x, y (N, tokens, d).

        Raises:
            BadInput: the patches make no square, and not the grid that the network was made for.
        """
        low = _activation(self.down(x))
        alone, patches = low[:, : self.others], low[:, self.others :]
        rows, columns = self.shape(patches.shape[1])
        cells = patches.transpose(1, 2).unflatten(2, (rows, columns))
        mixed = self.conv(cells).flatten(2).transpose(1, 2)
        centre = F.linear(alone, self.conv.weight[:, :, 1, 1], self.conv.bias)  # all that a 3×3 sees of one cell
        return y + self.scale * self.up(_activation(torch.cat([centre, mixed], dim=1)))

    def shape(self, patches: int) -> tuple[int, int]:
        """Rows and columns of so many patches."""
        if math.prod(self.grid) == patches:
            return self.grid
        if (side := math.isqrt(patches)) ** 2 != patches:
            raise BadInput(f"Convpass: {patches} patches make no square; give pictures as high as wide")
        return side, side


def _activation(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)
