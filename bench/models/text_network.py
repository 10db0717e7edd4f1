"""The network of a text model: token ids → features; and one class of layer for all methods."""

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
        given = with_first_token(inputs)
        mask = given["attention_mask"]
        hidden: Tensor = (on_shapes(self.body, given) if mask.is_meta else self.body(**given)).last_hidden_state
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


def with_first_token(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inputs; a text of no tokens keeps its first padding token: nothing to attend to would make it NaN."""
    mask = inputs["attention_mask"]
    return {**inputs, "attention_mask": torch.cat([torch.ones_like(mask[:, :1]), mask[:, 1:]], dim=1)}


def on_shapes(body: nn.Module, given: dict[str, Tensor]) -> Any:
    """What a network of transformers gives on tensors without values.

    transformers asks a mask whether it hides anything, unless it is made ready: without values none can answer. A
    body that takes no such mask (BLOOM, Mamba) has it as it is, or none. OPT would count positions from it.
    """
    mask = given["attention_mask"]
    takes, ready = inspect.signature(body.forward).parameters, mask.bool()[:, None, None]
    if "position_ids" in takes:
        given = {**given, "position_ids": mask.cumsum(1) - 1}
    if "labels" in given and "decoder_attention_mask" in takes:
        given = {**given, "decoder_attention_mask": ready}
    made_ready = {**given, "attention_mask": ready}
    without = {key: each for key, each in given.items() if key != "attention_mask"}
    failed: list[Exception] = []
    for inputs in (made_ready, given, without):
        try:
            return body(**inputs)
        except Exception as error:
            failed.append(error)
    raise failed[-1]


def linears_for_conv1d(model: nn.Module) -> None:
    """Turns GPT-2's Conv1D, a Linear whose weight lies transposed, into a Linear: one layer class for all methods."""
    from transformers.pytorch_utils import Conv1D

    for path, layer in list(model.named_modules()):
        if isinstance(layer, Conv1D):
            linear = nn.Linear(layer.nx, layer.nf, device="meta")
            linear.weight = nn.Parameter(layer.weight.detach().t().contiguous())
            linear.bias = layer.bias
            model.set_submodule(path, linear)
