"""Shapes of text models, to count, to estimate or to test without files, and a tokenizer that needs none."""

from __future__ import annotations

import difflib
import re
from typing import Any

from bench.errors import BadInput
from bench.models.shipped_shapes import DEBERTA_V3, OWNERS, SHIPPED, TOWERS, TUNED, Shapes

# Large initial weights, so that attention and MLP are far from linear; 260 tokens are those of `byte_tokenizer`.
_TEST = {
    "vocab_size": 260,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_GROUPED = {"num_key_value_heads": 2, "head_dim": 16}
_T5 = _TEST | {
    "d_model": 32,
    "num_layers": 2,
    "num_heads": 4,
    "d_kv": 8,
    "d_ff": 64,
    "n_positions": 256,
    "decoder_start_token_id": 0,
}

SMALL: Shapes = {
    "test-bert": ("bert", _TEST),
    "test-roberta": ("roberta", _TEST | {"type_vocab_size": 1}),
    "test-distilbert": ("distilbert", _TEST | {"hidden_dim": 64}),
    "test-electra": ("electra", _TEST | {"embedding_size": 16}),
    "test-deberta-v2": ("deberta-v2", _TEST | DEBERTA_V3 | {"position_buckets": 16}),
    "test-modernbert": (
        "modernbert",
        _TEST | {"local_attention": 16, "global_attn_every_n_layers": 2, "cls_token_id": 1, "sep_token_id": 2},
    ),
    "test-gpt2": ("gpt2", _TEST | {"n_inner": 64}),
    "test-llama": ("llama", _TEST | {"num_key_value_heads": 2}),
    "tiny-gemma": ("gemma", _TEST | _GROUPED),
    "tiny-gemma2": ("gemma2", _TEST | _GROUPED),
    "tiny-gemma3": ("gemma3_text", _TEST | _GROUPED),
    "tiny-phi": ("phi", _TEST),
    "tiny-phi3": ("phi3", _TEST | {"num_key_value_heads": 2}),
    "tiny-mixtral": ("mixtral", _TEST | {"num_key_value_heads": 2, "num_local_experts": 2}),
    "tiny-opt": ("opt", _TEST | {"ffn_dim": 64, "word_embed_proj_dim": 16}),
    "tiny-ibert": ("ibert", _TEST),
    "tiny-t5": ("t5", _T5),
    "tiny-t5-gated": ("t5", _T5 | {"feed_forward_proj": "gated-gelu"}),
    "tiny-bart": (
        "bart",
        _TEST | {"d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 4, "encoder_ffn_dim": 64},
    ),
}
"""Made up here, for tests and to try families: random weights only."""

SHAPES: Shapes = SHIPPED | SMALL
"""Name → model type in transformers, and where it differs from that type's default configuration."""

ONLY_HERE = ("gpt3-175b", *SMALL)
"""Shapes that no hub has weights for: GPT-3's is table 2.1 of Brown et al. 2020 (arXiv:2005.14165)."""

_OWNED = {f"{owner}/{name}".lower(): name for owner, names in OWNERS.items() for name in names}
_SHORT = {name.rpartition("/")[2].lower(): name for name in SHAPES}
"""Names without their owner, in small letters."""


def shape_of(name: str) -> str | None:
    """The shape that a name means: "meta-llama/Llama-3.2-3B", "Llama-3.2-3B", "meta-llama/Llama-3.2-3B-Instruct".

    Returns:
        The name in `SHAPES`; None where none of that name is shipped. Another owner's model is another model.
    """
    if name in SHAPES:
        return name
    wanted = name.lower()
    base = re.sub(rf"-({'|'.join(TUNED)})(?=-|$)", "", wanted)
    for each in (wanted, base, base.removesuffix("-hf") + "-hf", base + "-pt"):
        if each in _OWNED:
            return _OWNED[each]
        found = _SHORT.get(each.rpartition("/")[2])
        if found and ("/" not in each or found.lower() == each):
            return found
    return None


def nearest_shapes(name: str, n: int = 3) -> list[str]:
    """The shipped shapes whose names are most like another."""
    short = name.rpartition("/")[2].lower()
    found = difflib.get_close_matches(short, [each for each in _SHORT if _SHORT[each] in SHIPPED], n=n, cutoff=0.5)
    return [_SHORT[each] for each in found]


def configuration(name: str, *, pad: int) -> Any:
    """The transformers configuration of a shape, for a tokenizer with padding token `pad`."""
    from transformers import AutoConfig

    kind, options = SHAPES[name]
    config = AutoConfig.for_model(kind, **options)
    if config.pad_token_id is not None:  # RoBERTa counts positions from it
        config.pad_token_id = pad
    return config


def byte_tokenizer() -> Any:
    """A fast tokenizer of 256 bytes and four special tokens: "[CLS] a [SEP]", "[CLS] a [SEP] b [SEP]"."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    vocabulary = {token: i for i, token in enumerate(special + sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    names = dict(zip(("pad_token", "cls_token", "sep_token", "unk_token"), special, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def check_text(name: str, config: Any) -> None:
    """Refuses what is no single stack of blocks over tokens.

    Raises:
        BadInput: which configuration it is; towers for pictures go by other names.
    """
    if not hasattr(config, "vocab_size") or not hasattr(config, "hidden_size"):
        towers = difflib.get_close_matches(name, TOWERS, n=2, cutoff=0.3) or list(TOWERS)[:2]
        raise BadInput(
            f"{name!r} is no text model ({config.model_type}): its configuration has no vocabulary or no width; towers "
            f"for pictures go by their names: {', '.join(towers)}, or timm's (bench models clip)"
        )
