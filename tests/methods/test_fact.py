"""FacT and the residual adapters of convolutions: their formulas written again, counts, and what does not fit."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bench.errors import BadInput
from bench.methods import ConvAdapter, FacT, merge
from bench.models import Timm, adapt, count
from bench.sites import MLP, Site, select
from bench.training.method_checks import BERT, CNN, VIT, build, perturb


def parts_of(module):
    return {path: m.update for path, m in module.named_modules() if hasattr(m, "update")}


@pytest.mark.parametrize("form", ["TT", "TK"])
def test_fact_is_its_formula(form):
    """As in the authors' code: FacTu to rank, a map of rank per piece, FacTv back; four pieces in an MLP's layer."""
    method = FacT(rank=3, form=form, scale=0.5, at=("q", "v", *MLP))
    backbone = build(method, VIT)
    perturb(backbone.module)
    updates = parts_of(backbone.module)
    first = next(iter(updates.values())).parts[0]
    width = first.U.shape[1]
    expected = copy.deepcopy(build(None, VIT).module)
    for path, update in updates.items():
        for (start, stop), part in zip(update.rows, update.parts, strict=True):
            weight = expected.get_submodule(path).weight.data
            for i in range((stop - start) // width):
                for j in range(weight.shape[1] // width):
                    core = (
                        part.S[i, j] if form == "TT" else sum(p * first.C[:, :, n] for n, p in enumerate(part.P[i, j]))
                    )
                    piece = 0.5 * first.V @ core @ first.U
                    weight[start + i * width : start + (i + 1) * width, j * width : (j + 1) * width] += piece
    x = backbone.example(2)
    assert torch.allclose(backbone.module(x), expected(x), atol=1e-10)


@pytest.mark.parametrize("form", ["TT", "TK"])
def test_fact_counts_and_stores_what_is_shared_once(form):
    backbone = Timm("vit_base_patch16_224").build(device="meta")
    adapt(backbone, FacT(rank=16, form=form))
    own = 144 * 16 * 16 if form == "TT" else 144 * 16 + 16**3
    assert count(backbone) == 2 * 768 * 16 + own
    assert sum(backbone.module.state_dict()[key].numel() for key in backbone.added) == count(backbone)


def test_fact_in_the_last_blocks_leaves_the_others_frozen():
    backbone = build(FacT(rank=2, blocks=-1), VIT)
    last = select(backbone.sites, at=("block",), blocks=-1)[0].path
    assert all(n.startswith(last + ".") for n, p in backbone.module.named_parameters() if p.requires_grad)


def test_a_copy_of_fact_has_its_own_shared_factors():
    backbone = build(FacT(rank=2), VIT)
    twin = copy.deepcopy(backbone.module)
    perturb(twin)
    x = backbone.example(1)
    assert not torch.allclose(twin(x), backbone.module(x))
    merged = merge(copy.deepcopy(twin), FacT(rank=2))
    assert torch.allclose(merged(x), twin(x), atol=1e-10)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
def test_conv_adapter_is_its_formula(stride, bias):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=stride, padding=1, bias=bias)).double()
    x = torch.randn(2, 3, 7, 6, dtype=torch.float64)
    y = network(x)
    ConvAdapter().apply(network, [Site("0", "conv", 0), Site("", "block", 0)])
    assert torch.equal(network(x), y)
    perturb(network)
    wanted = y + F.conv2d(y, network[0].conv_adapter.alpha[:, :, None, None])
    assert torch.allclose(network(x), wanted, atol=1e-12)
    merge(network, ConvAdapter())
    assert torch.allclose(network(x), wanted, atol=1e-12)
    assert network.state_dict().keys() == {"0.weight", "0.bias"} - ({"0.bias"} if not bias else set())


def test_count_of_conv_adapters():
    backbone = CNN.build(device="meta")
    channels = [backbone.module.get_submodule(s.path).out_channels for s in select(backbone.sites, at=("conv", "proj"))]
    adapt(backbone, ConvAdapter())
    assert count(backbone) == sum(c * c for c in channels)


@pytest.mark.parametrize(
    ("method", "model", "told"),
    [
        (FacT(rank=65), VIT, "smaller side is 64"),
        (
            FacT(),
            Timm("aimv2_large_patch14_224"),
            "fc1_g has a side of 2816, no multiple of 1024; leave its role out of at",
        ),
        (FacT(at=("conv",)), CNN, "FacT cannot adapt .* Conv2d is no Linear"),
        (ConvAdapter(), BERT, "no site matches"),
        (ConvAdapter(at=("q",)), VIT, "ConvAdapter cannot adapt .* Linear is no ungrouped Conv2d"),
    ],
)
def test_what_does_not_fit_is_told_in_a_line(method, model, told):
    with pytest.raises(BadInput, match=told):
        adapt(model.build(device="meta"), method)


def test_unknown_forms_of_fact_are_told():
    with pytest.raises(BadInput, match="did you mean 'TK'"):
        FacT(form="TKK")
