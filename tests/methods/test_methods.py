"""Exact counts, equality with peft, placement, and what a wrong configuration is told."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bench.errors import BadInput
from bench.methods import (
    METHODS,
    AdaptFormer,
    BitFit,
    FeatureLoRA,
    FullFineTuning,
    Houlsby,
    LayerNormTuning,
    LinearProbe,
    LoRA,
    Pfeiffer,
    merge,
)
from bench.methods.bitfit import is_bias
from bench.models import HuggingFace, Timm, adapt, count
from bench.sites import ALL, ATTENTION, CONV, MLP, Site, select
from bench.spec import parse
from bench.training.method_checks import BERT, CNN, VIT, build, perturb

VIT_B = [
    (FullFineTuning(), 85_798_656),
    (LinearProbe(), 0),
    (LoRA(rank=1), 36_864),
    (LoRA(rank=4), 147_456),
    (LoRA(rank=8), 294_912),
    (LoRA(rank=64), 2_359_296),
    (LoRA(at=ATTENTION), 589_824),
    (LoRA(at=MLP), 737_280),
    (LoRA(at=ALL), 1_327_104),
    (LoRA(at=("q", "k", "v")), 12 * 6 * 8 * 768),
    (LoRA(at=("qkv",)), 12 * 4 * 8 * 768),
    (LoRA(blocks=-3), 294_912 // 4),
    (BitFit(), 102_912),
    (LayerNormTuning(), 38_400),
    (Houlsby(width=8), 313_536),
    (Houlsby(width=64), 2_379_264),
    (Pfeiffer(width=8), 156_768),
    (Pfeiffer(width=64), 1_189_632),
    (AdaptFormer(width=64), 1_189_632),
    (FeatureLoRA(rank=8, depth=1), 2 * 8 * 768),
    (FeatureLoRA(rank=8, depth=2), 2 * 2 * 8 * 768),
    (FeatureLoRA(rank=8, depth=1, tune_last=2), 2 * 8 * 768 + 2 * 7_087_872),
]


@pytest.mark.parametrize(("method", "expected"), VIT_B, ids=lambda v: repr(v))
def test_counts_on_vit_b(method, expected):
    backbone = Timm("vit_base_patch16_224").build(device="meta")
    adapt(backbone, method)
    assert count(backbone) == expected


def test_count_of_convolutions():
    backbone = CNN.build(device="meta")
    convs = [backbone.module.get_submodule(s.path) for s in select(backbone.sites, at=CONV)]
    adapt(backbone, LoRA(rank=2, at=CONV))
    k = [c.kernel_size[0] * c.kernel_size[1] for c in convs]
    assert count(backbone) == sum(2 * (c.in_channels * n + c.out_channels) for c, n in zip(convs, k, strict=True))


@pytest.mark.parametrize(
    ("model", "ours", "targets", "stabilised"),
    [
        (VIT, ("qkv", "o"), ["attn.qkv", "attn.proj"], False),
        (VIT, MLP, ["fc1", "fc2"], True),
        (CNN, CONV, r"layer\d\.\d\.conv\d", False),
        (BERT, ("q", "v"), ["query", "value"], False),
        (BERT, ("o", "down"), ["output.dense"], True),
        (HuggingFace("test-gpt2", weights="random"), ("qkv", "up"), ["c_attn", "c_fc"], False),
    ],
)
def test_lora_equals_peft(model, ours, targets, stabilised):
    """Same weights, same output and gradients, in float64."""
    peft = pytest.importorskip("peft")
    method = LoRA(rank=3, alpha=6, at=ours, rank_stabilised=stabilised)
    backbone = build(method, model)
    perturb(backbone.module)
    config = peft.LoraConfig(r=3, lora_alpha=6, target_modules=targets, use_rslora=stabilised, lora_dropout=0.0)
    theirs = peft.get_peft_model(build(None, model).module, config).eval()
    pairs = []
    for path, module in backbone.module.named_modules():
        if not hasattr(module, "lora"):
            continue
        there = theirs.get_submodule(f"base_model.model.{path}")
        for mine, yours in ((module.lora.A, there.lora_A), (module.lora.B, there.lora_B)):
            mine = mine.weight if isinstance(mine, nn.Module) else mine
            pairs.append((mine, yours["default"].weight))
            with torch.no_grad():
                yours["default"].weight.copy_(mine)
    assert len(pairs) == 2 * len(select(backbone.sites, at=ours))
    x = backbone.example(3)
    a, b = backbone.module(x), theirs(x)
    assert (a - b).abs().max() < 1e-12
    a.square().sum().backward()
    b.square().sum().backward()
    for mine, yours in pairs:
        assert (mine.grad - yours.grad).abs().max() <= 1e-12 * max(1.0, yours.grad.abs().max().item())


@settings(max_examples=25, deadline=None)
@given(
    rank=st.integers(1, 5),
    parts=st.sets(st.sampled_from("qkv"), min_size=1),
    alpha=st.floats(0.1, 64),
    stabilised=st.booleans(),
)
def test_rows_of_a_fused_matrix(rank, parts, alpha, stabilised):
    """Each of q, k, v gets scale·B·A in its own rows; the others stay as they are. Merging gives the same matrix."""
    width = 6
    layer = nn.Sequential(nn.Linear(width, 3 * width).double())
    sites = [Site("0", part, 0, (i * width, (i + 1) * width)) for i, part in enumerate("qkv")]
    sites.append(Site("", "block", 0))
    base = layer[0].weight.detach().clone()
    method = LoRA(rank=rank, alpha=alpha, at=tuple(sorted(parts)), rank_stabilised=stabilised)
    method.apply(layer, sites)
    perturb(layer)
    branch, x = layer[0].lora, torch.randn(4, width, dtype=torch.float64)
    expected, taken = base.clone(), 0
    for site in sites[:3]:
        if site.role in parts:
            a = branch.A[taken * rank : (taken + 1) * rank]
            b = branch.B[taken * width : (taken + 1) * width]
            expected[slice(*site.rows)] += method.scale * (b @ a)
            taken += 1
    wanted = x @ expected.T + layer[0].bias
    assert torch.allclose(layer(x), wanted, atol=1e-12)
    merged = copy.deepcopy(layer)
    merge(merged, method)
    assert torch.allclose(merged[0].weight, expected, atol=1e-12)
    assert merged.state_dict().keys() == {"0.weight", "0.bias"}


def test_scaling():
    assert LoRA(rank=4, alpha=16).scale == 4
    assert LoRA(rank=4, alpha=16, rank_stabilised=True).scale == 8


def test_dropout_acts_in_training_only():
    backbone = build(LoRA(rank=4, dropout=0.5), VIT)
    perturb(backbone.module)
    x = backbone.example(2)
    assert torch.equal(backbone.module(x), backbone.module(x))
    backbone.module.train()
    assert not torch.equal(backbone.module(x), backbone.module(x))


@pytest.mark.parametrize("cls", METHODS.values())
def test_text_makes_it_again(cls):
    assert parse(repr(cls()), known=METHODS, kind="method") == cls()


def test_text_is_short_and_reads_names_of_sets():
    assert repr(LoRA(rank=8, at=("q", "v"))) == "LoRA(rank=8, at=('q', 'v'))"
    assert repr(LoRA(alpha=4, at=("v", "q"))) == "LoRA(rank=8, alpha=4.0, at=('q', 'v'))"
    assert parse("LoRA(rank=2, at=ALL)", known=METHODS, kind="method").at == ALL
    assert parse("LoRA(4, at='q')", known=METHODS, kind="method") == LoRA(rank=4, at=("q",))
    assert parse("BitFit", known=METHODS, kind="method") == BitFit()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("LorA(rank=8)", "did you mean 'LoRA'"),
        ("LoRA(rnk=8)", "did you mean 'rank'"),
        ("LoRA(rank=0)", "LoRA needs rank ≥ 1"),
        ("LoRA(rank='8')", "rank='8'"),
        ("LoRA(rank=True)", "rank=True"),
        ("LoRA(rank=2.5)", "whole number"),
        ("LoRA(dropout=1)", "0 ≤ dropout < 1"),
        ("LoRA(rank=__import__('os').getpid())", "not a literal"),
        ("LoRA(rank=1, rank=2)", "gives rank twice"),
        ("LoRA(at='qq')", "unknown role 'qq': did you mean 'q'"),
        ("LoRA(8, rank=4)", "gives rank twice"),
        ("LoRA(at=(1, 2))", "unknown role '1'"),
        ("LoRA(alpha=0)", "alpha > 0"),
        ("LoRA(alpha=1e999)", "finite"),
        ("LoRA(rank={[]: 1})", "not a literal"),
        ("LoRA(1, 2, 3, 4, 5, 6, 7, 8)", "has 7 fields"),
        ("LoRA(rank=8", "cannot be read"),
        ("os.LoRA()", "cannot be read"),
        ("Houlsby(width=0)", "Houlsby needs width ≥ 1"),
        ("FeatureLoRA(depth=3)", "1 or 2 maps"),
        ("FeatureLoRA(tune_last=5)", "0, 1 or 2 blocks"),
    ],
)
def test_bad_specifications(text, told):
    with pytest.raises(BadInput, match=told.replace("(", r"\(")):
        parse(text, known=METHODS, kind="method")


@pytest.mark.parametrize(
    ("method", "model", "told"),
    [
        (LoRA(rank=65), VIT, "smaller side is 64"),
        (LoRA(at=("q",)), CNN, "no site matches"),
        (LoRA(blocks=7), VIT, "selects nothing"),
        (LoRA(blocks=(3, 3)), VIT, "selects nothing"),
        (LoRA(at=("qkv", "v")), VIT, "same rows twice"),
        (LoRA(at=("mlp",)), VIT, "no Linear or ungrouped Conv2d"),
        (LoRA(rank=1, at=("dwconv",)), Timm("test_efficientnet", weights="random"), "no Linear or ungrouped Conv2d"),
        (FeatureLoRA(rank=999), VIT, "64 wide"),
    ],
)
def test_what_does_not_fit_is_refused(method, model, told):
    with pytest.raises(BadInput, match=told):
        build(method, model)


def test_a_second_method_on_top_is_refused():
    backbone = build(LoRA(rank=2), VIT)
    with pytest.raises(BadInput, match="applied twice"):
        adapt(backbone, LoRA(rank=2))


def test_bitfit_trains_biases_that_attention_keeps_itself():
    """BEiT's q and v have biases that are no module's; its table of relative positions is none of a layer."""
    built = Timm("beit_base_patch16_224", weights="random").build(device="meta")
    adapt(built, BitFit())
    trained = {name for name, p in built.module.named_parameters() if p.requires_grad}
    assert count(built) == 93_696 and {"blocks.0.attn.q_bias", "blocks.11.attn.v_bias"} <= trained
    assert not any("table" in name for name in trained)


@pytest.mark.parametrize(
    ("name", "bias"),
    [
        ("rnn.bias_hh_l0", True), ("mixer.dt_bias", True), ("attn.q_bias", True), ("fc.bias", True),
        ("attn.relative_position_bias_table", False), ("router.e_score_correction_bias", False), ("fc.weight", False),
    ],
)  # fmt: skip
def test_what_is_a_layers_bias(name: str, bias: bool):
    assert is_bias(name) == bias
