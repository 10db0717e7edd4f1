"""(IA)³, SSF and the last blocks: equal to peft's or to the formula, counts of the papers, and what does not fit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.errors import BadInput
from bench.methods import IA3, SSF, LastBlocks, merge
from bench.models import HuggingFace, Timm, adapt, count
from bench.sites import select
from bench.training.method_checks import BERT, CNN, VIT, build, perturb


def test_ia3_equals_peft():
    """Outputs and gradients, with keys and values rescaled behind their layer and the MLP before it."""
    peft = pytest.importorskip("peft")
    backbone = build(IA3(), BERT)
    perturb(backbone.module)
    last = [f"encoder.layer.{block}.output.dense" for block in range(2)]
    config = peft.IA3Config(target_modules=["key", "value", *last], feedforward_modules=last)
    theirs = peft.get_peft_model(build(None, BERT).module, config).double().eval()
    pairs = [
        (module.ia3.l, theirs.get_submodule(f"base_model.model.{path}").ia3_l["default"])
        for path, module in backbone.module.named_modules()
        if hasattr(module, "ia3")
    ]
    assert len(pairs) == 6
    with torch.no_grad():
        for mine, yours in pairs:
            yours.copy_(mine.view_as(yours))
    x = backbone.example(3)
    a, b = backbone.module(x), theirs(x)
    assert (a - b).abs().max() < 1e-12
    a.square().sum().backward()
    b.square().sum().backward()
    for mine, yours in pairs:
        assert torch.allclose(mine.grad, yours.grad.view_as(mine), rtol=1e-10, atol=1e-12)


def test_counts_of_the_papers():
    for model, method, expected in (
        (HuggingFace("roberta-base", weights="random"), IA3(), 55_296),
        (Timm("vit_base_patch16_224"), SSF(), 205_824),
        (Timm("vit_base_patch16_224"), LastBlocks(last=2), 2 * 7_087_872),
    ):
        backbone = model.build(device="meta")
        adapt(backbone, method)
        assert count(backbone) == expected


def test_ia3_takes_the_rows_of_a_fused_matrix():
    """Keys and values are rescaled, queries stay; merged it is the same."""
    backbone, base = build(IA3(at=("k", "v")), VIT), build(None, VIT)
    perturb(backbone.module)
    x = backbone.example(2)
    before = backbone.module(x)
    merge(backbone.module, IA3(at=("k", "v")))
    assert torch.allclose(backbone.module(x), before, atol=1e-10)
    (q, k) = (next(site for site in base.sites if site.role == role) for role in "qk")
    mine, theirs = (one.module.get_submodule(q.path).weight for one in (backbone, base))
    assert torch.equal(mine[slice(*q.rows)], theirs[slice(*q.rows)])
    assert not torch.equal(mine[slice(*k.rows)], theirs[slice(*k.rows)])


@pytest.mark.parametrize(
    ("host", "shape"),
    [
        (nn.Linear(4, 6), (2, 3, 4)),
        (nn.Linear(4, 6, bias=False), (2, 4)),
        (nn.Conv2d(4, 6, 3, groups=2), (2, 4, 5, 5)),
        (nn.LayerNorm(4), (2, 3, 4)),
        (nn.BatchNorm2d(4), (2, 4, 5, 5)),
        (nn.GroupNorm(2, 4), (2, 4, 5, 5)),
        (nn.RMSNorm(4), (2, 3, 4)),
    ],
    ids=lambda v: type(v).__name__,
)
def test_ssf_is_its_formula_on_every_operation(host, shape):
    torch.manual_seed(0)
    network = nn.Sequential(host).double().eval()
    x = torch.randn(shape, dtype=torch.float64)
    y = network(x)
    SSF().apply(network, [])
    assert torch.equal(network(x), y)
    perturb(network)
    channels = [1, -1] + [1] * (y.ndim - 2) if y.ndim == 4 else [-1]
    wanted = y * host.ssf.scale.view(channels)
    if host.ssf.bias is not None:
        wanted = wanted + host.ssf.bias.view(channels)
    assert (host.ssf.bias is None) == (getattr(host, "bias", None) is None)
    assert torch.allclose(network(x), wanted, atol=1e-12)
    merge(network, SSF())
    assert torch.allclose(network(x), wanted, atol=1e-12) and not hasattr(host, "ssf")


def test_the_last_blocks_train_and_nothing_else():
    for model in (VIT, CNN, BERT):
        backbone = build(LastBlocks(last=1), model)
        last = select(backbone.sites, at=("block",), blocks=-1)[0].path
        trains = {name for name, p in backbone.module.named_parameters() if p.requires_grad}
        assert trains == {name for name, _ in backbone.module.named_parameters() if name.startswith(f"{last}.")}


@pytest.mark.parametrize(
    ("method", "model", "told"),
    [
        (LastBlocks(last=40), VIT, "last 40: the network has"),
        (IA3(), CNN, "no site matches"),
        (IA3(at=("qkv", "k")), VIT, "adapts the same rows twice"),
        (SSF(), Timm("beit_base_patch16_224", weights="random"), "SSF: the network reads the weight of .* directly"),
    ],
)
def test_what_does_not_fit_is_told_in_a_line(method, model, told):
    with pytest.raises(BadInput, match=told):
        adapt(model.build(device="meta"), method)
    with pytest.raises(BadInput, match="last 0: LastBlocks needs last ≥ 1"):
        LastBlocks(last=0)
