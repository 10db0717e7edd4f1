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

OF_NO_LAYER = frozenset({"table", "rel", "relative", "position", "logit", "correction", "factor"})
"""Words in the names of what is added to scores or logits, and of no layer's output."""


@dataclass(frozen=True, repr=False)
class BitFit(Method):
    """Every bias b of the backbone trains, of projections and of normalisation alike, and no weight.

    Ben Zaken et al. 2021 (arXiv:2106.10199), section 3. ViT-B/16: 102,912 parameters; BEiT-B/16: 93,696.

    A bias is what a layer adds to its output, or attention to its queries, keys and values, whatever part of the
    network it is a parameter of: `bias`, BEiT's and SwinV2's `q_bias` and `v_bias`, an LSTM's `bias_hh_l0`, Mamba's
    `dt_bias`, the biases of experts, XLNet's `r_w_bias`. None is what is added to scores of attention by place
    (`relative_position_bias_table`, `attention_biases`), or to logits or a router's scores: such a table is a position
    embedding.
    """

    space: ClassVar[Space] = {**Method.space, "lr": Range(3e-4, 3e-2, log=True, default=3e-3)}

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Trains what is named a bias.

        Raises:
            BadInput: the network has no bias.
        """
        freeze(model)
        biases = [p for name, p in model.named_parameters() if is_bias(name)]
        if not biases:
            raise BadInput("BitFit: this network has no bias to train")
        for bias in biases:
            bias.requires_grad_(True)


def is_bias(name: str) -> bool:
    """Whether a parameter is a layer's bias, by its own name: "blocks.0.attn.q_bias", "rnn.bias_hh_l0"."""
    words = set(name.rpartition(".")[2].split("_"))
    return "bias" in words and not words & OF_NO_LAYER
