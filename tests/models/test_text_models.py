"""Text backbones: exact counts, roles told apart, methods on every architecture, padding and pooling."""

from __future__ import annotations

import copy
import pickle
import time
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bench.errors import BadInput
from bench.methods import AdaptFormer, BitFit, FeatureLoRA, FullFineTuning, Houlsby, LinearProbe, LoRA, Pfeiffer
from bench.models import HuggingFace, Timm, adapt, count
from bench.models.prefix import frozen_prefix
from bench.models.text_shapes import SHAPES
from bench.sites import ALL, ATTENTION, MLP, depth
from bench.training.method_checks import BERT, build, gradients_reach, identity_at_start, keys_survive, merges, perturb
from bench.training.recipe import set_mode
from tests.support.saved_texts import TEXTS, TINY, save, tiny

DECODERS = {"test-gpt2", "test-llama"}


@pytest.fixture
def saved(tmp_path):
    return partial(save, tmp_path)


BERT_BASE = [
    (FullFineTuning(), 108_891_648),
    (LinearProbe(), 0),
    (LoRA(rank=8), 294_912),
    (LoRA(rank=8, at=ATTENTION), 12 * 4 * 2 * 8 * 768),
    (LoRA(rank=8, at=MLP), 12 * 2 * 8 * (768 + 3072)),
    (LoRA(rank=8, at=ALL), 12 * 8 * (4 * 2 * 768 + 2 * (768 + 3072))),
    (LoRA(rank=8, blocks=-3), 294_912 // 4),
    (BitFit(), 768 + 12 * (4 * 768 + 768 + 3072 + 768 + 768)),
    (Houlsby(width=64), 2_379_264),
    (AdaptFormer(width=64), 1_189_632),
    (FeatureLoRA(rank=8), 2 * 8 * 768),
]
OTHERS = [
    ("roberta-base", LoRA(rank=8), 294_912),
    ("roberta-base", Pfeiffer(width=16), 304_320),
    ("roberta-base", Pfeiffer(width=48), 894_528),
    ("roberta-large", LoRA(rank=8), 786_432),
    ("gpt3-175b", LoRA(rank=4), 18_874_368),
    ("gpt2", LoRA(rank=4, at=("qkv",)), 12 * 4 * (768 + 2304)),
    ("gpt2", FullFineTuning(), 124_439_808),
    ("distilbert-base-uncased", FullFineTuning(), 66_362_880),
    ("microsoft/deberta-v3-base", FullFineTuning(), 183_831_552),
    ("answerdotai/ModernBERT-base", FullFineTuning(), 149_014_272),
    ("answerdotai/ModernBERT-base", LoRA(rank=8, at=("up",)), 22 * 8 * (768 + 2 * 1152)),
    ("HuggingFaceTB/SmolLM2-135M", FullFineTuning(), 134_515_008),
    ("HuggingFaceTB/SmolLM2-135M", LoRA(rank=8), 30 * 8 * (2 * 576 + 576 + 192)),
]


@pytest.mark.parametrize(
    ("name", "method", "expected"), [("bert-base-uncased", *row) for row in BERT_BASE] + OTHERS, ids=lambda v: repr(v)
)
def test_counts(name, method, expected):
    """Shapes alone, of a model that is not here and, at 175 billion parameters, fits into no memory."""
    started = time.monotonic()
    backbone = HuggingFace(name).build(device="meta")
    adapt(backbone, method)
    assert count(backbone) == expected
    assert time.monotonic() - started < 30


ROLES = {
    "test-bert": ("attention.self.query", "attention.output.dense", "intermediate.dense", "output.dense"),
    "test-roberta": ("attention.self.query", "attention.output.dense", "intermediate.dense", "output.dense"),
    "test-electra": ("attention.self.query", "attention.output.dense", "intermediate.dense", "output.dense"),
    "test-deberta-v2": ("attention.self.query_proj", "attention.output.dense", "intermediate.dense", "output.dense"),
    "test-distilbert": ("attention.q_lin", "attention.out_lin", "ffn.lin1", "ffn.lin2"),
    "test-modernbert": ("attn.Wqkv", "attn.Wo", "mlp.Wi", "mlp.Wo"),
    "test-gpt2": ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"),
    "test-llama": ("self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj"),
}


@pytest.mark.parametrize("name", TINY)
def test_roles_are_told_apart(name):
    backbone = tiny(name).build(device="meta")
    sites = backbone.sites
    assert depth(sites) == 2
    for block, site in enumerate(s for s in sites if s.role == "block"):
        first = {role: next(s for s in sites if s.role == role and s.block == block).path for role in ALL}
        found = tuple(first[role].removeprefix(site.path + ".") for role in ("q", "o", "up", "down"))
        assert found == ROLES[name]
    layers = [s for s in sites if s.role in ALL]
    assert len({(s.path, s.rows) for s in layers}) == len(layers)
    every = {path for path, m in backbone.module.named_modules() if isinstance(m, nn.Linear)}
    assert {s.path for s in layers} == every - {"body.embeddings_project"}


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        *((kind, {}) for kind in ("mpnet", "albert", "xlm-roberta", "camembert")),
        *((kind, {"head_dim": 8}) for kind in ("mistral", "qwen2", "qwen3", "gemma", "smollm3")),
    ],
)
def test_the_rest_of_the_families(kind, options, saved):
    """Every entry of the table meets its modules; ALBERT runs one block several times."""
    from transformers import AutoConfig

    shape = SHAPES["test-llama" if options else "test-bert"][1] | {"vocab_size": 300}  # Qwen's tokenizer adds one
    folder = saved(AutoConfig.for_model(kind, **shape, **options))
    for method in (LoRA(rank=2, at=ALL), AdaptFormer(width=4)):
        backbone = HuggingFace(folder).build()
        assert depth(backbone.sites) == (1 if kind == "albert" else 2)
        assert set(ALL) | {"mlp"} <= {site.role for site in backbone.sites}
        expected = backbone.module.eval()(backbone.example(2))
        adapt(backbone, method)
        assert torch.equal(backbone.module(backbone.example(2)), expected)


@pytest.mark.parametrize("method", [LoRA(rank=2, at=ALL), Houlsby(width=4), AdaptFormer(width=4)], ids=repr)
@pytest.mark.parametrize("name", [name for name in TINY if name != "test-bert"])
def test_methods_hold_on_every_architecture(name, method, monkeypatch):
    if name == "test-llama":  # its norm computes in single precision whatever it is given
        from transformers.models.llama.modeling_llama import LlamaRMSNorm as Norm

        monkeypatch.setattr(Norm, "forward", lambda n, x: F.rms_norm(x, x.shape[-1:], n.weight, n.variance_epsilon))
    for check in (identity_at_start, keys_survive, gradients_reach, merges):
        check(method, tiny(name))


def test_a_parallel_adapter_reads_the_input_of_the_mlp():
    """A post-LN block by hand, in which no module holds the MLP: h = LN(x + MLP(x) + s·up(relu(down(x))))."""
    backbone = build(AdaptFormer(width=8), BERT)
    perturb(backbone.module)
    block = backbone.module.body.encoder.layer[1]
    seen = {}
    block.register_forward_pre_hook(lambda _, args: seen.update(inside=args[0]))
    block.attention.register_forward_hook(lambda _, args, out: seen.update(x=out[0]))
    block.register_forward_hook(lambda _, args, out: seen.update(out=out))
    block.output.dense.adapter.down.register_forward_pre_hook(lambda _, args: seen.update(read=args[0]))
    backbone.module(backbone.example(2))
    x, adapter = seen["x"], block.output.dense.adapter
    assert torch.equal(seen["read"], x) and not torch.equal(x, seen["inside"])
    up, down, norm = block.intermediate.dense, block.output.dense, block.output.LayerNorm
    inner = F.linear(F.gelu(up(x)), down.weight, down.bias)
    side = 0.1 * adapter.up(F.relu(adapter.down(x)))
    assert (norm(x + inner + side) - seen["out"]).abs().max() < 1e-12


def test_a_relay_forgets_and_copies_know_their_own():
    """Between source and host nothing stays; a copy or pickle of the network does not write into the first."""
    backbone = build(AdaptFormer(width=8), BERT)
    perturb(backbone.module)
    x = backbone.example(2)
    expected = backbone.module(x)
    block = backbone.module.body.encoder.layer[0]
    host, source = block.output.dense, block.intermediate.dense
    relay = next(iter(source._forward_pre_hooks.values())).args[0]
    assert relay.x is None
    source(torch.ones(1, 32, dtype=torch.float64))  # a pass that ended here
    copies = [copy.deepcopy(backbone.module), pickle.loads(pickle.dumps(backbone.module))]
    for other in copies:
        assert torch.equal(other(x), expected)
        theirs = next(iter(other.body.encoder.layer[0].intermediate.dense._forward_pre_hooks.values())).args[0]
        assert theirs is not relay and theirs.x is None and relay.x is not None
    assert torch.equal(backbone.module(x), expected) and relay.x is None
    with pytest.raises(RuntimeError, match="before the module that its input comes from"):
        host(torch.ones(1, 64, dtype=torch.float64))


def test_a_branch_across_layers_works_under_autocast():
    backbone = BERT.build()
    adapt(backbone, AdaptFormer(width=8))
    perturb(backbone.module)
    x = backbone.example(2)
    with torch.autocast("cpu", torch.bfloat16):
        loss = backbone.module(x).float().square().sum()
    loss.backward()
    assert all(p.grad is not None for p in backbone.module.parameters() if p.requires_grad)


@pytest.mark.parametrize("output", ["pooled", "tokens"])
@pytest.mark.parametrize("name", TINY)
def test_padding_changes_nothing(name, output):
    backbone = tiny(name).build(output=output)
    tokenizer, network = backbone.inputs.tokenizer, backbone.module.eval()
    batch = network(tokenizer(TEXTS, padding="max_length", max_length=80, return_tensors="pt"))
    for text, features in zip(TEXTS, batch, strict=True):
        alone = network(tokenizer([text], return_tensors="pt"))[0]
        assert (features[: len(alone)] if output == "tokens" else features).sub(alone).abs().max() < 1e-5
    assert (batch[0] - batch[1]).abs().max() > 1e-2


def test_pools():
    tokens = tiny("test-bert").build(output="tokens")
    x = tokens.inputs.tokenizer(TEXTS, padding=True, return_tensors="pt")
    hidden, mask = tokens.module.eval()(x), x["attention_mask"]
    assert hidden.shape == (3, mask.shape[1], 32) and tokens.output == "tokens"
    expected = {
        "mean": torch.stack([h[: m.sum()].mean(0) for h, m in zip(hidden, mask, strict=True)]),
        "last": torch.stack([h[m.sum() - 1] for h, m in zip(hidden, mask, strict=True)]),
        "token": hidden[:, 0],
    }
    for pool, features in expected.items():
        assert torch.allclose(tiny("test-bert", pool=pool).build().module.eval()(x), features, atol=1e-6)
    for name in TINY:
        assert tiny(name).build(device="meta").module.pool == ("last" if name in DECODERS else "mean")
    with pytest.raises(BadInput, match="sees none of the others"):
        tiny("test-gpt2", pool="token").build()


@pytest.mark.parametrize("name", ["test-bert", "test-gpt2"])
def test_a_text_of_no_tokens_has_features(name):
    backbone = tiny(name).build()
    x = backbone.example(2)
    x["attention_mask"][0] = 0
    assert backbone.module.eval()(x).isfinite().all()


def test_features_of_tokens_take_feature_lora_and_are_never_cached():
    for method in (FeatureLoRA(rank=2, depth=2), LinearProbe(), LoRA(rank=2)):
        backbone = tiny("test-bert").build(output="tokens")
        expected = backbone.module.eval()(backbone.example(2))
        adapt(backbone, method)
        assert torch.equal(backbone.module(backbone.example(2)), expected)
        assert frozen_prefix(backbone) is None
    pooled = tiny("test-bert").build()
    adapt(pooled, FeatureLoRA(rank=2))
    prefix, x = frozen_prefix(pooled), pooled.example(2)
    assert torch.equal(prefix.resume(prefix.run(x)), pooled.module.eval()(x))
    with pytest.raises(BadInput, match="unknown output 'tokens'"):
        Timm("test_vit", weights="random").build(output="tokens")


def test_unknown_blocks_say_what_they_are(saved):
    """Methods that need no blocks work there; the others are told which layers there are."""
    from transformers import GPTJConfig

    folder = saved(GPTJConfig(vocab_size=260, n_embd=32, n_layer=2, n_head=4, rotary_dim=4, n_positions=64))
    for method in (LinearProbe(), FullFineTuning(), BitFit(), FeatureLoRA(rank=2)):
        adapt(HuggingFace(folder).build(), method)
    told = r"add it to BLOCKS .*GPTJBlock with attn\.k_proj, attn\.v_proj, attn\.q_proj, attn\.out_proj, mlp\.fc_in"
    for method in (LoRA(rank=2), FeatureLoRA(rank=2, tune_last=1)):
        with pytest.raises(BadInput, match=told):
            adapt(HuggingFace(folder).build(), method)


def test_options_reach_the_network():
    backbone = tiny("test-bert", dropout=0.5).build()
    assert {m.p for m in backbone.module.modules() if isinstance(m, nn.Dropout)} == {0.5}
    adapt(backbone, FullFineTuning())
    set_mode(backbone.module)
    x = backbone.example(2)
    assert not torch.equal(backbone.module(x), backbone.module(x))
    assert tiny("test-roberta").build(device="meta").inputs.length == 255  # one position is the padding token's


SMALL = {"vocab_size": 260, "hidden_size": 32, "num_hidden_layers": 1}
FUNNEL = {"vocab_size": 260, "d_model": 32, "block_sizes": [1], "n_head": 4, "d_head": 8, "d_inner": 64}


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("bloom", {**SMALL, "n_layer": 1, "n_head": 4}),
        ("mamba", SMALL),
        ("mpt", {"d_model": 32, "n_heads": 4, "n_layers": 1}),
        ("funnel", {**FUNNEL, "num_decoder_layers": 0}),
    ],
)
def test_networks_of_other_masks_are_made_of_shapes_alone(monkeypatch, kind, options):
    """BLOOM wants masks of two dimensions, Mamba takes none that is ready, Funnel has two bare networks."""
    monkeypatch.setitem(SHAPES, "other", (kind, options))
    backbone = HuggingFace("other", weights="random", max_length=16).build(device="meta")
    adapt(backbone, FullFineTuning())
    assert backbone.width == 32 and count(backbone) > 0


def test_options_that_would_change_nothing_are_refused(tmp_path):
    with pytest.raises(BadInput, match="revision='main': 'minilm-l6' is not taken from the hub"):
        HuggingFace("minilm-l6", revision="main")
    with pytest.raises(BadInput, match=r"revision='v2': .* is not taken from the hub"):
        HuggingFace(str(tmp_path), revision="v2")
    with pytest.raises(BadInput, match="pool='mean': features of every token are not pooled"):
        HuggingFace("test-bert", weights="random", pool="mean").build(device="meta", output="tokens")
