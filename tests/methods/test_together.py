"""Several methods at once: as text, on a network, in a search."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import pytest
import torch

from bench.errors import BadInput
from bench.methods import METHODS, BitFit, FullFineTuning, Houlsby, LayerNormTuning, LinearProbe, LoRA, Together, merge
from bench.spec import parse
from bench.study.tune import Tune, configured
from bench.tasks import Images
from bench.training.check_networks import VIT, build, features_of, perturb
from bench.training.recipe import Training
from tests.support.toy_methods import InputGain, Scheduled

TASK = Images("digits")


def read(text):
    return parse(text, known=METHODS, kind="method")


def test_its_text_makes_it_again_however_it_is_written():
    method = Together(LoRA(rank=4), BitFit())
    assert repr(method) == "Together(LoRA(rank=4, at=('q', 'v')), BitFit())"
    assert hash(method) == hash(read(repr(method)))
    assert read("Together(LoRA(4), BitFit)") == read("Together(parts=(LoRA(rank=4), BitFit()))") == method
    assert read("Together") == Together() == Together(LoRA(), BitFit())
    nested = read("Together(Together(LoRA(4), BitFit), LayerNormTuning)")
    assert nested == Together(LoRA(rank=4), BitFit(), LayerNormTuning()) == read(repr(nested))
    assert copy.deepcopy(method) == method and Together(BitFit(), LoRA(rank=4)) != method


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Together(LoRA(rank=4), BitFitt())", "unknown method 'BitFitt': did you mean 'BitFit'"),
        ("Together(LoRA(rnk=4), BitFit())", "unknown field of LoRA 'rnk': did you mean 'rank'"),
        ("Together(LoRA(rank=0), BitFit())", "rank 0: LoRA needs rank ≥ 1"),
        ("Together(LoRA())", r"Together: LoRA\(.*\) is alone; give two methods or more"),
        ("Together(LoRA(), LoRA())", "Together: the same method twice"),
        ("Together(LoRA(), 3)", "Together: give methods, as"),
        ("Together(LoRA(), parts=(BitFit(),))", "gives parts twice"),
        ("Together(LoRA(), other=BitFit())", "unknown field of Together 'other': known: parts"),
        ("LoRA(BitFit())", r"BitFit\(\) is not a literal value"),
        ("Together(" * 3000 + ")" * 3000, "nested too deeply|cannot be read"),
    ],
    ids=lambda text: text[:40],
)
def test_what_is_wrong_with_a_part_is_said_as_of_the_part(text, said):
    with pytest.raises(BadInput, match=said):
        read(text)


def trains(method):
    return {name for name, p in build(method, VIT).module.named_parameters() if p.requires_grad}


def test_what_trains_is_what_any_part_trains():
    @dataclass(frozen=True, repr=False)
    class HalfFrozen(LoRA):
        def apply(self, model, sites):
            super().apply(model, sites)
            for module in model.modules():
                if hasattr(module, "lora"):
                    module.lora.A.requires_grad_(False)

    lora, bias, norm = LoRA(rank=2), BitFit(), LayerNormTuning()
    for parts in ((lora, bias, norm), (norm, bias, lora), (bias, norm, lora)):
        assert trains(Together(*parts)) == trains(lora) | trains(bias) | trains(norm)
    assert trains(Together(lora, LinearProbe())) == trains(lora)
    both = trains(Together(HalfFrozen(rank=2), FullFineTuning()))
    assert both == trains(FullFineTuning()) | {name for name in trains(lora) if name.endswith("B")}, "A stays frozen"


def test_each_part_is_searched_under_its_name_and_the_first_gives_the_rate():
    method = Together(LoRA(rank=4), LoRA(rank=2, at="up", alpha=4), BitFit())
    space = Tune().space(TASK, method)
    assert set(space) == {"lr", "weight_decay"} | {f"LoRA{n}.{key}" for n in ("", 2) for key in ("alpha", "dropout")}
    assert space["lr"] == LoRA.space["lr"]
    assert Tune().space(TASK, Together(BitFit(), LoRA()))["lr"] == BitFit.space["lr"]
    default = Tune().default(TASK, method, Training())
    assert (default["LoRA.alpha"], default["LoRA2.alpha"], default["lr"]) == (16.0, 4.0, 1e-3)
    chosen, training = configured(method, Training(), {"lr": 0.01, "LoRA2.alpha": 9.0})
    assert chosen == Together(LoRA(rank=4), LoRA(rank=2, at="up", alpha=9.0), BitFit()) and training.lr == 0.01
    assert chosen.config["LoRA2.alpha"] == 9.0 and chosen.config["LoRA.rank"] == 4


@pytest.mark.usefixtures("one_thread")
def test_rates_penalties_and_steps_are_those_of_the_parts():
    method = Together(Scheduled(rank=2), LayerNormTuning())
    assert method.rates("blocks.0.attn.qkv.lora.B") == 4.0 and method.rates("norm.weight") == 1.0
    module = build(method, VIT).module
    assert method.penalty(module) == Scheduled(rank=2).penalty(module) and Together().penalty(module) is None
    module(VIT.build(seed=0).example(1).double()).sum().backward()
    with torch.no_grad():
        method.after_step(module, 3, 8)
    assert module.blocks[0].attn.qkv.lora.steps == 3


@pytest.mark.usefixtures("one_thread")
def test_what_merges_of_it_is_merged():
    class InItsWay(InputGain):
        def merged(self, model):
            for block in model.blocks:
                block.mlp.fc1.gain.fold(block.mlp.fc1)
                del block.mlp.fc1.gain
                block.mlp.fc1._forward_pre_hooks.clear()
            return model

    base = set(build(None, VIT).module.state_dict())
    for parts, left in (
        ((LoRA(rank=2), BitFit()), 0),
        ((LoRA(rank=2), Houlsby(width=2)), 1),
        ((InItsWay(at="up"), LoRA(rank=2, at=("q", "down"))), 0),
    ):
        method, backbone = Together(*parts), build(Together(*parts), VIT)
        perturb(backbone.module)
        before = features_of(backbone)
        assert method.merges(backbone.module)
        backbone.module = merge(backbone.module, method)
        assert torch.allclose(features_of(backbone), before, atol=1e-10)
        assert (set(backbone.module.state_dict()) == base) == (not left)
    assert not Together(BitFit(), LayerNormTuning()).merges(build(Together(BitFit(), LayerNormTuning()), VIT).module)
