"""Which method can be put on which network is decided by what a block does: seen in a forward pass on shapes."""

from __future__ import annotations

import pytest
import torch

from bench.errors import BadInput
from bench.methods import AdaptFormer, BitFit, FullFineTuning, Houlsby, LinearProbe, LoRA, Pfeiffer
from bench.models import HuggingFace, Timm, adapt, count
from bench.models.text_shapes import SHAPES
from bench.sites import ALL, CONV, MLP, NoBlocks, depth, select
from bench.training.method_checks import OnMaps, build, gradients_reach, identity_at_start

ODD = ["tiny-ibert", "tiny-mixtral"]  # of quantised layers; whose experts have no kernel in float64
PAST = ["beit_base_patch16_224", "beitv2_base_patch16_224", "swinv2_tiny_window8_256", "eva02_tiny_patch14_224"]
THROUGH = [
    "vit_small_patch16_dinov3",
    "vit_small_patch16_rope_224",
    "eva02_base_patch14_224",
    "deit_tiny_distilled_patch16_224",
]


@pytest.mark.parametrize("name", PAST)
def test_what_reads_its_weight_past_the_module_takes_all_that_hangs_nothing_there(name):
    model = Timm(name, weights="random")
    for method in (LinearProbe(), FullFineTuning(), BitFit(), LoRA(rank=2, at=("o", *MLP)), Houlsby(width=2)):
        adapt(model.build(device="meta"), method)
    for at in (("q", "v"), ("qkv",), ALL):
        with pytest.raises(BadInput, match=r"reads the weight of blocks\.0\.attn\.qkv|layers\.0\.blocks\.0\.attn\.qkv"):
            adapt(model.build(device="meta"), LoRA(rank=2, at=at))


@pytest.mark.parametrize("name", THROUGH)
def test_what_calls_its_module_is_adapted(name):
    backbone = Timm(name, weights="random").build(device="meta")
    adapt(backbone, LoRA(rank=2, at=ALL))
    assert depth(backbone.sites) == 12 and count(backbone) > 0
    assert not any(site.bypassed for site in backbone.sites)


def test_the_gates_of_swiglu_are_up():
    backbone = Timm("aimv2_large_patch14_224", weights="random").build(device="meta")
    ups = {site.path.rpartition(".")[2] for site in select(backbone.sites, at=("up",))}
    assert ups == {"fc1_g", "fc1_x"}
    assert len(select(backbone.sites, at=("up",))) == 2 * 24


@pytest.mark.parametrize("name", ["tiny-phi3", "test-modernbert", "test-gpt2"])
def test_fused_rows_are_those_of_queries_keys_and_values(name):
    """Of grouped heads there are fewer keys and values than queries."""
    backbone = HuggingFace(name, weights="random").build(device="meta")
    rows = {s.role: s.rows for s in backbone.sites if s.block == 0 and s.rows}
    assert rows == {"q": (0, 32), "k": (32, 32 + rows["k"][1] - rows["k"][0]), "v": (rows["k"][1], rows["v"][1])}
    assert rows["k"][1] - rows["k"][0] == (16 if name == "tiny-phi3" else 32)


@pytest.mark.parametrize("name", [name for name in SHAPES if name.startswith(("test-", "tiny-")) and name not in ODD])
def test_texts_take_lora_as_far_as_their_layers_are_known(name):
    model = HuggingFace(name, weights="random", max_length=32)
    identity_at_start(LoRA(rank=2, at=ALL), model)
    gradients_reach(LoRA(rank=2, at=ALL), model)
    on_shapes = model.build(device="meta")
    adapt(on_shapes, LoRA(rank=2, at=ALL))
    assert count(on_shapes) == count(build(LoRA(rank=2, at=ALL), model))


def test_of_a_mixture_of_experts_attention_is_adapted():
    for device in ("meta", "cpu"):
        backbone = HuggingFace("tiny-mixtral", weights="random", max_length=32).build(device=device)
        adapt(backbone, LoRA(rank=2, at=ALL))
        assert count(backbone) == 2 * 2 * 2 * (32 + 32 + 32 + 16)


def test_quantised_embeddings_have_a_length():
    adapt(HuggingFace("tiny-ibert", weights="random").build(), LinearProbe())


@pytest.mark.parametrize(("name", "width"), [("crossvit_9_240", 384), ("deit_tiny_distilled_patch16_224", 192)])
def test_the_width_of_pictures_is_that_of_what_comes_out(name, width):
    backbone = Timm(name, weights="random").build()
    features = backbone.module(backbone.example(2))
    assert backbone.width == features.shape[1] == width
    adapt(backbone, LinearProbe())
    assert any(n in backbone.module.no_weight_decay() for n, _ in backbone.module.named_parameters())


@pytest.mark.parametrize("output", ["pooled", "tokens"])
def test_the_width_of_texts_is_that_of_what_comes_out(output):
    for device in ("cpu", "meta"):
        backbone = HuggingFace("tiny-opt", weights="random", max_length=32).build(device=device, output=output)
        assert backbone.width == backbone.module.features.width == 16 == backbone.module(backbone.example(2)).shape[-1]


def test_building_leaves_modes_random_numbers_and_statistics_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    module = Timm("test_resnet", weights="random", image_size=32).build().module
    assert torch.equal(torch.rand(3), expected)
    assert module.training and module.bn1.num_batches_tracked == 0 and not module.bn1.running_mean.any()


@pytest.mark.parametrize(
    ("model", "method", "told"),
    [
        ("test_vit", None, "image_size 8: test_vit cuts pictures into patches of 16 pixels"),
        ("mixnet_s", LoRA(rank=2, at=CONV), "MixedConv2d is no Linear or ungrouped Conv2d"),
        ("mixnet_s", AdaptFormer(width=2), "MixedConv2d"),
        ("vgg11", Pfeiffer(width=2), "not known here"),
    ],
)
def test_one_line_each(model, method, told):
    size = 8 if method is None else 64
    with pytest.raises(BadInput, match=told) as error:
        adapt(Timm(model, weights="random", image_size=size).build(device="meta"), method)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["resnet18d", "resnet50d", "resnet50", "tf_efficientnet_b0"])
def test_the_stem_of_every_resnet_takes_lora(name):
    adapt(Timm(name, weights="random", image_size=64).build(device="meta"), LoRA(rank=2, at=("patch",)))


def test_blocks_known_in_part_take_no_branches_on_maps_either():
    for model in (
        Timm("ghostnet_050", weights="random"),
        OnMaps(Timm("ghostnet_050", weights="random", image_size=64)),
    ):
        with pytest.raises(NoBlocks, match="GhostBottleneck"):
            adapt(model.build(device="meta"), LoRA(rank=2, at=CONV))
