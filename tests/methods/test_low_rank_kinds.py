"""LoRA's relatives compute what peft's do, on the same weights in float64: output, gradients and the merged matrix."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.errors import BadInput
from bench.methods import DoRA, LoHa, LoKr, LoRA, LoRAFA, LoRAPlus, PiSSA, VeRA, merge
from bench.methods.lokr import factors
from bench.models import HuggingFace, Timm, adapt, count
from bench.sites import CONV, MLP, select
from bench.training.method_checks import BERT, CNN, VIT, build, perturb

peft = pytest.importorskip("peft")
TARGETS = {"vit": ["attn.qkv", "attn.proj"], "bert": ["query", "value"]}
PLACES = {"vit": ("qkv", "o"), "bert": ("q", "v")}
NETWORKS = {"vit": VIT, "bert": BERT}


def lora_pairs(mine, theirs):
    yield mine.lora.A, theirs.lora_A["default"].weight
    yield mine.lora.B, theirs.lora_B["default"].weight


def dora_pairs(mine, theirs):
    yield mine.dora.A[0], theirs.lora_A["default"].weight
    yield mine.dora.B[0], theirs.lora_B["default"].weight
    yield mine.dora.m[0], theirs.lora_magnitude_vector["default"].weight


def vera_pairs(mine, theirs):
    part = mine.update.parts[0]
    theirs.vera_A["default"][:, : part.A.shape[1]] = part.A
    theirs.vera_B["default"][: part.B.shape[0]] = part.B
    yield part.b, theirs.vera_lambda_b["default"]
    yield part.d, theirs.vera_lambda_d["default"]


def loha_pairs(mine, theirs):
    for name in ("1", "2"):
        for ours, letter in (("B", "a"), ("A", "b")):
            yield getattr(mine.update.parts[0], ours + name), getattr(theirs, f"hada_w{name}_{letter}")["default"]


def lokr_pairs(mine, theirs):
    part = mine.update.parts[0]
    yield part.C, theirs.lokr_w1["default"]
    if hasattr(part, "D"):
        yield part.D, theirs.lokr_w2["default"]
    else:
        yield part.B, theirs.lokr_w2_a["default"]
        yield part.A, theirs.lokr_w2_b["default"]


def cases():
    for kind, at in PLACES.items():
        own = {"target_modules": TARGETS[kind]}
        yield kind, DoRA(rank=3, alpha=6, at=at), peft.LoraConfig(r=3, lora_alpha=6, use_dora=True, **own), dora_pairs
        yield kind, LoRAFA(rank=3, alpha=6, at=at), peft.LoraConfig(r=3, lora_alpha=6, **own), lora_pairs
        yield kind, LoHa(rank=3, alpha=6, at=at), peft.LoHaConfig(r=3, alpha=6, **own), loha_pairs
        yield kind, LoKr(rank=2, alpha=6, at=at), peft.LoKrConfig(r=2, alpha=6, **own), lokr_pairs
        yield kind, LoKr(rank=64, alpha=6, at=at), peft.LoKrConfig(r=64, alpha=6, **own), lokr_pairs
    own = {"target_modules": TARGETS["bert"]}
    yield "bert", VeRA(rank=5, at=PLACES["bert"]), peft.VeraConfig(r=5, **own), vera_pairs


@pytest.mark.parametrize(("kind", "method", "config", "pairs"), list(cases()), ids=lambda v: str(v)[:40])
def test_equals_peft(kind, method, config, pairs):
    backbone = build(method, NETWORKS[kind])
    perturb(backbone.module)
    theirs = peft.get_peft_model(build(None, NETWORKS[kind]).module, config).double().eval()
    known = []
    for path, module in backbone.module.named_modules():
        if any(hasattr(module, name) for name in ("lora", "dora", "update")):
            known += pairs(module, theirs.get_submodule(f"base_model.model.{path}"))
    with torch.no_grad():
        for mine, yours in known:
            yours.copy_(mine)
    assert known
    x = backbone.example(3)
    a, b = backbone.module(x), theirs(x)
    assert (a - b).abs().max() < 1e-10
    a.square().sum().backward()
    b.square().sum().backward()
    for mine, yours in known:
        if mine.requires_grad:
            assert (mine.grad - yours.grad).abs().max() <= 1e-10 * max(1.0, yours.grad.abs().max().item())


def test_pissa_starts_where_peft_does():
    """The products B·A are the same, and after the same change of both the networks are."""
    backbone = build(PiSSA(rank=3, at=PLACES["bert"]), BERT)
    config = peft.LoraConfig(r=3, lora_alpha=3, target_modules=TARGETS["bert"], init_lora_weights="pissa")
    theirs = peft.get_peft_model(build(None, BERT).module.float(), config).double().eval()
    hosts = [(path, m) for path, m in backbone.module.named_modules() if hasattr(m, "lora")]
    assert hosts
    for path, mine in hosts:
        there = theirs.get_submodule(f"base_model.model.{path}")
        a, b = there.lora_A["default"].weight, there.lora_B["default"].weight
        assert torch.allclose(mine.lora.B @ mine.lora.A, b @ a, atol=1e-5)  # theirs is decomposed in float32
        assert torch.allclose(mine.lora.B.norm(dim=0), b.norm(dim=0), rtol=1e-4)
        with torch.no_grad():
            mine.lora.A.mul_(1.5)
            a.mul_(1.5)
    x = backbone.example(2)
    assert torch.allclose(backbone.module(x), theirs(x), atol=1e-4)


def test_pissa_of_a_convolution_and_of_rows():
    for model, at in ((CNN, CONV), (VIT, ("q", "v"))):
        backbone, base = build(PiSSA(rank=2, at=at), model), build(None, model)
        host = next(m for m in backbone.module.modules() if hasattr(m, "lora"))
        assert set(dict(host.start.named_buffers())) and not list(host.start.parameters())
        assert not [key for key in backbone.module.state_dict() if ".start." in key]
        branch = host.lora
        if isinstance(host, nn.Conv2d):
            product = torch.einsum("or,rikl->oikl", branch.B.weight[..., 0, 0], branch.A.weight).flatten(1)
            weight = host.weight.flatten(1)
        else:
            product, weight = branch.B[: host.in_features] @ branch.A[:2], host.weight[: host.in_features]
        values = torch.linalg.svdvals(weight)
        assert torch.linalg.matrix_norm((weight - product).detach(), 2).item() == pytest.approx(
            values[2].item(), rel=1e-9
        )
        x = base.example(2)
        assert torch.allclose(backbone.module(x), base.module(x), atol=1e-12)


@pytest.mark.parametrize(
    "method",
    [
        DoRA(rank=2, at=("q", "v")),
        VeRA(rank=4, at=("q", "v")),
        LoHa(rank=2, at=("q", "v")),
        LoKr(rank=2, at=("k", "v")),
    ],
)
def test_rows_of_a_fused_matrix_have_their_own(method):
    """The rows that are not named stay; the merged matrix computes the same."""
    backbone = build(method, VIT)
    perturb(backbone.module)
    x = backbone.example(2)
    before = backbone.module(x)
    merge(backbone.module, method)
    assert torch.allclose(backbone.module(x), before, atol=1e-10)
    base = build(None, VIT)
    site = next(s for s in base.sites if s.role in {"q", "k", "v"} - set(method.at))
    mine, theirs = (one.module.get_submodule(site.path).weight[slice(*site.rows)] for one in (backbone, base))
    assert torch.equal(mine, theirs)


VIT_B = [
    (DoRA(rank=8), 313_344),
    (LoRAPlus(rank=8), 294_912),
    (LoRAFA(rank=8), 147_456),
    (PiSSA(rank=8), 294_912),
    (VeRA(rank=256), 12 * 2 * (256 + 768)),
    (LoHa(rank=4), 294_912),
    (LoKr(rank=8), 12 * 2 * (24 * 24 + 2 * 8 * 32)),
    (LoKr(rank=16), 12 * 2 * (24 * 24 + 32 * 32)),
    (LoKr(rank=8, at=MLP), 12 * 2 * (48 * 24 + 8 * (64 + 32))),
]


@pytest.mark.parametrize(("method", "expected"), VIT_B, ids=lambda v: repr(v))
def test_counts_on_vit_b(method, expected):
    backbone = Timm("vit_base_patch16_224").build(device="meta")
    adapt(backbone, method)
    assert count(backbone) == expected


def test_vera_counts_as_in_its_paper():
    backbone = HuggingFace("roberta-base", weights="random").build(device="meta")
    adapt(backbone, VeRA(rank=1024))
    assert count(backbone) == 43_008


def test_vera_shares_its_matrices_and_stores_none():
    backbone = build(VeRA(rank=4, at=("q", "v")), VIT)
    matrices = {t.data_ptr() for name, t in backbone.module.named_buffers() if name.endswith((".A", ".B"))}
    hosts = select(backbone.sites, at=("q", "v"))
    assert len(matrices) == 2 < len(hosts)
    assert not [key for key in backbone.module.state_dict() if key.endswith((".A", ".B"))]
    again = VeRA(rank=4, projection_seed=1, at=("q", "v"))
    first = [t for name, t in build(again, VIT).module.named_buffers() if name.endswith(".A")]
    assert not torch.equal(first[0], next(t for n, t in backbone.module.named_buffers() if n.endswith(".A")))


def test_lora_plus_speeds_up_b_alone():
    method = LoRAPlus(rank=2, ratio=8.0, at=CONV)
    names = [name for name, p in build(method, CNN).module.named_parameters() if p.requires_grad]
    rates = {name.rpartition("lora.")[2]: method.rates(name) for name in names}
    assert rates == {"A.weight": 1.0, "B.weight": 8.0}


@pytest.mark.parametrize(("size", "found"), [(768, (24, 32)), (7, (1, 7)), (64, (8, 8)), (3072, (48, 64))])
def test_factors(size, found):
    assert factors(size) == found == peft.tuners.lokr.layer.factorization(size)


@pytest.mark.parametrize("method", [DoRA(at=CONV), VeRA(at=CONV), LoHa(at=CONV), LoKr(at=CONV)])
def test_a_convolution_is_refused_in_a_line(method):
    with pytest.raises(BadInput, match=rf"^{type(method).__name__} cannot adapt .*: Conv2d is no Linear$"):
        adapt(CNN.build(device="meta"), method)


@pytest.mark.parametrize("cls", [DoRA, LoHa, LoRAFA, LoRAPlus, PiSSA])
def test_a_rank_above_the_layer_is_refused(cls):
    with pytest.raises(BadInput, match="use a rank of at most"):
        adapt(VIT.build(device="meta"), cls(rank=4096))
    with pytest.raises(BadInput, match=f"rank 0: {cls.__name__} needs rank ≥ 1"):
        cls(rank=0)


def test_a_method_built_on_lora_has_its_own_name_in_messages():
    with pytest.raises(BadInput, match="LoRAPlus cannot adapt"):
        adapt(VIT.build(device="meta"), LoRAPlus(at=("mlp",)))
    assert repr(LoRAPlus()) == "LoRAPlus(rank=8, at=('q', 'v'), ratio=16.0)" and isinstance(LoRAPlus(), LoRA)
