"""Methods that use every member of the interface, as an author's own might."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.methods import LoRA, Method
from bench.methods.branch import Branch, attach
from bench.methods.method import freeze
from bench.sites import Site, select


@dataclass(frozen=True, repr=False)
class Scheduled(Method):
    """LoRA whose B learns faster, whose A is kept near orthonormal, and whose rows are switched off over time."""

    rank: int = 4
    ratio: float = 4.0
    weight: float = 0.1

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """LoRA with a count of steps, which is restored, and a sum of gradients, which is not."""
        LoRA(rank=self.rank).apply(model, sites)
        for branch in branches(model):
            like = branch.A.device
            branch.register_buffer("steps", torch.zeros((), device=like))
            branch.register_buffer("seen", torch.zeros_like(branch.A), persistent=False)

    def rates(self, name: str) -> float:
        """LoRA+."""
        return self.ratio if name.endswith("lora.B") else 1.0

    def penalty(self, model: nn.Module) -> Tensor | None:
        """‖A·Aᵀ − I‖²."""
        found = [(b.A @ b.A.T - torch.eye(len(b.A), device=b.A.device)).square().mean() for b in branches(model)]
        return self.weight * torch.stack(found).mean()

    def after_step(self, model: nn.Module, step: int, steps: int) -> None:
        """Counts, and adds gradients up."""
        for branch in branches(model):
            branch.steps.fill_(step)
            branch.seen.add_(branch.A.grad.abs())


def branches(model: nn.Module) -> list[Any]:
    """LoRA's, wherever they hang."""
    return [module.lora for module in model.modules() if hasattr(module, "lora")]


class Gain(Branch):
    """x ← (1 + s) ⊙ x before a Linear, s starting at zero."""

    def __init__(self, host: nn.Linear) -> None:
        super().__init__()
        self.s = nn.Parameter(torch.zeros(host.in_features, device=host.weight.device, dtype=host.weight.dtype))

    def before(self, x: Tensor) -> Tensor:
        """x (…, in)."""
        return x * (1 + self.s).to(x.dtype)

    @torch.no_grad()
    def fold(self, host: nn.Linear) -> None:
        """Scales the columns of W."""
        host.weight *= 1 + self.s


@dataclass(frozen=True, repr=False)
class InputGain(Method):
    """Changes what some layers are given."""

    at: tuple[str, ...] = ("up", "down")
    blocks: int | tuple[int, int] | None = None

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """A gain before every layer selected."""
        freeze(model)
        for path in dict.fromkeys(site.path for site in select(sites, at=self.at, blocks=self.blocks)):
            layer: Any = model.get_submodule(path)
            attach(layer, "gain", Gain(layer))
