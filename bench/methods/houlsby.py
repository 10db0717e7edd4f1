"""Houlsby adapters: a bottleneck after attention and one after the MLP of every block."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import nn

from bench.errors import BadInput
from bench.methods.bottleneck import insert
from bench.methods.method import Method
from bench.sites import ATTENTION, Site, select

PLACES = ("o", "down", "branch")


@dataclass(frozen=True, repr=False)
class Houlsby(Method):
    """y ← y + W_up·gelu(W_down·y) after both sublayers of a block. Houlsby et al. 2019, fig. 2 (arXiv:1902.00751).

    The bottleneck stands on the sublayer's last projection, before the residual sum. Unlike the paper's, the
    normalisation layers stay frozen, so that only adapters count; `W_up` starts at zero instead of near zero.
    In a network with LayerScale (DINOv2) the bottleneck acts before it. In a CNN, whose blocks have one residual
    branch, one bottleneck (of 1×1 convolutions) follows the branch's last normalisation.

    Args:
        width: of the bottleneck. A block costs 2·(2·d·width + width + d) parameters at model width d.
        blocks: all (None), the first n, the last n (-n), or a range (start, stop).
    """

    width: int = 64
    blocks: int | tuple[int, int] | None = None

    shows: ClassVar[tuple[str, ...]] = ("width",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("width", 1)

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Freezes the backbone and inserts the bottlenecks.

        Raises:
            BadInput: no site matches, or a block has attention and only one of the two places is known there: that of
                a mixture of experts has no layer after its MLP.
        """
        _check_both(sites, {site.block for site in select(sites, at=PLACES, blocks=self.blocks)})
        insert(model, sites, at=PLACES, blocks=self.blocks, width=self.width, act=F.gelu)


def _check_both(sites: Sequence[Site], blocks: Collection[int]) -> None:
    """Refuses blocks with attention in which one of its two places is not known: half of it is another method."""
    for block in sorted(blocks):
        roles = {site.role for site in sites if site.block == block}
        missing = [what for role, what in (("o", "its attention"), ("down", "its MLP")) if role not in roles]
        if missing and roles & {*ATTENTION, "qkv"}:
            raise BadInput(
                f"Houlsby stands after attention and after the MLP: in block {block} no layer is known that ends "
                f"{' or '.join(missing)} (experts have none); LoRA(at=…) takes what there is"
            )
