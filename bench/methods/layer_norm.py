"""LayerNorm tuning: only the scales and shifts of the normalisations train."""

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
class LayerNormTuning(Method):
    """γ and β of every layer normalisation, y = γ·(x − μ)/σ + β, train, and nothing else.

    Zhao et al. 2023 (arXiv:2312.11420), section 3; of RMSNorm there is only γ. ViT-B/16: 38,400 parameters.
    """

    space: ClassVar[Space] = {**Method.space, "lr": Range(3e-4, 3e-2, log=True, default=3e-3)}

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Trains the parameters of each LayerNorm (RMSNorm, and what inherits from them).

        Raises:
            BadInput: the network has no such normalisation, as most convolutional networks.
        """
        freeze(model)
        norms = [module for module in model.modules() if isinstance(module, nn.LayerNorm | nn.RMSNorm)]
        trained = [parameter for norm in norms for parameter in norm.parameters(recurse=False)]
        if not trained:
            raise BadInput("LayerNormTuning: this network has no layer normalisation to train")
        for parameter in trained:
            parameter.requires_grad_(True)
