"""Shapes of text models, to count or to test without files, and a tokenizer that needs none."""

from __future__ import annotations

from typing import Any

_DEBERTA_V3 = {
    "relative_attention": True,
    "position_buckets": 256,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "max_relative_positions": -1,
    "type_vocab_size": 0,
    "layer_norm_eps": 1e-7,
}
_ROBERTA = {"vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
_LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
_MINILM = {"hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536}
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
_T5 = _TEST | {"d_model": 32, "num_layers": 2, "num_heads": 4, "d_kv": 8, "d_ff": 64, "n_positions": 256}

SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert-base-uncased": ("bert", {}),
    "bert-large-uncased": ("bert", _LARGE),
    "roberta-base": ("roberta", _ROBERTA),
    "roberta-large": ("roberta", _ROBERTA | _LARGE),
    "distilbert-base-uncased": ("distilbert", {}),
    "google/electra-small-discriminator": ("electra", {}),
    "microsoft/deberta-v3-base": (
        "deberta-v2",
        _DEBERTA_V3
        | {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
    ),
    "answerdotai/ModernBERT-base": ("modernbert", {}),
    "gpt2": ("gpt2", {}),
    "HuggingFaceTB/SmolLM2-135M": (
        "llama",
        {
            "vocab_size": 49152,
            "hidden_size": 576,
            "num_hidden_layers": 30,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
            "intermediate_size": 1536,
            "max_position_embeddings": 8192,
        },
    ),
    "gpt3-175b": ("gpt2", {"n_embd": 12288, "n_layer": 96, "n_head": 96, "n_positions": 2048}),
    "minilm-l6": ("bert", _MINILM | {"num_hidden_layers": 6}),
    "bge-small": ("bert", _MINILM | {"num_hidden_layers": 12}),
    "paraphrase-l3": ("bert", _MINILM | {"num_hidden_layers": 3}),
    "test-bert": ("bert", _TEST),
    "test-roberta": ("roberta", _TEST | {"type_vocab_size": 1}),
    "test-distilbert": ("distilbert", _TEST | {"hidden_dim": 64}),
    "test-electra": ("electra", _TEST | {"embedding_size": 16}),
    "test-deberta-v2": ("deberta-v2", _TEST | _DEBERTA_V3 | {"position_buckets": 16}),
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
"""Name → model type in transformers, and where it differs from that type's default configuration."""

ONLY_HERE = ("gpt3-175b", *(name for name in SHAPES if name.startswith(("test-", "tiny-"))))
"""Shapes that no hub has weights for: GPT-3's is table 2.1 of Brown et al. 2020 (arXiv:2005.14165)."""


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
