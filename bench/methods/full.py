"""Full fine-tuning: every parameter trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from bench.methods.method import Method
from bench.sites import Site
from bench.space import Range, Space


@dataclass(frozen=True, repr=False)
class FullFineTuning(Method):
    """Every parameter of the backbone trains: θ ← θ − η∇L(θ). The baseline that the others are compared with."""

    space: ClassVar[Space] = {**Method.space, "lr": Range(3e-6, 3e-4, log=True, default=3e-5)}

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Sets `requires_grad` on every parameter."""
        model.requires_grad_(True)
