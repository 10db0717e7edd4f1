"""The checks of what a method may add: each rule that is broken is named, each departure said as it was declared."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from bench.errors import BadInput
from bench.methods import Houlsby, LoRA
from bench.methods.branch import Branch, attach
from bench.training.check_networks import VIT, Violation, build, flat
from bench.training.method_checks import CHECKS, report
from tests.support.toy_methods import InputGain, Scheduled, branches

pytestmark = pytest.mark.usefixtures("one_thread")
RULES = CHECKS["its training keeps to the rules"]
START = CHECKS["identity at the start"]
MERGED = CHECKS["merged equals unmerged"]


@pytest.mark.parametrize("method", [Scheduled(), InputGain()], ids=repr)
def test_who_keeps_to_the_rules_passes(method):
    rows, failed = report(method, [VIT])
    assert not failed and all(result == "ok" for *_, result in rows) and len(rows) == len(CHECKS)


class Rates(LoRA):
    def rates(self, name):
        return 0.0


class Vector(LoRA):
    def penalty(self, model):
        return branches(model)[0].A.sum(0)


class Infinite(LoRA):
    def penalty(self, model):
        return branches(model)[0].A.sum() * torch.inf


class MovesTheBase(LoRA):
    def after_step(self, model, step, steps):
        model.norm.weight.mul_(0.5)


class Switch(Branch):
    def __init__(self, persistent):
        super().__init__()
        self.register_buffer("on", torch.ones((), dtype=torch.float64), persistent=persistent)

    def forward(self, x, y):
        return y * self.on


@dataclass(frozen=True, repr=False)
class Forgets(LoRA):
    persistent: bool = False

    def apply(self, model, sites):
        super().apply(model, sites)
        attach(model.norm, "switch", Switch(self.persistent))

    def after_step(self, model, step, steps):
        model.norm.switch.on.fill_(1 + step / steps)


@pytest.mark.parametrize(
    ("method", "said"),
    [
        (Rates(), r"rates\('blocks.0.attn.qkv.lora.A'\) is 0.0"),
        (Vector(), r"penalty is of shape \(64,\): it must be a scalar"),
        (Infinite(), "the penalty is"),
        (MovesTheBase(), "norm.weight of the base changes in training"),
        (Forgets(), "keep what they depend on in a persistent buffer"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_rule_that_is_broken_is_named(method, said):
    with pytest.raises((Violation, BadInput), match=said):
        RULES(method, VIT)


def test_what_is_kept_in_a_persistent_buffer_comes_back():
    RULES(Forgets(persistent=True), VIT)


class Added(Branch):
    def __init__(self, by, like):
        super().__init__()
        self.by = nn.Parameter(torch.full_like(like, by))

    def forward(self, x, y):
        return y + self.by


@dataclass(frozen=True, repr=False)
class Departs(LoRA):
    by: float = 0.5

    def apply(self, model, sites):
        super().apply(model, sites)
        attach(model.norm, "added", Added(self.by, like=model.norm.bias))


class Declared(Departs):
    departs = "a constant is added"


def test_a_departure_is_reported_as_declared_and_rounding_is_none():
    with pytest.raises(Violation, match=r"differ from the base's by 0.5: .* declare why with departs"):
        START(Departs(), VIT)
    assert START(Declared(), VIT) == "differs by 0.5, as declared: a constant is added"
    assert START(Departs(by=1e-13), VIT) is None and START(Declared(by=0.0), VIT) is None
    with pytest.raises(Violation):
        START(Departs(by=1e-10), VIT)
    rows, failed = report(Declared(), [VIT])
    assert not failed and "ok: differs by 0.5, as declared: a constant is added" in [result for *_, result in rows]


class Folds(InputGain):
    """Merges in a way of its own, into another network."""

    def merged(self, model):
        for block in model.blocks:
            for layer in (block.mlp.fc1, block.mlp.fc2):
                layer.gain.fold(layer)
        again = build(None, VIT).module
        again.load_state_dict({k: v for k, v in model.state_dict().items() if "gain" not in k})
        return again


class Wrongly(Folds):
    def merged(self, model):
        model = super().merged(model)
        with torch.no_grad():
            model.norm.bias.add_(1)
        return model


class NotAtAll(InputGain):
    def merged(self, model):
        return None


class CannotHere(InputGain):
    def merged(self, model):
        raise BadInput("this network is not for merging")


def test_a_merge_of_its_own_is_held_to_the_same():
    MERGED(Folds(), VIT)
    MERGED(CannotHere(), VIT)
    MERGED(Houlsby(width=4), VIT)  # which never said that it merges
    with pytest.raises(Violation, match="merged and unmerged differ by 1"):
        MERGED(Wrongly(), VIT)
    with pytest.raises(Violation, match="merging takes nothing off"):
        MERGED(NotAtAll(), VIT)


def test_another_shape_of_features_is_no_start():
    class Halved(LoRA):
        def apply(self, model, sites):
            super().apply(model, sites)
            model.norm.register_forward_hook(lambda module, x, y: y[..., :32])

    assert flat(build(Halved(), VIT).module(VIT.build(seed=0).example(2).double())).shape == (2, 32)
    with pytest.raises(Violation, match=r"shape \(2, 32\), the base's \(2, 64\)"):
        START(Halved(), VIT)
