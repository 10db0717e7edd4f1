"""AdaLoRA computes what peft's does, and takes the same triplets away at the same steps."""

from __future__ import annotations

import pytest
import torch

from bench.errors import BadInput
from bench.methods import AdaLoRA, merge
from bench.methods.adalora import triplets
from bench.models import Timm, adapt, count
from bench.sites import CONV, MLP
from bench.training.method_checks import BERT, CNN, VIT, build, perturb

peft = pytest.importorskip("peft")
STEPS = 20


def both(method, model, targets):
    """Ours and theirs on the same weights, and the pairs of tensors."""
    mine = build(method, model)
    perturb(mine.module)
    config = peft.AdaLoraConfig(
        init_r=method.start_rank, target_r=method.rank, lora_alpha=method.alpha, target_modules=targets,
        tinit=2, tfinal=6, deltaT=method.every, total_step=STEPS, orth_reg_weight=method.orthogonality,
    )  # fmt: skip
    theirs = peft.get_peft_model(build(None, model).module, config).double().eval()
    pairs = []
    for path, module in mine.module.named_modules():
        if hasattr(module, "update"):
            (part,), there = triplets(module.update), theirs.get_submodule(f"base_model.model.{path}")
            there.ranknum["default"].data.fill_(method.start_rank - 1e-5)  # they add 1e-5 to what they divide by
            for name, letter in (("P", "B"), ("E", "E"), ("Q", "A")):
                pairs.append((getattr(part, name), getattr(there, f"lora_{letter}")["default"]))
    with torch.no_grad():
        for ours, yours in pairs:
            yours.copy_(ours.view_as(yours))
    return mine, theirs, pairs


@pytest.mark.parametrize(
    ("model", "at", "targets"),
    [(VIT, ("qkv", "o"), ["attn.qkv", "attn.proj"]), (BERT, ("q", "v"), ["query", "value"]),
     (CNN, CONV, r"layer\d\.\d\.conv\d")],
)  # fmt: skip
def test_equals_peft(model, at, targets):
    mine, theirs, pairs = both(AdaLoRA(rank=2, start_rank=3, at=at), model, targets)
    x = mine.example(3)
    a, b = mine.module(x), theirs(x)
    assert (a - b).abs().max() < 1e-10
    found = torch.autograd.grad(a.square().sum(), [ours for ours, _ in pairs])
    wanted = torch.autograd.grad(b.square().sum(), [yours for _, yours in pairs])
    for ours, yours in zip(found, wanted, strict=True):
        assert (ours - yours.view_as(ours)).abs().max() <= 1e-10 * max(1.0, yours.abs().max().item())


def test_takes_away_what_peft_does():
    """Over a whole schedule of the same gradients; what is away by the end stays away."""
    method = AdaLoRA(rank=2, start_rank=5, initial=0.1, final=0.3, every=3)
    mine, theirs, pairs = both(method, BERT, ["query", "value"])
    dice, left = torch.Generator().manual_seed(0), []
    for step in range(1, STEPS + 1):
        for ours, yours in pairs:
            ours.grad = torch.randn(ours.shape, generator=dice, dtype=ours.dtype)
            yours.grad = ours.grad.view_as(yours).clone()
            with torch.no_grad():  # as a step would
                ours -= 0.01 * ours.grad
                yours -= 0.01 * yours.grad
        with torch.no_grad():
            method.after_step(mine.module, step, STEPS)
        theirs.base_model.update_and_allocate(step)
        assert all(torch.equal(ours, yours.view_as(ours)) for ours, yours in pairs), step
        left.append(int(sum(part.E.count_nonzero() for part in triplets(mine.module))))
    matrices = len(triplets(mine.module))
    assert left[0] == 5 * matrices and left[8] < 5 * matrices and left[-1] == left[13] == 2 * matrices
    assert len({int(part.E.count_nonzero()) for part in triplets(mine.module)}) > 1, "ranks differ by layer"


def test_its_penalty_is_peft_s():
    method = AdaLoRA(rank=2, start_rank=3)
    mine, theirs, _ = both(method, BERT, ["query", "value"])

    class Loss(torch.nn.Module):
        def forward(self):
            return type("Output", (), {"loss": torch.zeros((), dtype=torch.float64)})()

    theirs.base_model.model.forward = Loss().forward
    assert method.penalty(mine.module).item() == pytest.approx(theirs.base_model().loss.item(), rel=1e-12)
    assert AdaLoRA(orthogonality=0).penalty(mine.module) is None


def test_its_count_is_of_the_end():
    """A triplet has one value more than LoRA's rank."""
    method, backbone = AdaLoRA(rank=8, at=MLP), Timm("vit_base_patch16_224").build(device="meta")
    adapt(backbone, method)
    assert count(backbone) == 24 * 12 * (768 + 3072 + 1)
    assert count(backbone) - method.removed(backbone.module) == 24 * 8 * (768 + 3072 + 1)


def test_merges_what_is_left_of_rows():
    method = AdaLoRA(rank=1, start_rank=2, at=("v",))
    backbone = build(method, VIT)
    perturb(backbone.module)
    with torch.no_grad():
        for ours in triplets(backbone.module):
            ours.E[0] = 0
    x = backbone.example(2)
    before = backbone.module(x)
    assert torch.allclose(merge(backbone.module, method)(x), before, atol=1e-10)


def test_what_makes_no_schedule_is_refused():
    with pytest.raises(BadInput, match="start_rank ≥ rank, which is 16"):
        AdaLoRA(rank=16)
    with pytest.raises(BadInput, match="a sum below 1"):
        AdaLoRA(initial=0.5, final=0.5)
