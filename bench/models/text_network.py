"""The network of a text model: token ids → features."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

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
        hidden: Tensor = (self._on_shapes(given) if mask.is_meta else self.body(**given)).last_hidden_state
        features: Tensor = self.features(self._pooled(hidden, mask))
        return features

    def _on_shapes(self, given: dict[str, Tensor]) -> Any:
        """What the body gives on tensors without values.

        transformers asks a mask whether it hides anything, unless it is made ready: without values none can answer. A
        body that takes no such mask (BLOOM, Mamba) has it as it is, or none. OPT would count positions from it.
        """
        mask = given["attention_mask"]
        if "position_ids" in inspect.signature(self.body.forward).parameters:
            given = {**given, "position_ids": mask.cumsum(1) - 1}
        made_ready = {**given, "attention_mask": mask.bool()[:, None, None]}
        without = {key: each for key, each in given.items() if key != "attention_mask"}
        failed: list[Exception] = []
        for inputs in (made_ready, given, without):
            try:
                return self.body(**inputs)
            except Exception as error:
                failed.append(error)
        raise failed[-1]

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
