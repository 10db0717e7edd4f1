"""LoRA-FA: LoRA whose A stays as it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from bench.errors import BadInput
from bench.methods.lora import ConvBranch, LinearBranch, LoRA
from bench.sites import Site


@dataclass(frozen=True, repr=False)
class LoRAFA(LoRA):
    """W ← W + (alpha/rank)·B·A with A frozen at its random start. Zhang et al. 2023, eq. 4 (arXiv:2308.03303).

    B alone trains: half of LoRA's parameters on a square matrix. Its gradient needs A·x alone, rank values a token,
    so that the layer's input is not kept for it. A is random, and therefore stored with B.

    Args:
        rank, alpha, dropout, rank_stabilised, at, blocks, start: as of `LoRA`. A start of "B" would keep A at zero.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.start == "B":
            raise BadInput("start 'B': LoRAFA keeps A as it starts, and A would be zero; give 'uniform' or 'normal'")

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """As LoRA, with every A frozen."""
        super().apply(model, sites)
        for module in model.modules():
            if isinstance(module, LinearBranch):
                module.A.requires_grad_(False)
            elif isinstance(module, ConvBranch):
                module.A.weight.requires_grad_(False)
