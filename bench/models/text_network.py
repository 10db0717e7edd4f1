"""The network of a text model: token ids → features."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bench.models.backbone import Features


class TextNetwork(nn.Module):
    """Token ids → one vector a text, or one a token.

    Args:
        body: the bare transformer.
        pool: "mean" over the real tokens, "last" of them, "token" for the first; "" for the vectors of all tokens.
    """

    def __init__(self, body: nn.Module, *, pool: str) -> None:
        super().__init__()
        self.body, self.pool = body, pool
        self.features = Features(0)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """A mapping with input_ids and attention_mask (N, L), and token_type_ids where they are used.

        Returns:
            (N, width), or (N, L, width) where nothing is pooled.
        """
        mask = inputs["attention_mask"]
        # A text of no tokens keeps its first padding token: nothing to attend to would make it NaN.
        mask = torch.cat([torch.ones_like(mask[:, :1]), mask[:, 1:]], dim=1)
        given: dict[str, Tensor] = {**inputs, "attention_mask": mask}
        if mask.is_meta:
            # transformers asks a mask whether it hides anything, unless it is made ready: without values none can
            # answer. OPT would count positions from it.
            given["attention_mask"] = mask.bool()[:, None, None]
            if "position_ids" in inspect.signature(self.body.forward).parameters:
                given["position_ids"] = mask.cumsum(1) - 1
        hidden: Tensor = self.body(**given).last_hidden_state
        features: Tensor = self.features(self._pooled(hidden, mask))
        return features

    def _pooled(self, hidden: Tensor, mask: Tensor) -> Tensor:
        match self.pool:
            case "mean":
                weight = mask.unsqueeze(2).to(hidden.dtype)
                return (hidden * weight).sum(1) / weight.sum(1)
            case "last":
                last = mask.sum(1) - 1
                return hidden.take_along_dim(last[:, None, None], dim=1).squeeze(1)
            case "token":
                return hidden[:, 0]
        return hidden
