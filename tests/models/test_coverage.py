"""A network that is adapted in part is said to be, with how much."""

from __future__ import annotations

import pytest

from bench.errors import say_once
from bench.methods import AdaptFormer, FullFineTuning, Houlsby, LinearProbe, LoRA
from bench.models import HuggingFace, Timm, adapt
from bench.models.text_shapes import SHAPES
from bench.sites import ALL, CONV, MLP, NoBlocks

RESNET = Timm("resnet18", weights="random")
MIXTURE = HuggingFace("tiny-mixtral", weights="random", max_length=32)


@pytest.mark.parametrize(
    ("model", "method", "told"),
    [
        (
            RESNET,
            LoRA(rank=2, at=CONV),
            "ResNet: 16 of 20 layers, 98 % of the weights; no role is known for layer2.0.down",
        ),
        (
            MIXTURE,
            LoRA(rank=2, at=ALL),
            "MixtralModel: 8 of 12 layers, 20 % of the weights; no role is known for body.lay",
        ),
        (Timm("test_efficientnet", weights="random"), LoRA(rank=2, at=("conv",)), "in . of . blocks"),
    ],
)
def test_how_much_is_reached_is_said(model, method, told):
    say_once.cache_clear()
    with pytest.warns(UserWarning, match=told):
        adapt(model.build(device="meta"), method)


@pytest.mark.parametrize(
    ("model", "method"),
    [
        (Timm("aimv2_large_patch14_224", weights="random"), LoRA(rank=2, at=ALL)),
        (Timm("vit_small_patch14_dinov2", weights="random"), LoRA(rank=2, at=("q", "v"), blocks=-2)),
        (HuggingFace("test-bert", weights="random"), LoRA(rank=2, at=MLP)),
        (HuggingFace("tiny-phi3", weights="random"), AdaptFormer(width=2)),
        (RESNET, Houlsby(width=2)),
        (RESNET, FullFineTuning()),
        (MIXTURE, LinearProbe()),
    ],
)
def test_of_the_whole_nothing_is_said(model, method, recwarn):
    say_once.cache_clear()
    adapt(model.build(device="meta"), method)
    assert not [w for w in recwarn if " on " in str(w.message)]


@pytest.mark.parametrize(
    ("model", "seen"),
    [
        (Timm("ghostnetv3_100", weights="random"), "ghostnet.GhostBottleneckV3"),
        (HuggingFace("test-squeezebert", weights="random"), "modeling_squeezebert.SqueezeBertModule with attention"),
    ],
)
def test_parts_of_a_known_class_are_no_blocks_and_unknown_blocks_are_named(monkeypatch, model, seen):
    groups = dict.fromkeys(("q_groups", "k_groups", "v_groups", "post_attention_groups"), 1)
    small = {
        "vocab_size": 260,
        "hidden_size": 32,
        "embedding_size": 32,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
    }
    monkeypatch.setitem(SHAPES, "test-squeezebert", ("squeezebert", small | groups))
    with pytest.raises(NoBlocks, match=seen):
        adapt(model.build(device="meta"), LoRA(rank=2, at=CONV))
