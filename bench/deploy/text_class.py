"""Classes of transformers for a pooled text network: the library's own where it computes the same, else some lines."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

POOLED = '''"""Texts to classes: the features of a text, pooled over its tokens, and a linear classifier."""

import torch
from torch import nn
from transformers import PreTrainedModel, {body}, {config}
from transformers.modeling_outputs import SequenceClassifierOutput


class PooledForSequenceClassification(PreTrainedModel):
    config_class = {config}

    def __init__(self, config):
        super().__init__(config)
        try:
            self.body = {body}(config, add_pooling_layer=False)
        except TypeError:
            self.body = {body}(config)
        wide, classes = config.hidden_size, config.num_labels
        if config.bench_head == "mlp":
            self.classifier = nn.Sequential(nn.Linear(wide, wide), nn.Tanh(), nn.Linear(wide, classes))
        else:
            self.classifier = nn.Linear(wide, classes)
        self.post_init()

    def forward(self, input_ids=None, attention_mask=None, token_type_ids=None, labels=None, **kwargs):
        given = {{"input_ids": input_ids, "attention_mask": attention_mask}}
        if token_type_ids is not None:
            given["token_type_ids"] = token_type_ids
        hidden = self.body(**given).last_hidden_state
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        if self.config.bench_pool == "mean":
            weight = mask.unsqueeze(2).to(hidden.dtype)
            pooled = (hidden * weight).sum(1) / weight.sum(1)
        elif self.config.bench_pool == "last":
            pooled = hidden.take_along_dim((mask.sum(1) - 1)[:, None, None], dim=1).squeeze(1)
        else:
            pooled = hidden[:, 0]
        logits = self.classifier(pooled)
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)
'''
"""The file that a folder brings where the library has no such head; {body} and {config} are classes of transformers."""


def plain_class(
    kind: str, pool: str, head: nn.Module, body: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], list[str]] | None:
    """The weights under the names of the library's own class, and its name; None where it computes something else.

    BERT's and RoBERTa's classify the first token by Linear, tanh, Linear: `pool="token"` with `head_kind="mlp"`.

    Args:
        kind: the configuration's `model_type`.
        pool: of the tokens.
        head: on the pooled features.
        body: weights of the bare transformer.
    """
    if pool != "token" or not isinstance(head, nn.Sequential):
        return None
    own = {key: tensor for key, tensor in body.items() if not key.startswith("pooler.")}
    dense, last = head[0].state_dict(), head[2].state_dict()
    if kind == "bert":
        named = {"bert.pooler.dense": dense, "classifier": last}
        before, name = "bert", "BertForSequenceClassification"
    elif kind == "roberta":
        named = {"classifier.dense": dense, "classifier.out_proj": last}
        before, name = "roberta", "RobertaForSequenceClassification"
    else:
        return None
    state = {f"{before}.{key}": tensor for key, tensor in own.items()}
    state |= {f"{place}.{key}": tensor for place, tensors in named.items() for key, tensor in tensors.items()}
    return state, [name]
