"""A split whose inputs are what a frozen network makes of them, computed once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bench.tasks.task import Split

CACHE_LIMIT = 4 * 2**30
"""Bytes up to which activations are kept in memory; above it they are computed every time."""


class Precomputed:
    """`split` as seen behind a frozen prefix; every sample goes through it once in each view, on first use.

    Args:
        split: the split itself.
        run: inputs → activations, the batch first.
        batch_size: samples to run at once.
    """

    def __init__(self, split: Split, run: Callable[[Any], Tensor], batch_size: int) -> None:
        self.split, self.run, self.batch_size, self.views = split, run, batch_size, split.views
        self.kept: Tensor | None = None
        self.fits = True

    def __len__(self) -> int:
        return len(self.split)

    def targets(self, index: Tensor, view: Tensor | None = None) -> Any:
        """As the split's own."""
        return self.split.targets(index, view)

    def inputs(self, index: Tensor, view: Tensor | None = None) -> Tensor:
        """The prefix's activations for samples `index` (n), each in its view: (n, …)."""
        view = torch.zeros_like(index) if view is None else view
        if self.kept is None and self.fits:
            self._compute()
        if self.kept is None:
            return self.run(self.split.inputs(index, view))
        return self.kept[view * len(self) + index]

    def _compute(self) -> None:
        parts: list[Tensor] = []
        for view in range(self.views):
            for index in torch.arange(len(self)).split(self.batch_size):
                parts.append(self.run(self.split.inputs(index, torch.full_like(index, view))))
                if parts[0].nbytes / len(parts[0]) * len(self) * self.views > CACHE_LIMIT:
                    self.fits = False
                    return
        self.kept = torch.cat(parts)
