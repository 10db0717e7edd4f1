"""Weights, tokenizers and names of text models: from each source, and what is refused."""

from __future__ import annotations

import hashlib
import shutil
import socket
import time
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bench.errors import BadInput
from bench.methods import LoRA
from bench.models import HuggingFace, Timm, adapt, count, resolve
from bench.models.text_shapes import byte_tokenizer, configuration
from bench.training.method_checks import BERT
from tests.support.saved_texts import TEXTS, TINY, save, tiny


@pytest.fixture
def saved(tmp_path):
    return partial(save, tmp_path)


@pytest.fixture
def no_hub(monkeypatch):
    """A machine that reaches no network, and on which nobody asked before."""
    from huggingface_hub import constants

    def refuse(*args, **options):
        raise OSError("network is unreachable")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "create_connection", refuse)


@pytest.mark.parametrize("name", TINY)
def test_a_local_folder_gives_exactly_its_weights(name, saved):
    """What transformers computes with them, GPT-2's transposed layers included; the seed plays no part."""
    from transformers import AutoModel

    folder = saved(configuration(name, pad=0))
    backbone = HuggingFace(folder).build(seed=1, output="tokens")
    x = backbone.inputs.tokenizer(TEXTS, padding=True, return_tensors="pt")
    expected = AutoModel.from_pretrained(folder).eval()(**x).last_hidden_state
    real = x["attention_mask"].bool()  # what stands at padding is nobody's
    assert (backbone.module.eval()(x) - expected)[real].abs().max() < 1e-5
    assert (
        backbone.provenance["weights"].startswith("local folder") and len(backbone.provenance["weights_sha256"]) == 64
    )
    assert all(m.weight.dtype == torch.float32 for m in backbone.module.modules() if isinstance(m, nn.Linear))
    random = HuggingFace(folder).untrained().build()
    assert random.inputs.sha256 == backbone.inputs.sha256 and random.provenance["weights"] == "random"


@pytest.mark.parametrize("name", ["test-bert", "test-roberta", "test-distilbert", "test-electra", "test-gpt2"])
def test_heads_and_poolers_are_left_aside(name, saved, capfd):
    folder = saved(configuration(name, pad=0), auto="AutoModelForSequenceClassification")
    capfd.readouterr()  # of saving
    names = {name for name, _ in HuggingFace(folder).build().module.named_modules()}
    assert not any("pooler" in name or "classifier" in name for name in names)
    assert capfd.readouterr() == ("", "")


def test_weights_of_another_network_are_refused(saved, tmp_path):
    config = configuration("test-bert", pad=0)
    folder = saved(config)
    for layers in (1, 3):
        config.num_hidden_layers = layers
        config.save_pretrained(tmp_path)
        with pytest.raises(BadInput, match=r"not those of its configuration: .*layer\.[12]\."):
            HuggingFace(folder).build()


def test_the_hubs_cache_is_read_by_the_ordinary_name(saved, tmp_path, no_hub, monkeypatch):
    """Files laid out as the hub's library lays them, offline."""
    from huggingface_hub import constants

    folder, commit = saved(configuration("test-bert", pad=0)), "0" * 40
    home = tmp_path / "hub" / "models--someone--tiny-bert"
    shutil.copytree(folder, home / "snapshots" / commit, ignore=shutil.ignore_patterns("hub"))
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    here, there = HuggingFace(folder).build(), HuggingFace("someone/tiny-bert").build()
    x = here.example(2)
    assert torch.equal(here.module.eval()(x), there.module.eval()(x))
    loaded = hashlib.sha256((Path(folder) / "model.safetensors").read_bytes()).hexdigest()
    known = {"weights_sha256": loaded, "model_sha256": HuggingFace(folder).fingerprint()}
    assert there.provenance == {"weights": f"hub: someone/tiny-bert at {commit}", **known}


def test_no_hub_is_one_clear_line_and_quick(no_hub):
    started = time.monotonic()
    with pytest.raises(BadInput, match=r"hub cannot be reached.*offline there are minilm-l6") as caught:
        HuggingFace("nobody/has-this").build()
    assert "\n" not in str(caught.value) and time.monotonic() - started < 5


def test_a_known_shape_with_random_weights_needs_no_hub(no_hub):
    small = tiny("google/electra-small-discriminator").build()
    assert small.provenance["weights"] == "random (texts as bytes)"
    assert small.module.eval()(small.inputs.tokenizer(TEXTS, padding=True, return_tensors="pt")).shape == (3, 256)


def test_random_weights_follow_the_seed():
    first, same, other = (BERT.build(seed=s).module.body.encoder.layer[0].output.dense.weight for s in (1, 1, 2))
    assert torch.equal(first, same) and not torch.equal(first, other)


def test_of_an_encoder_decoder_the_encoder_is_loaded(saved):
    from transformers import AutoModel, T5Config

    config = T5Config(vocab_size=260, d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=2, dropout_rate=0.0)
    folder = saved(config)
    backbone = HuggingFace(folder, max_length=16).build()
    x = backbone.example(2)
    encoder = AutoModel.from_pretrained(folder).get_encoder().eval()
    assert torch.allclose(backbone.module.body(**x).last_hidden_state, encoder(**x).last_hidden_state)
    assert backbone.width == 16 and backbone.module.pool == "mean"


def test_a_tokenizer_without_padding_pads_with_the_end_of_text(saved):
    tokenizer = byte_tokenizer()
    tokenizer.pad_token, tokenizer.eos_token, tokenizer.padding_side = None, "[SEP]", "left"
    backbone = HuggingFace(saved(configuration("test-gpt2", pad=0), tokenizer)).build()
    x = backbone.inputs.tokenizer(TEXTS, padding=True, return_tensors="pt")
    assert backbone.inputs.tokenizer.pad_token == "[SEP]" and x["attention_mask"][0, 0] == 1
    alone = backbone.module.eval()(backbone.inputs.tokenizer(TEXTS[:1], return_tensors="pt"))
    assert (backbone.module(x)[:1] - alone).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: setattr(t, "pad_token", None), "neither a padding nor an end-of-text token"),
        (lambda t: t.add_tokens(["<extra>"]), "embeddings for 260 tokens, its tokenizer 261"),
    ],
)
def test_tokenizers_that_do_not_fit(change, told, saved):
    tokenizer = byte_tokenizer()
    change(tokenizer)
    with pytest.raises(BadInput, match=told):
        HuggingFace(saved(configuration("test-bert", pad=0), tokenizer)).build()


def test_a_slow_tokenizer_is_refused(saved, monkeypatch):
    folder = saved(configuration("test-bert", pad=0))
    import transformers

    monkeypatch.setattr(transformers.PreTrainedTokenizerFast, "is_fast", False)
    with pytest.raises(BadInput, match="has no fast tokenizer"):
        HuggingFace(folder).build()


def test_bytes_come_in_pairs_with_offsets():
    tokenizer = byte_tokenizer()
    found = tokenizer("né", "ok", return_offsets_mapping=True, return_token_type_ids=True)
    assert tokenizer.convert_ids_to_tokens(found["input_ids"])[::4] == ["[CLS]", "[SEP]"]
    assert tokenizer.convert_ids_to_tokens(found["input_ids"])[-1] == "[SEP]"
    assert found["token_type_ids"] == [0] * 5 + [1] * 3
    assert found["offset_mapping"][1:4] == [(0, 1), (1, 2), (1, 2)]
    assert tokenizer.decode(found["input_ids"], skip_special_tokens=True) == "néok"
    assert len(tokenizer) == 260 and tokenizer.is_fast


def test_inputs_are_what_the_network_reads():
    assert "token_type_ids" in tiny("test-bert").build().example(2)
    for name in ("test-roberta", "test-gpt2", "test-deberta-v2"):
        assert list(tiny(name).build().example(2)) == ["input_ids", "attention_mask"]
    example = BERT.build(device="meta").example(3)
    assert example["input_ids"].is_meta and example["input_ids"].shape == (3, 16)


def test_the_hash_is_of_the_rules_and_not_of_the_length():
    long, short = BERT.build().inputs, tiny("test-bert", max_length=8).build().inputs
    assert (long.length, short.length) == (256, 8)
    before = long.sha256
    short.tokenizer(TEXTS, truncation=True, max_length=8, padding=True)
    assert short.sha256 == before and len(before) == 64
    assert tiny("test-roberta").build().inputs.sha256 != before  # it reads no token types


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: resolve("minilm-l7"), "did you mean 'minilm-l6'"),
        (lambda: resolve("resnet5O"), "did you mean 'resnet50'"),
        (lambda: resolve("HuggingFace('x', pol='mean')"), "did you mean 'pool'"),
        (lambda: HuggingFace(""), "give a text model's name"),
        (lambda: HuggingFace("gpt2", weights="randm"), "did you mean 'random'"),
        (lambda: HuggingFace("gpt2", pool="avg"), "unknown pool"),
        (lambda: HuggingFace("gpt2", max_length=0), "max_length"),
        (lambda: HuggingFace("gpt2", dropout=1), "0 ≤ dropout < 1"),
        (lambda: tiny("test-bert", max_length=257).build(), "takes at most 256 tokens"),
        (lambda: HuggingFace("test-bert").build(), "no pretrained weights exist"),
        (lambda: tiny("test-bert").build(output="all"), "unknown output"),
        (lambda: adapt(tiny("test-bert").build(), LoRA(rank=2, at=("mlp",))), "'mlp' is no Linear"),
    ],
)
def test_what_is_wrong_is_told(make, told):
    with pytest.raises(BadInput, match=told):
        make()


def test_names_find_their_library(tmp_path):
    assert resolve("resnet18") == Timm("resnet18") and resolve("minilm-l6") == HuggingFace("minilm-l6")
    assert resolve("FacebookAI/roberta-base") == HuggingFace("FacebookAI/roberta-base")
    assert resolve(str(tmp_path)) == HuggingFace(str(tmp_path)) and resolve("gpt2") == HuggingFace("gpt2")
    text = "HuggingFace('test-bert', weights='random', pool='token', dropout=0.0)"
    assert repr(resolve(text)) == text


@pytest.mark.assets
def test_minilm_is_what_transformers_makes_of_it(asset):
    from transformers import AutoModel, AutoTokenizer

    folder = asset("minilm-l6")
    backbone = HuggingFace("minilm-l6").build()
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    x = tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden, mask = model(**x).last_hidden_state, x["attention_mask"].unsqueeze(2)
        features = backbone.module.eval()(backbone.inputs.tokenizer(TEXTS, padding=True, return_tensors="pt"))
    assert (features - (hidden * mask).sum(1) / mask.sum(1)).abs().max() < 1e-6
    assert backbone.provenance["weights_sha256"].startswith("53aa51172d142c89")
    assert backbone.inputs.length == 512 and count(backbone) == 22_565_376


@pytest.mark.assets
@pytest.mark.parametrize("name", ["minilm-l6", "bge-small", "paraphrase-l3"])
def test_encoders_know_which_texts_are_alike(name, asset):
    """Weights under the right names: two remarks on films lie nearer to each other than to one on shares."""
    asset(name), asset("minilm-l6")
    backbone = HuggingFace(name).build()
    texts = ["a fine film with a heart", "this movie is wonderful", "the stock market fell on Monday"]
    with torch.no_grad():
        features = F.normalize(
            backbone.module.eval()(backbone.inputs.tokenizer(texts, padding=True, return_tensors="pt"))
        )
    alike = features @ features.T
    assert alike[0, 1] > 0.5 and alike[0, 1] > alike[:2, 2].max() + 0.3
