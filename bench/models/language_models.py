"""Language models whole: with their head over the vocabulary, and the loss as transformers computes it.

Logits are often the peak of a step: tokens × vocabulary, in the model's precision and once more in float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from bench.errors import BadInput
from bench.models.backbone import Features
from bench.models.language_loss import WHOLE, checked, of_hidden, of_logits
from bench.models.text_network import on_shapes, with_first_token
from bench.models.text_weights import Files

OUTPUT = "loss: "
"""What `build` is asked for: this and a kind of loss."""


def is_decoder(config: Any) -> bool:
    """Whether a configuration of transformers is of a decoder alone, whose tokens see only those before them."""
    from transformers.models.auto import modeling_auto as auto

    kind = config.model_type
    decoder = kind in auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and kind not in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    return decoder and not config.is_encoder_decoder


def library_class(files: Files) -> Any:
    """The class of transformers that makes the network with its language-modelling head.

    Raises:
        BadInput: it has none for this kind of model.
    """
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM
    from transformers.models.auto import modeling_auto as auto

    config = files.config
    kind = config.model_type
    if config.is_encoder_decoder and kind in auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES:
        return AutoModelForSeq2SeqLM
    if is_decoder(config):
        return AutoModelForCausalLM
    if kind in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        return AutoModelForMaskedLM
    raise BadInput(f"{files.name!r} ({kind}) has no language-modelling head in transformers: name a --task for it")


class LanguageNetwork(nn.Module):
    """Token ids and labels → the loss.

    Args:
        body: of transformers, with its language-modelling head.
        loss: its kind (`bench.models.language_loss`). Of encoders and encoder–decoders, which predict no next token,
            it is what transformers computes.
    """

    def __init__(self, body: Any, *, loss: str) -> None:
        super().__init__()
        self.body, self.loss = body, checked(loss)
        self.features = Features(body.config.hidden_size)
        if loss != WHOLE[0] and not is_decoder(body.config):
            raise BadInput(f"loss {loss!r} is of decoders; {body.config.model_type} is none: use {WHOLE[0]!r}")

    @property
    def output_embedding(self) -> nn.Module | None:
        """The layer over the vocabulary: no method's place."""
        head: nn.Module | None = self.body.get_output_embeddings()
        return head

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """A mapping with input_ids, attention_mask and labels, each (N, L).

        Returns:
            The mean cross-entropy of the labelled tokens, a scalar.
        """
        given = with_first_token(inputs)
        if self.loss == WHOLE[0]:
            found: Any = self._run(self.body, given)
            return found.loss  # type: ignore[no-any-return]
        labels = given.pop("labels")
        if self.loss in WHOLE:
            found = self._run(self.body, given)
            if "in place" in self.loss:
                found.logits = found.logits.float()
            return of_logits(found.logits, labels, kind=self.loss)
        hidden = self.features(self._run(self.body.base_model, given).last_hidden_state)
        softcap = getattr(self.body.config, "final_logit_softcapping", None)
        return of_hidden(hidden[:, :-1], self.output_embedding, labels[:, 1:], kind=self.loss, softcap=softcap)

    def _run(self, network: Any, given: dict[str, Tensor]) -> Any:
        return on_shapes(network, given) if given["attention_mask"].is_meta else network(**given)
