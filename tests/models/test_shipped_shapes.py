"""Shapes of the models that people name: parameters as published, names as people write them, bad names in one line."""

from __future__ import annotations

import json

import pytest
import torch

from bench.errors import BadInput
from bench.methods import IA3, LayerNormTuning, LoRA
from bench.models import HuggingFace, Timm, adapt, count, resolve
from bench.models.text_shapes import SHAPES, configuration, nearest_shapes, shape_of
from bench.sites import MLP

PUBLISHED = {
    "meta-llama/Llama-3.2-1B": 1_235_814_400,
    "meta-llama/Llama-3.2-3B": 3_212_749_824,
    "meta-llama/Llama-3.1-8B": 8_030_261_248,
    "meta-llama/Llama-2-7b-hf": 6_738_415_616,
    "meta-llama/Llama-2-13b-hf": 13_015_864_320,
    "meta-llama/Llama-2-70b-hf": 68_976_648_192,
    "mistralai/Mistral-7B-v0.1": 7_241_732_096,
    "mistralai/Mistral-7B-v0.3": 7_248_023_552,
    "Qwen/Qwen2.5-0.5B": 494_032_768,
    "Qwen/Qwen2.5-7B": 7_615_616_512,
    "Qwen/Qwen2.5-32B": 32_763_876_352,
    "Qwen/Qwen3-0.6B": 596_049_920,
    "Qwen/Qwen3-4B": 4_022_468_096,
    "Qwen/Qwen3-32B": 32_762_123_264,
    "google/gemma-2b": 2_506_172_416,
    "google/gemma-2-2b": 2_614_341_888,
    "google/gemma-2-27b": 27_227_128_320,
    "google/gemma-3-1b-pt": 999_885_952,
    "microsoft/phi-1_5": 1_418_270_720,
    "microsoft/phi-2": 2_779_683_840,
    "microsoft/Phi-3-mini-4k-instruct": 3_821_079_552,
    "microsoft/Phi-4-mini-instruct": 3_836_021_760,
    "bigcode/gpt_bigcode-santacoder": 1_124_886_528,
    "TinyLlama/TinyLlama-1.1B-Chat-v1.0": 1_100_048_384,
    "EleutherAI/pythia-1b": 1_011_781_632,
    "EleutherAI/pythia-12b": 11_846_072_320,
    "gpt2-xl": 1_557_611_200,
    "t5-base": 222_903_552,
    "t5-3b": 2_851_598_336,
}
"""Parameters that the models' pages and papers give, with the head, tied or not. Gemma 3's larger ones have a vision
tower besides; of FLAN-T5 transformers ties the head, against its page."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_as_published(name):
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    maker = AutoModelForSeq2SeqLM if SHAPES[name][0] == "t5" else AutoModelForCausalLM
    with torch.device("meta"):
        model = maker.from_config(configuration(name, pad=0))
    model.tie_weights()
    assert sum(p.numel() for p in model.parameters()) == PUBLISHED[name]


@pytest.mark.filterwarnings("ignore:.*no role is known")
@pytest.mark.parametrize(
    ("name", "method", "expected"),
    [
        ("Llama-3.2-3B", LoRA(rank=32), 9_175_040),
        ("Llama-3.2-3B", LoRA(rank=64), 18_350_080),
        ("Llama-3.2-3B", LoRA(rank=10, at=MLP), 9_461_760),  # gate, up and down
        ("Llama-3.2-3B", LayerNormTuning(), 175_104),
        ("Llama-3.2-3B", IA3(), 286_720),
        ("meta-llama/Llama-2-7b-hf", LoRA(rank=8), 4_194_304),
        ("meta-llama/Llama-2-13b-hf", LoRA(rank=8), 6_553_600),
        ("phi-1_5", LoRA(rank=8), 1_572_864),
        ("t5-base", LoRA(rank=8), 36 * 2 * 8 * 2 * 768),  # 12 blocks of the encoder, 24 attentions of the decoder
        ("bigcode/gpt_bigcode-santacoder", LoRA(rank=8), 24 * 8 * (2 * 2048 + 2048 + 128)),  # one value for 16 heads
        ("EleutherAI/pythia-160m", LoRA(rank=8, at=("qkv",)), 12 * 8 * 4 * 768),
    ],
    ids=repr,
)
def test_counts_of_whole_models(name, method, expected):
    backbone = resolve(name).build(device="meta", output="loss: float32")
    adapt(backbone, method)
    assert count(backbone) == expected


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Llama-3.2-3B", "meta-llama/Llama-3.2-3B"),
        ("meta-llama/llama-3.2-3b-instruct", "meta-llama/Llama-3.2-3B"),
        ("llama-2-7b", "meta-llama/Llama-2-7b-hf"),
        ("meta-llama/Llama-2-7b-chat-hf", "meta-llama/Llama-2-7b-hf"),
        ("mistralai/Mistral-7B-Instruct-v0.3", "mistralai/Mistral-7B-v0.3"),
        ("google/gemma-3-1b-it", "google/gemma-3-1b-pt"),
        ("FacebookAI/roberta-base", "roberta-base"),
        ("google-t5/t5-base", "t5-base"),
        ("someone/Llama-3.2-3B", None),
        ("gpt5", None),
    ],
)
def test_names_are_as_people_write_them(said, meant):
    assert shape_of(said) == meant
    if meant and "/" not in said:
        assert resolve(said) == HuggingFace(meant)


def test_towers_are_timms():
    assert resolve("openai/clip-vit-base-patch32") == Timm("vit_base_patch32_clip_224")


def test_a_config_is_enough_to_count(tmp_path):
    file = tmp_path / "config.json"
    kind, options = SHAPES["test-llama"]
    file.write_text(json.dumps({"model_type": kind, **options}))
    for name in (str(tmp_path), str(file)):
        backbone = resolve(name).build(device="meta", output="loss: float32")
        adapt(backbone, LoRA(rank=2))
        assert count(backbone) == 2 * 2 * (2 * 32 + 32 + 16)


@pytest.mark.parametrize("kind", ["gpt2", "unheard-of"])
def test_code_of_a_models_own_is_never_run(tmp_path, kind):
    own = {"AutoConfig": "configuration_own.OwnConfig", "AutoModelForCausalLM": "modeling_own.OwnModel"}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, "auto_map": own, "vocab_size": 300}))
    (tmp_path / "configuration_own.py").write_text("raise SystemExit('was run')")
    with pytest.raises(BadInput, match=r"has code of its own.*never run") as caught:
        resolve(str(tmp_path)).build(device="meta")
    assert "\n" not in str(caught.value)


def test_an_unknown_name_is_told_what_is_like_it(monkeypatch):
    monkeypatch.setenv("LORA_BENCH_OFFLINE", "1")
    with pytest.raises(BadInput, match=r"config.json is enough.*shapes like it.*meta-llama/Llama-3.2-3B") as caught:
        resolve("meta-llama/Llama-3.2-4B").build(device="meta")
    assert "\n" not in str(caught.value)
    assert nearest_shapes("zzzz") == []
    with pytest.raises(BadInput, match="did you mean"):
        resolve("Llama-3.2-3")


def test_what_is_no_text_model_or_no_file_is_told_so(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip"}))
    with pytest.raises(BadInput, match=r"is no text model.*go by their names: openai/clip"):
        resolve(str(tmp_path)).build(device="meta")
    with pytest.raises(BadInput, match="no folder or file"):
        resolve(str(tmp_path / "nothing" / "config.json")).build(device="meta")


def test_a_length_above_the_models_is_refused_with_the_models():
    with pytest.raises(BadInput, match="4097: meta-llama/Llama-2-7b-hf takes at most 4096 tokens"):
        HuggingFace("meta-llama/Llama-2-7b-hf", max_length=4097).build(device="meta")
