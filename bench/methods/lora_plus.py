"""LoRA+: LoRA whose B learns faster than its A."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.methods.lora import LoRA
from bench.space import Range, Space


@dataclass(frozen=True, repr=False)
class LoRAPlus(LoRA):
    """LoRA with η_B = ratio·η_A. Hayou et al. 2024, section 4 (arXiv:2402.12354).

    AdamW's step does not know the size of a gradient. So without clipping this is LoRA with alpha·ratio at A's rate:
    B is ratio times what it is there. Measured by `python -m tests.benchmarks lora_plus` (timm's test_vit, float64, 8
    pictures, rank 4, ratio 16, lr 1e-4, 100 steps of the suite's AdamW), as shares of the largest output: 1e-6 apart
    without weight decay (Adam's ε), 8e-4 with 0.01; with gradients clipped to a norm of 1, 0.3 apart, where plain LoRA
    is 1.2 apart.
    The suite clips by default, so that the two are not the same there.

    Args:
        rank, alpha, dropout, rank_stabilised, at, blocks, start: as of `LoRA`.
        ratio: λ ≥ 1, of B's learning rate to A's; the tuned rate is A's.
    """

    ratio: float = 16.0

    shows: ClassVar[tuple[str, ...]] = ("rank", "at", "ratio")
    space: ClassVar[Space] = {**LoRA.space, "lr": Range(2e-5, 2e-3, log=True, default=2e-4)}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("ratio", 1)

    def rates(self, name: str) -> float:
        """`ratio` for every B, 1 for every A."""
        return self.ratio if ".lora.B" in name else 1.0
