"""LoRA's relatives compute what peft's do, on the same weights in float64: output, gradients and the merged matrix."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from bench.errors import BadInput
from bench.methods import OFT, DoRA, LoHa, LoKr, LoRA, LoRAFA, LoRAPlus, Method, PiSSA, VeRA, merge
from bench.methods.lokr import factors
from bench.models import HuggingFace, Timm, adapt, count
from bench.sites import CONV, MLP, Site
from bench.training.method_checks import BERT, CNN, VIT, build, perturb
from bench.training.recipe import Training, optimizer

peft = pytest.importorskip("peft")
TARGETS = {"vit": ["attn.qkv", "attn.proj"], "bert": ["query", "value"], "cnn": r"layer\d\.\d\.conv\d"}
PLACES = {"vit": ("qkv", "o"), "bert": ("q", "v"), "cnn": CONV}
NETWORKS = {"vit": VIT, "bert": BERT, "cnn": CNN}


def tensor(module):
    return module.weight if isinstance(module, nn.Module) else module


def lora_pairs(mine, theirs):
    yield tensor(mine.lora.A), theirs.lora_A["default"].weight
    yield tensor(mine.lora.B), theirs.lora_B["default"].weight


def dora_pairs(mine, theirs):
    yield from lora_pairs(mine, theirs)
    yield mine.lora.m, theirs.lora_magnitude_vector["default"].weight


def vera_pairs(mine, theirs):
    part = mine.update.parts[0]
    assert torch.equal(part.shared.A, theirs.vera_A["default"])  # drawn alike
    assert torch.equal(part.shared.B, theirs.vera_B["default"])
    yield part.b, theirs.vera_lambda_b["default"]
    yield part.d, theirs.vera_lambda_d["default"]


def part_of(mine):
    return mine.update.part if isinstance(mine, nn.Conv2d) else mine.update.parts[0]


def loha_pairs(mine, theirs):
    for name in ("1", "2"):
        for ours, letter in (("B", "a"), ("A", "b")):
            yield getattr(part_of(mine), ours + name), getattr(theirs, f"hada_w{name}_{letter}")["default"]


def lokr_pairs(mine, theirs):
    part = part_of(mine)
    yield part.C, theirs.lokr_w1["default"]
    if hasattr(part, "D"):
        yield part.D, theirs.lokr_w2["default"]
    else:
        yield part.B, theirs.lokr_w2_a["default"]
        yield part.A, theirs.lokr_w2_b["default"]


def oft_pairs(mine, theirs):
    yield mine.rotation.rotation.Q, theirs.oft_R["default"].weight


def cases():
    for kind, at in PLACES.items():
        own = {"target_modules": TARGETS[kind]}
        yield kind, DoRA(rank=3, alpha=6, at=at), peft.LoraConfig(r=3, lora_alpha=6, use_dora=True, **own), dora_pairs
        yield kind, LoHa(rank=2, alpha=6, at=at), peft.LoHaConfig(r=2, alpha=6, **own), loha_pairs
        yield kind, LoKr(rank=2, alpha=6, at=at), peft.LoKrConfig(r=2, alpha=6, **own), lokr_pairs
        if kind == "cnn":
            continue
        yield kind, LoRAFA(rank=3, alpha=6, at=at), peft.LoraConfig(r=3, lora_alpha=6, **own), lora_pairs
        exact = peft.OFTConfig(oft_block_size=8, use_cayley_neumann=False, **own)
        yield kind, OFT(block_size=8, at=at), exact, oft_pairs
    own = {"target_modules": TARGETS["bert"]}
    yield "bert", LoHa(rank=16, alpha=6), peft.LoHaConfig(r=16, alpha=6, **own), loha_pairs
    yield "bert", LoKr(rank=64, alpha=6), peft.LoKrConfig(r=64, alpha=6, **own), lokr_pairs
    yield "bert", VeRA(rank=5), peft.VeraConfig(r=5, **own), vera_pairs


@pytest.mark.parametrize(
    ("kind", "method", "config", "pairs"),
    list(cases()),
    ids=lambda v: v if isinstance(v, str) else repr(v) if isinstance(v, Method) else "",
)
def test_equals_peft(kind, method, config, pairs):
    backbone = build(method, NETWORKS[kind])
    perturb(backbone.module)
    theirs = peft.get_peft_model(build(None, NETWORKS[kind]).module, config).double().eval()
    known = []
    for path, module in backbone.module.named_modules():
        if any(hasattr(module, name) for name in ("lora", "update", "rotation")) and hasattr(module, "weight"):
            known += pairs(module, theirs.get_submodule(f"base_model.model.{path}"))
    with torch.no_grad():
        for mine, yours in known:
            yours.copy_(mine.view_as(yours))
    assert known
    x = backbone.example(3)
    a, b = backbone.module(x), theirs(x)
    assert (a - b).abs().max() < 1e-10
    a.square().sum().backward()
    loss = b.square().sum()
    wanted = torch.autograd.grad(loss, [yours for mine, yours in known if mine.requires_grad])
    for mine, yours in zip([mine for mine, _ in known if mine.requires_grad], wanted, strict=True):
        assert (mine.grad - yours.view_as(mine)).abs().max() <= 1e-10 * max(1.0, yours.abs().max().item())


def test_pissa_starts_where_peft_does_and_computes_the_same():
    """Their start is in float32; with its rounding taken off W_res, the same change of both gives the same network."""
    backbone = build(None, BERT)
    backbone.module.float().double()
    adapt(backbone, PiSSA(rank=3))
    config = peft.LoraConfig(r=3, lora_alpha=3, target_modules=TARGETS["bert"], init_lora_weights="pissa")
    theirs = peft.get_peft_model(build(None, BERT).module.float(), config).double().eval()
    hosts = [(path, m) for path, m in backbone.module.named_modules() if hasattr(m, "lora")]
    assert hosts
    for path, mine in hosts:
        there = theirs.get_submodule(f"base_model.model.{path}")
        a, b = there.lora_A["default"].weight, there.lora_B["default"].weight
        assert torch.allclose(mine.lora.B @ mine.lora.A, b @ a, atol=1e-5)
        assert torch.allclose(mine.lora.B.norm(dim=0), b.norm(dim=0), rtol=1e-4)
        residual = mine.weight - mine.lora.B @ mine.lora.A
        assert torch.allclose(there.base_layer.weight, residual, atol=1e-5)
        with torch.no_grad():
            there.base_layer.weight.copy_(residual)
            a.copy_(mine.lora.A.mul_(1.5))
            b.copy_(mine.lora.B.add_(0.1))
    x = backbone.example(2)
    assert (backbone.module(x) - theirs(x)).abs().max() < 1e-10


def test_pissa_of_a_convolution_and_of_rows():
    for model, at in ((CNN, CONV), (VIT, ("q", "v"))):
        backbone, base = build(PiSSA(rank=2, at=at), model), build(None, model)
        host = next(m for m in backbone.module.modules() if hasattr(m, "lora"))
        assert not [key for key in backbone.module.state_dict() if key.endswith(("A0", "B0"))]
        if isinstance(host, nn.Conv2d):
            product = (host.lora.B.weight.flatten(1) @ host.lora.A.weight.flatten(1)).detach()
            weight = host.weight.flatten(1)
        else:
            product, weight = host.lora.B[: host.in_features] @ host.lora.A[:2], host.weight[: host.in_features]
        values = torch.linalg.svdvals(weight)
        left = torch.linalg.matrix_norm((weight - product).detach(), 2).item()
        assert left == pytest.approx(values[2].item(), rel=1e-9)
        x = base.example(2)
        assert torch.equal(backbone.module(x), base.module(x))


def test_small_changes_are_not_lost_in_half_precision():
    """Large factors of PiSSA, magnitudes of DoRA and blocks of OFT near one: bf16 alone has two to three digits."""
    layer, site = nn.Linear(64, 64), Site("0", "up", 0)
    x = torch.randn(256, 64)
    for method in (PiSSA(rank=8, at=("up",)), DoRA(rank=8, at=("up",)), OFT(block_size=8, at=("up",))):
        network = nn.Sequential(copy.deepcopy(layer))
        method.apply(network, [site, Site("", "block", 0)])
        with torch.autocast("cpu", torch.bfloat16):
            base, start = layer(x), network(x)
        assert torch.equal(base, start)
        with torch.no_grad():
            for p in network.parameters():
                if p.requires_grad:
                    p += 2e-2 * torch.randn_like(p) * p.abs().max().clamp_min(0.1)
            wanted = network(x) - layer(x)
        with torch.autocast("cpu", torch.bfloat16):
            found = network(x).float() - base.float()
        rounding = 2**-8 * base.float().abs()  # of what is added up
        slope = (found * wanted).sum() / wanted.square().sum()
        assert abs(slope - 1) < 0.05 and ((found - wanted).abs() <= rounding + 0.02).all(), repr(method)


@pytest.mark.parametrize(
    "method",
    [
        DoRA(rank=2, at=("q", "v")),
        VeRA(rank=4, at=("q", "v")),
        LoHa(rank=2, at=("q", "v")),
        LoKr(rank=2, at=("k", "v")),
        OFT(block_size=8, at=("q", "k")),
        PiSSA(rank=2, at=("v",)),
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
    (OFT(block_size=32), 12 * 2 * 768 * 31 // 2),
    (OFT(block_size=32, at=("qkv", "down")), 12 * (768 + 3072) * 31 // 2),
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
    network = build(VeRA(rank=4), VIT).module
    for module in (network, copy.deepcopy(network), copy.deepcopy(network).float()):
        matrices = {t.data_ptr() for name, t in module.named_buffers(remove_duplicate=False) if ".shared." in name}
        assert len(matrices) == 2
        assert not [key for key in module.state_dict() if ".shared." in key]
    other = build(VeRA(rank=4, projection_seed=1), VIT).module
    first, second = (next(m.shared.A for m in each.modules() if hasattr(m, "shared")) for each in (network, other))
    assert first.shape == second.shape and not torch.equal(first, second)


def test_lora_plus_speeds_up_b_alone():
    method = LoRAPlus(rank=2, ratio=8.0, at=CONV)
    names = [name for name, p in build(method, CNN).module.named_parameters() if p.requires_grad]
    rates = {name.rpartition("lora.")[2]: method.rates(name) for name in names}
    assert rates == {"A.weight": 1.0, "B.weight": 8.0}


def test_lora_plus_is_another_alpha_under_adamw_without_clipping():
    """As its docstring says; plain LoRA learns something else."""

    def trained(method, clip):
        backbone = build(method, BERT)
        rule = optimizer(backbone.module, nn.Identity(), Training(lr=1e-3, weight_decay=0.0), rates=method.rates)
        x = backbone.example(4)
        for _ in range(6):
            rule.zero_grad()
            (10 * backbone.module(x)).square().mean().backward()
            if clip:
                nn.utils.clip_grad_norm_(backbone.module.parameters(), clip)
            rule.step()
        return backbone.module(x).detach()

    plus, other = LoRAPlus(rank=2, alpha=2, ratio=8.0), LoRA(rank=2, alpha=16)
    free = trained(plus, 0)
    assert torch.allclose(free, trained(other, 0), atol=1e-5)
    assert (free - trained(LoRA(rank=2, alpha=2), 0)).abs().max() > 1e-3
    assert (trained(plus, 0.1) - trained(other, 0.1)).abs().max() > 1e-4


@pytest.mark.parametrize(("size", "found"), [(768, (24, 32)), (7, (1, 7)), (64, (8, 8)), (3072, (48, 64))])
def test_factors(size, found):
    assert factors(size) == found == peft.tuners.lokr.layer.factorization(size)


def test_what_does_not_fit_is_refused_in_a_line():
    with pytest.raises(BadInput, match=r"^VeRA cannot adapt .*: Conv2d is no Linear$"):
        adapt(CNN.build(device="meta"), VeRA(at=CONV))
    with pytest.raises(BadInput, match=r"^block_size 24: it does not divide the 64 inputs of .*; 16 does$"):
        adapt(VIT.build(device="meta"), OFT(block_size=24))
    grouped = Timm("test_efficientnet", weights="random").build(device="meta")
    for method in (DoRA(at=("dwconv",)), LoHa(at=("dwconv",)), OFT(at=("dwconv",))):
        with pytest.raises(BadInput, match=rf"^{type(method).__name__} cannot adapt .* no Linear or ungrouped Conv2d$"):
            adapt(grouped, method)


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


@pytest.mark.parametrize(("start", "spread"), [("uniform", 1024**-0.5 / 3**0.5), ("normal", 1 / 8), ("B", 0.0)])
def test_where_a_pair_starts(start, spread):
    """A's standard deviation; of "B" that of B, uniform on ±1/√rank. One of the two is zero, or the base would move."""
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Linear(1024, 1024))
    LoRA(rank=8, start=start, at="q").apply(layer, [Site("0", "q", 0)])
    A, B = layer[0].lora.A, layer[0].lora.B
    assert A.std().item() == pytest.approx(spread, rel=0.02)
    assert B.std().item() == (pytest.approx((3 * 8) ** -0.5, rel=0.02) if start == "B" else 0)


def test_a_start_that_could_not_train_is_refused():
    with pytest.raises(BadInput, match="A would be zero"):
        LoRAFA(start="B")
    with pytest.raises(BadInput, match="did you mean 'normal'"):
        LoRA(start="norml")
