"""Shapes of the text models that people name, under their names on the Hugging Face hub: no files are needed.

Each is what the model's public config.json says of its sizes. `tests/models/test_shipped_shapes.py` holds their
parameters against the published counts.
"""

from __future__ import annotations

from typing import Any

Shapes = dict[str, tuple[str, dict[str, Any]]]


def _decoder(
    width: int,
    blocks: int,
    heads: int,
    mlp: int,
    words: int,
    length: int,
    *,
    kv: int = 0,
    tied: bool = False,
    **more: Any,
) -> dict[str, Any]:
    """A decoder's sizes under the names that most configurations of transformers have for them."""
    return {
        "hidden_size": width,
        "num_hidden_layers": blocks,
        "num_attention_heads": heads,
        "num_key_value_heads": kv or heads,
        "intermediate_size": mlp,
        "vocab_size": words,
        "max_position_embeddings": length,
        "tie_word_embeddings": tied,
        **more,
    }


def _encoder(width: int, blocks: int, heads: int, **more: Any) -> dict[str, Any]:
    """An encoder's, whose MLP is four times as wide."""
    sizes = {"hidden_size": width, "num_hidden_layers": blocks, "num_attention_heads": heads}
    return {**sizes, "intermediate_size": 4 * width, **more}


DEBERTA_V3 = {
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
_ROBERTA: dict[str, Any] = {
    "vocab_size": 50265,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
}
_XLM_R: dict[str, Any] = {**_ROBERTA, "vocab_size": 250002}
_MINILM = {"hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536}


def _t5(width: int, mlp: int, blocks: int, heads: int, *, head: int = 64, gated: bool = False) -> dict[str, Any]:
    """T5's (arXiv:1910.10683), and FLAN's, whose MLP is gated. transformers ties its head, whatever the file says."""
    newer = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False} if gated else {}
    sizes = {"d_model": width, "d_ff": mlp, "num_layers": blocks, "num_decoder_layers": blocks, "num_heads": heads}
    return {**sizes, "d_kv": head, "n_positions": 512, "decoder_start_token_id": 0, **newer}


def _gpt2(width: int, blocks: int, heads: int) -> dict[str, Any]:
    return {"n_embd": width, "n_layer": blocks, "n_head": heads}


def _pythia(width: int, blocks: int, heads: int, words: int = 50304) -> dict[str, Any]:
    sizes = {"hidden_size": width, "num_hidden_layers": blocks, "num_attention_heads": heads}
    return {**sizes, "intermediate_size": 4 * width, "vocab_size": words, "max_position_embeddings": 2048}


_LLAMA_3: dict[str, Any] = {"kv": 8, "rms_norm_eps": 1e-5, "rope_theta": 500000.0}
_QWEN: dict[str, Any] = {"rope_theta": 1000000.0}
_QWEN_3: dict[str, Any] = {**_QWEN, "head_dim": 128}

ENCODERS: Shapes = {
    "bert-base-uncased": ("bert", {}),
    "bert-large-uncased": ("bert", _encoder(1024, 24, 16)),
    "bert-base-cased": ("bert", {"vocab_size": 28996}),
    "bert-large-cased": ("bert", _encoder(1024, 24, 16, vocab_size=28996)),
    "roberta-base": ("roberta", _ROBERTA),
    "roberta-large": ("roberta", _encoder(1024, 24, 16, **_ROBERTA)),
    "xlm-roberta-base": ("xlm-roberta", _XLM_R),
    "xlm-roberta-large": ("xlm-roberta", _encoder(1024, 24, 16, **_XLM_R)),
    "distilbert-base-uncased": ("distilbert", {}),
    "google/electra-small-discriminator": ("electra", {}),
    "microsoft/deberta-v3-xsmall": ("deberta-v2", _encoder(384, 12, 6, **DEBERTA_V3)),
    "microsoft/deberta-v3-small": ("deberta-v2", _encoder(768, 6, 12, **DEBERTA_V3)),
    "microsoft/deberta-v3-base": ("deberta-v2", _encoder(768, 12, 12, **DEBERTA_V3)),
    "microsoft/deberta-v3-large": ("deberta-v2", _encoder(1024, 24, 16, **DEBERTA_V3)),
    "answerdotai/ModernBERT-base": ("modernbert", {}),
    "answerdotai/ModernBERT-large": (
        "modernbert",
        {"hidden_size": 1024, "num_hidden_layers": 28, "num_attention_heads": 16, "intermediate_size": 2624},
    ),
    "minilm-l6": ("bert", _MINILM | {"num_hidden_layers": 6}),
    "bge-small": ("bert", _MINILM | {"num_hidden_layers": 12}),
    "paraphrase-l3": ("bert", _MINILM | {"num_hidden_layers": 3}),
}

ENCODER_DECODERS: Shapes = {
    "t5-small": ("t5", _t5(512, 2048, 6, 8)),
    "t5-base": ("t5", _t5(768, 3072, 12, 12)),
    "t5-large": ("t5", _t5(1024, 4096, 24, 16)),
    "t5-3b": ("t5", _t5(1024, 16384, 24, 32, head=128)),
    "google/flan-t5-small": ("t5", _t5(512, 1024, 8, 6, gated=True)),
    "google/flan-t5-base": ("t5", _t5(768, 2048, 12, 12, gated=True)),
    "google/flan-t5-large": ("t5", _t5(1024, 2816, 24, 16, gated=True)),
    "google/flan-t5-xl": ("t5", _t5(2048, 5120, 24, 32, gated=True)),
}

DECODERS: Shapes = {
    "gpt2": ("gpt2", {}),
    "gpt2-medium": ("gpt2", _gpt2(1024, 24, 16)),
    "gpt2-large": ("gpt2", _gpt2(1280, 36, 20)),
    "gpt2-xl": ("gpt2", _gpt2(1600, 48, 25)),
    "bigcode/gpt_bigcode-santacoder": (
        "gpt_bigcode",
        _gpt2(2048, 24, 16)
        | {"n_inner": 8192, "n_positions": 2048, "vocab_size": 49280}
        | {"bos_token_id": 49152, "eos_token_id": 49152},
    ),
    "meta-llama/Llama-2-7b-hf": ("llama", _decoder(4096, 32, 32, 11008, 32000, 4096)),
    "meta-llama/Llama-2-13b-hf": ("llama", _decoder(5120, 40, 40, 13824, 32000, 4096)),
    "meta-llama/Llama-2-70b-hf": ("llama", _decoder(8192, 80, 64, 28672, 32000, 4096, kv=8)),
    "meta-llama/Meta-Llama-3-8B": ("llama", _decoder(4096, 32, 32, 14336, 128256, 8192, **_LLAMA_3)),
    "meta-llama/Llama-3.1-8B": ("llama", _decoder(4096, 32, 32, 14336, 128256, 131072, **_LLAMA_3)),
    "meta-llama/Llama-3.1-70B": ("llama", _decoder(8192, 80, 64, 28672, 128256, 131072, **_LLAMA_3)),
    "meta-llama/Llama-3.2-1B": (
        "llama",
        _decoder(2048, 16, 32, 8192, 128256, 131072, tied=True, head_dim=64, **_LLAMA_3),
    ),
    "meta-llama/Llama-3.2-3B": (
        "llama",
        _decoder(3072, 28, 24, 8192, 128256, 131072, tied=True, head_dim=128, **_LLAMA_3),
    ),
    "TinyLlama/TinyLlama-1.1B-Chat-v1.0": ("llama", _decoder(2048, 22, 32, 5632, 32000, 2048, kv=4)),
    "HuggingFaceTB/SmolLM2-135M": ("llama", _decoder(576, 30, 9, 1536, 49152, 8192, kv=3, tied=True)),
    "HuggingFaceTB/SmolLM2-360M": ("llama", _decoder(960, 32, 15, 2560, 49152, 8192, kv=5, tied=True)),
    "HuggingFaceTB/SmolLM2-1.7B": ("llama", _decoder(2048, 24, 32, 8192, 49152, 8192, tied=True)),
    "mistralai/Mistral-7B-v0.1": ("mistral", _decoder(4096, 32, 32, 14336, 32000, 32768, kv=8, sliding_window=4096)),
    "mistralai/Mistral-7B-v0.3": ("mistral", _decoder(4096, 32, 32, 14336, 32768, 32768, kv=8, sliding_window=None)),
    "Qwen/Qwen2.5-0.5B": ("qwen2", _decoder(896, 24, 14, 4864, 151936, 32768, kv=2, tied=True, **_QWEN)),
    "Qwen/Qwen2.5-1.5B": ("qwen2", _decoder(1536, 28, 12, 8960, 151936, 131072, kv=2, tied=True, **_QWEN)),
    "Qwen/Qwen2.5-3B": ("qwen2", _decoder(2048, 36, 16, 11008, 151936, 32768, kv=2, tied=True, **_QWEN)),
    "Qwen/Qwen2.5-7B": ("qwen2", _decoder(3584, 28, 28, 18944, 152064, 131072, kv=4, **_QWEN)),
    "Qwen/Qwen2.5-14B": ("qwen2", _decoder(5120, 48, 40, 13824, 152064, 131072, kv=8, **_QWEN)),
    "Qwen/Qwen2.5-32B": ("qwen2", _decoder(5120, 64, 40, 27648, 152064, 131072, kv=8, **_QWEN)),
    "Qwen/Qwen3-0.6B": ("qwen3", _decoder(1024, 28, 16, 3072, 151936, 40960, kv=8, tied=True, **_QWEN_3)),
    "Qwen/Qwen3-1.7B": ("qwen3", _decoder(2048, 28, 16, 6144, 151936, 40960, kv=8, tied=True, **_QWEN_3)),
    "Qwen/Qwen3-4B": ("qwen3", _decoder(2560, 36, 32, 9728, 151936, 40960, kv=8, tied=True, **_QWEN_3)),
    "Qwen/Qwen3-8B": ("qwen3", _decoder(4096, 36, 32, 12288, 151936, 40960, kv=8, **_QWEN_3)),
    "Qwen/Qwen3-14B": ("qwen3", _decoder(5120, 40, 40, 17408, 151936, 40960, kv=8, **_QWEN_3)),
    "Qwen/Qwen3-32B": ("qwen3", _decoder(5120, 64, 64, 25600, 151936, 40960, kv=8, **_QWEN_3)),
    "google/gemma-2b": ("gemma", _decoder(2048, 18, 8, 16384, 256000, 8192, kv=1, tied=True, head_dim=256)),
    "google/gemma-7b": ("gemma", _decoder(3072, 28, 16, 24576, 256000, 8192, tied=True, head_dim=256)),
    "google/gemma-2-2b": ("gemma2", _decoder(2304, 26, 8, 9216, 256000, 8192, kv=4, tied=True, head_dim=256)),
    "google/gemma-2-9b": ("gemma2", _decoder(3584, 42, 16, 14336, 256000, 8192, kv=8, tied=True, head_dim=256)),
    "google/gemma-2-27b": ("gemma2", _decoder(4608, 46, 32, 36864, 256000, 8192, kv=16, tied=True, head_dim=128)),
    "google/gemma-3-1b-pt": (
        "gemma3_text",
        _decoder(1152, 26, 4, 6912, 262144, 32768, kv=1, tied=True, head_dim=256, sliding_window=512),
    ),
    "google/gemma-3-4b-pt": (
        "gemma3_text",
        _decoder(2560, 34, 8, 10240, 262208, 131072, kv=4, tied=True, head_dim=256, sliding_window=1024),
    ),
    "google/gemma-3-12b-pt": (
        "gemma3_text",
        _decoder(3840, 48, 16, 15360, 262208, 131072, kv=8, tied=True, head_dim=256, sliding_window=1024),
    ),
    "google/gemma-3-27b-pt": (
        "gemma3_text",
        _decoder(5376, 62, 32, 21504, 262208, 131072, kv=16, tied=True, head_dim=128, sliding_window=1024),
    ),
    "microsoft/phi-1_5": ("phi", _decoder(2048, 24, 32, 8192, 51200, 2048, partial_rotary_factor=0.5)),
    "microsoft/phi-2": ("phi", _decoder(2560, 32, 32, 10240, 51200, 2048, partial_rotary_factor=0.4)),
    "microsoft/Phi-3-mini-4k-instruct": ("phi3", _decoder(3072, 32, 32, 8192, 32064, 4096, sliding_window=2047)),
    "microsoft/Phi-3.5-mini-instruct": ("phi3", _decoder(3072, 32, 32, 8192, 32064, 131072)),
    "microsoft/Phi-4-mini-instruct": (
        "phi3",
        _decoder(3072, 32, 24, 8192, 200064, 131072, kv=8, tied=True, partial_rotary_factor=0.75),
    ),
    "microsoft/phi-4": ("phi3", _decoder(5120, 40, 40, 17920, 100352, 16384, kv=10)),
    # PowerLM as in arXiv:2408.13359, table 4; Granite as config.json of granite-3.0-2b-instruct and 3.2-8b-instruct.
    "ibm/PowerLM-3b": ("granite", _decoder(2304, 40, 36, 9216, 49152, 4096, tied=True)),
    "ibm-granite/granite-3.0-2b-base": ("granite", _decoder(2048, 40, 32, 8192, 49155, 4096, kv=8, tied=True)),
    "ibm-granite/granite-3.1-8b-base": ("granite", _decoder(4096, 40, 32, 12800, 49155, 131072, kv=8, tied=True)),
    "tiiuae/falcon-7b": ("falcon", {}),
    "EleutherAI/pythia-70m": ("gpt_neox", _pythia(512, 6, 8)),
    "EleutherAI/pythia-160m": ("gpt_neox", _pythia(768, 12, 12)),
    "EleutherAI/pythia-410m": ("gpt_neox", _pythia(1024, 24, 16)),
    "EleutherAI/pythia-1b": ("gpt_neox", _pythia(2048, 16, 8)),
    "EleutherAI/pythia-1.4b": ("gpt_neox", _pythia(2048, 24, 16)),
    "EleutherAI/pythia-2.8b": ("gpt_neox", _pythia(2560, 32, 32)),
    "EleutherAI/pythia-6.9b": ("gpt_neox", _pythia(4096, 32, 32, 50432)),
    "EleutherAI/pythia-12b": ("gpt_neox", _pythia(5120, 36, 40, 50688)),
    "gpt3-175b": ("gpt2", {"n_embd": 12288, "n_layer": 96, "n_head": 96, "n_positions": 2048}),
}

SHIPPED: Shapes = ENCODERS | ENCODER_DECODERS | DECODERS
"""Name → model type in transformers, and where it differs from that type's default configuration."""

TOWERS = {
    "openai/clip-vit-base-patch32": "vit_base_patch32_clip_224",
    "openai/clip-vit-base-patch16": "vit_base_patch16_clip_224",
    "openai/clip-vit-large-patch14": "vit_large_patch14_clip_224",
    "openai/clip-vit-large-patch14-336": "vit_large_patch14_clip_336",
    "google/siglip-base-patch16-224": "vit_base_patch16_siglip_224",
    "google/siglip-base-patch16-384": "vit_base_patch16_siglip_384",
    "google/siglip-large-patch16-256": "vit_large_patch16_siglip_256",
    "google/siglip-so400m-patch14-384": "vit_so400m_patch14_siglip_384",
    "google/vit-base-patch16-224": "vit_base_patch16_224",
    "google/vit-base-patch16-224-in21k": "vit_base_patch16_224",
    "google/vit-large-patch16-224": "vit_large_patch16_224",
    "facebook/dinov2-small": "vit_small_patch14_dinov2",
    "facebook/dinov2-base": "vit_base_patch14_dinov2",
    "facebook/dinov2-large": "vit_large_patch14_dinov2",
    "facebook/dinov3-vits16-pretrain-lvd1689m": "vit_small_patch16_dinov3",
    "facebook/dinov3-vitb16-pretrain-lvd1689m": "vit_base_patch16_dinov3",
    "facebook/dinov3-vitl16-pretrain-lvd1689m": "vit_large_patch16_dinov3",
}
"""Vision towers by their names on the hub → the same network in timm."""

OWNERS = {
    "google-bert": ("bert-base-uncased", "bert-large-uncased", "bert-base-cased", "bert-large-cased"),
    "FacebookAI": ("roberta-base", "roberta-large", "xlm-roberta-base", "xlm-roberta-large"),
    "distilbert": ("distilbert-base-uncased",),
    "openai-community": ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"),
    "google-t5": ("t5-small", "t5-base", "t5-large", "t5-3b"),
}
"""Who owns, on the hub, the models that one may name without an owner."""

TUNED = ("instruct", "chat", "it")
"""What stands in names of models that were tuned further and kept their shape."""
