"""A split whose inputs are what a frozen network makes of them, computed once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from bench.tasks.contract import Split

CACHE_LIMIT = 4 * 2**30
"""Bytes up to which activations are kept in memory; above it they are computed every time."""


class Precomputed:
    """`split` as seen behind a frozen prefix: a sample goes through it once in each view, when it is first asked for.

    Args:
        split: the split itself.
        run: inputs → activations, the batch first, each sample's of one shape.
    """

    def __init__(self, split: Split, run: Callable[[Any], Tensor]) -> None:
        self.split, self.run, self.views, self.ids = split, run, split.views, split.ids
        self.there = torch.zeros(split.views * len(split), dtype=torch.bool)
        self.kept: Tensor | None = None

    def __len__(self) -> int:
        return len(self.split)

    def targets(self, index: Tensor, view: Tensor | None = None) -> Any:
        """As the split's own."""
        return self.split.targets(index, view)

    def batches(self, size: int, order: Generator) -> list[Tensor]:
        """As the split's own."""
        return self.split.batches(size, order)

    def inputs(self, index: Tensor, view: Tensor | None = None) -> Tensor:
        """The prefix's activations for samples `index` (n), each in its view: (n, …)."""
        view = torch.zeros_like(index) if view is None else view
        key = view * len(self) + index
        new = ~self.there[key]
        if not new.any():
            assert self.kept is not None  # made together with the first entry of `there`
            return self.kept[key]
        fresh = self.run(self.split.inputs(index[new], view[new]))
        if self.kept is None:
            if fresh[0].nbytes * len(self.there) > CACHE_LIMIT:
                return fresh  # nothing is ever kept, so all of the batch is new
            self.kept = fresh.new_empty(len(self.there), *fresh.shape[1:])
        self.kept[key[new]] = fresh
        self.there[key[new]] = True
        return self.kept[key]
