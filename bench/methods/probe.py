"""Linear probe: a linear classifier on frozen features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from bench.methods.method import Method, freeze
from bench.sites import Site
from bench.space import Range, Space


@dataclass(frozen=True, repr=False)
class LinearProbe(Method):
    """The backbone is frozen; only the task's head trains. Alain & Bengio 2016 (arXiv:1610.01644).

    The runner computes pooled features once and trains the head on them; feature maps, of which training sees random
    views, are computed every time.
    """

    space: ClassVar[Space] = {**Method.space, "lr": Range(1e-3, 1e-1, log=True, default=1e-2)}

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Freezes every parameter of the backbone."""
        freeze(model)
