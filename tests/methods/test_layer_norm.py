"""LayerNorm tuning finds layer normalisations by what they compute, and says what it leaves."""

from __future__ import annotations

import pytest
import timm
import torch
from timm import layers
from timm.models.vision_transformer import LayerScale
from torch import Tensor, nn

from bench.errors import BadInput, say_once
from bench.methods import LayerNormTuning
from bench.methods.layer_norm import is_layer_norm
from bench.models import HuggingFace, Timm, adapt, count
from bench.training.method_checks import gradients_reach


class OwnNorm(nn.Module):
    """Root mean square, as a library might write it: no base class, no name that torch knows."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.g = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * (1 + self.g)


class Planes(nn.Module):
    """Over the channels of maps, its scale lying across them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width, 1, 1)), nn.Parameter(torch.zeros(width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(1, keepdim=True)
        return (x - mean) / ((x - mean).square().mean(1, keepdim=True) + 1e-6).sqrt() * self.weight + self.bias


YES = [
    nn.LayerNorm(8),
    nn.RMSNorm(8),
    nn.GroupNorm(1, 8),
    layers.LayerNorm2d(8),
    layers.LayerNormAct2d(8),
    layers.RmsNorm(8),
    layers.RmsNorm2d(8),
    layers.SimpleNorm(8),
    layers.SimpleNorm2d(8),
    OwnNorm(8),
    OwnNorm(8192),  # of the widest models
    Planes(8),
]
NO = [
    nn.BatchNorm2d(8),
    nn.BatchNorm1d(8),
    nn.SyncBatchNorm(8),
    layers.BatchNormAct2d(8),
    layers.FrozenBatchNormAct2d(8),
    nn.GroupNorm(2, 8),
    nn.InstanceNorm2d(8, affine=True),
    layers.FilterResponseNormAct2d(8),
    LayerScale(8),
    nn.PReLU(8),
    nn.Linear(1, 8),
    nn.Embedding(8, 1),
    nn.LayerNorm(8, elementwise_affine=False),
]


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_what_computes_a_layer_normalisation_is_one(device):
    assert [type(m).__name__ for m in YES if not is_layer_norm(m.to(device))] == []
    assert [type(m).__name__ for m in NO if is_layer_norm(m.to(device))] == []


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("test-llama", 5 * 32),
        ("tiny-gemma", 5 * 32),
        ("tiny-gemma3", 2 * (4 * 32 + 2 * 16) + 32),
        ("tiny-t5", 5 * 32),
        ("tiny-phi3", 5 * 32),
        ("test-bert", 5 * 2 * 32),
        ("tiny-opt", 5 * 2 * 32),
    ],
)
def test_counts_and_gradients_of_texts(name, parameters):
    model = HuggingFace(name, weights="random", max_length=32)
    gradients_reach(LayerNormTuning(), model)
    backbone = model.build(device="meta")
    adapt(backbone, LayerNormTuning())
    assert count(backbone) == parameters


def test_what_is_left_is_said():
    say_once.cache_clear()
    backbone = Timm("convnextv2_atto", weights="random").build(device="meta")
    with pytest.warns(
        UserWarning, match=r"LayerNormTuning on ConvNeXt: \d+ layer normalisations train, not 12 GlobalRe"
    ):
        adapt(backbone, LayerNormTuning())
    with pytest.raises(BadInput, match="of other kinds: 20 BatchNorm2d"):
        adapt(Timm("resnet18", weights="random").build(device="meta"), LayerNormTuning())


def test_a_layer_norm_over_several_dimensions_is_one_and_a_block_without_any_is_none():
    assert is_layer_norm(nn.LayerNorm((3, 4))) and not is_layer_norm(nn.LayerNorm(4, elementwise_affine=False))
    with pytest.raises(BadInput, match=r"to train$"):  # "NormFreeBlock" is none
        LayerNormTuning().apply(timm.create_model("dm_nfnet_f0", device="meta"), ())
