"""What a method may add to training: rates of its own, a penalty, work after a step, and state in buffers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn

from bench.errors import BadInput
from bench.methods import LoRA
from bench.study.plan import Cell, parameters, trainable
from bench.tasks import Images
from bench.training.inference import stored
from bench.training.loop import Loop, Outcome, prepare, train
from bench.training.memory_forecast import forecast
from bench.training.method_checks import VIT, build
from bench.training.recipe import Training, optimizer
from bench.training.run import Run, assemble, counted
from tests.support.tiny_study import learned
from tests.support.toy_methods import Scheduled, branches

TASK = Images("digits", train=60, val=40, test=60)
pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")


def run_of(method, **changes):
    training = Training(lr=1e-3, epochs=2, batch_size=16, precision="fp32")
    return Run(TASK, VIT, method, replace(training, **changes), seed=0, test=False)


def test_rates_are_factors_on_the_backbones_learning_rate_alone():
    module, head = build(Scheduled(), VIT).module, nn.Linear(64, 2)
    groups = optimizer(module, head, Training(lr=1e-3, head_lr=1e-2), rates=Scheduled().rates).param_groups
    peaks = {id(p): group["peak"] for group in groups for p in group["params"]}
    found = {name.rpartition(".")[2]: peaks[id(p)] for name, p in module.named_parameters() if p.requires_grad}
    assert found == {"A": 1e-3, "B": 4e-3} and peaks[id(head.weight)] == 1e-2
    for wrong in (0.0, -1.0, float("nan"), float("inf"), None, True):
        with pytest.raises(BadInput, match=r"rates\('.*'\) is .*a number above 0"):
            optimizer(module, head, Training(), rates=lambda name, wrong=wrong: wrong)


def test_a_penalty_moves_the_weights_and_stands_beside_the_training_loss():
    plain, heavy = (train(run_of(Scheduled(ratio=1.0, weight=w))).curve for w in (0.0, 1e3))
    lora = train(run_of(LoRA(rank=4))).curve
    assert learned([{k: v for k, v in row.items() if k != "penalty"} for row in plain]) == learned(lora)
    assert heavy[0]["penalty"] > heavy[1]["penalty"] > 0 and plain[1]["train_loss"] != heavy[1]["train_loss"]
    assert heavy[0]["penalty"] > 20 * heavy[0]["train_loss"], "which is the task's alone, and has not diverged"
    assert all("penalty" not in row for row in lora)


def test_a_penalty_is_taken_once_a_step_however_the_batch_is_cut():
    whole, parts = (train(run_of(Scheduled(), accumulate=n)).curve[-1] for n in (1, 2))
    assert parts["penalty"] == pytest.approx(whole["penalty"], rel=1e-3)
    assert parts["train_loss"] == pytest.approx(whole["train_loss"], rel=1e-3)


def test_after_step_counts_from_one_and_knows_the_end():
    seen = []

    @dataclass(frozen=True, repr=False)
    class Watching(LoRA):
        def after_step(self, model, step, steps):
            assert not torch.is_grad_enabled() and branches(model)[0].B.grad is not None
            seen.append((step, steps))

    train(run_of(Watching()))
    assert seen == [(n, 8) for n in range(1, 9)]  # 60 samples, 16 a step, 2 epochs


def test_persistent_buffers_are_restored_and_stored_and_others_are_neither():
    run, outcome = run_of(Scheduled(), epochs=3), Outcome()
    parts, data = prepare(run, outcome, device="cpu")
    loop = Loop(run, parts, data, outcome)
    scores = iter((0.1, 0.9, 0.2))  # the second epoch is the best
    loop.evaluate = lambda name: {"top1": next(scores), "loss": 1.0}
    loop.fit(lambda epoch, found: None)
    branch = branches(parts.network.backbone)[0]
    assert outcome.best_epoch == 2 and branch.steps == 8 and not any("seen" in name for name in loop.weights())
    trainable = sum(p.nbytes for p in parts.network.backbone.parameters() if p.requires_grad)
    assert stored(parts.network)["backbone"] == trainable + 4 * len(branches(parts.network.backbone))


@dataclass(frozen=True, repr=False)
class HalfFrozen(LoRA):
    """A frozen, on a module that has no parameter that trains."""

    def apply(self, model, sites):
        super().apply(model, sites)
        for branch in branches(model):
            branch.A.requires_grad_(False)
        model.register_buffer("table", torch.zeros(10, device=branch.A.device))


def test_what_a_method_adds_is_stored_whether_it_trains_or_not():
    _, network = assemble(run_of(HalfFrozen()), device="cpu")
    tensors = [t for b in branches(network.backbone) for t in (b.A, b.B)]
    assert stored(network)["backbone"] == sum(t.nbytes for t in tensors) + 40


def test_estimated_memory_has_the_penalty_and_what_follows_a_step():
    @dataclass(frozen=True, repr=False)
    class Heavy(LoRA):
        def penalty(self, model):
            return sum((b.B.repeat(1, 4096).square().sum() for b in branches(model)), start=torch.zeros(()))

        def after_step(self, model, step, steps):
            branches(model)[0].A.new_empty(10**7).sum()

    plain, heavy = (forecast(run_of(method)).memory.phases for method in (LoRA(), Heavy()))
    assert heavy["backward"].total > plain["backward"].total + 4 * 128 * 8 * 4096
    assert heavy["update"].total >= plain["update"].total + 4 * 10**7 - heavy["update"].breakdown["gradients"]


def test_a_method_that_removes_parameters_is_counted_by_those_that_are_left():
    @dataclass(frozen=True, repr=False)
    class Shrinking(LoRA):
        def removed(self, model):
            return sum(b.A.numel() + b.B.numel() for b in branches(model)) // 4

    run, found = run_of(Shrinking(rank=4)), {"backbone": 4608, "head": 650, "total": 5258, "start": 6144}
    backbone, network = assemble(run, device="meta")
    assert counted(run, backbone, network) == parameters(Cell(TASK, VIT, Shrinking(rank=4))) == found
    assert trainable(Cell(TASK, VIT, Shrinking(rank=4))) == (4608, 650)
    assert train(replace(run, training=replace(run.training, epochs=1))).parameters == found
