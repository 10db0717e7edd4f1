"""BitFit: only the biases train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from bench.errors import BadInput
from bench.methods.method import Method, freeze
from bench.sites import Site
from bench.space import Range, Space


@dataclass(frozen=True, repr=False)
class BitFit(Method):
    """Every bias b of the backbone trains, of projections and of normalisation alike, and no weight.

    Ben Zaken et al. 2021 (arXiv:2106.10199), section 3. ViT-B/16: 102,912 parameters.
    """

    space: ClassVar[Space] = {**Method.space, "lr": Range(3e-4, 3e-2, log=True, default=3e-3)}

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Trains what is named `bias`.

        Raises:
            BadInput: the network has no bias.
        """
        freeze(model)
        biases = [p for name, p in model.named_parameters() if name.rpartition(".")[2] == "bias"]
        if not biases:
            raise BadInput("BitFit: this network has no bias to train")
        for bias in biases:
            bias.requires_grad_(True)
