"""Fine-tuning of the last blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from bench.errors import BadInput
from bench.methods.method import Method, freeze
from bench.sites import Site, depth, select
from bench.space import Range, Space


@dataclass(frozen=True, repr=False)
class LastBlocks(Method):
    """Every parameter of the last `last` residual blocks trains, and nothing else of the backbone.

    Partial fine-tuning, as in Yosinski et al. 2014, section 3 (arXiv:1411.1792) and He et al. 2021, section 4.3
    (arXiv:2111.06377). What comes after the blocks (a last normalisation) stays frozen.

    Args:
        last: blocks that train, counted from the end.
    """

    last: int = 2

    shows: ClassVar[tuple[str, ...]] = ("last",)
    space: ClassVar[Space] = {**Method.space, "lr": Range(1e-5, 1e-3, log=True, default=1e-4)}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("last", 1)

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Frees the last blocks.

        Raises:
            BadInput: no block is known, or there are fewer.
        """
        freeze(model)
        if 0 < depth(sites) < self.last:
            raise BadInput(f"last {self.last}: the network has {depth(sites)} blocks")
        for site in select(sites, at=("block",), blocks=-self.last):
            model.get_submodule(site.path).requires_grad_(True)
