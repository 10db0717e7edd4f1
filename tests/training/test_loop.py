"""The loop: what trains, what is kept, what a cache changes (nothing), and how it ends badly."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from bench.errors import BadInput
from bench.methods import BitFit, FeatureLoRA, FullFineTuning, LinearProbe, LoRA
from bench.tasks import Images
from bench.tasks.precomputed import Precomputed
from bench.training.loop import Diverged, Loop, Outcome, prepare, train
from bench.training.method_checks import CNN, VIT, build
from bench.training.recipe import Training, optimizer, precision, schedule, set_mode
from bench.training.run import Network, Run
from tests.support.tiny_study import learned

TASK = Images("digits", train=60, val=40, test=60)
TRAINING = Training(lr=1e-3, epochs=2, batch_size=16, precision="fp32")


pytestmark = pytest.mark.usefixtures("own_cache")


def run_of(method, model=VIT, **changes):
    return Run(TASK, model, method, replace(TRAINING, **changes), seed=0)


def test_a_run_reports_everything():
    outcome = train(run_of(LoRA(rank=4)))
    assert outcome.status == "ok"
    assert set(outcome.metrics) == {"val", "test"}
    assert set(outcome.metrics["test"]) == {"top1", "macro_f1", "loss", "ece"}
    assert [(point["epoch"], point["steps"]) for point in outcome.curve] == [(1, 4), (2, 8)]
    assert 0 < outcome.curve[0]["seconds"] < outcome.curve[1]["seconds"] == outcome.time["train"]
    assert 0 < outcome.curve[0]["cpu"] < outcome.curve[1]["cpu"]
    assert outcome.parameters == {"backbone": 6144, "head": 650, "total": 6794}
    assert outcome.time["total"] >= outcome.time["train"] > 0 and outcome.time["samples_per_second"] > 0


def test_same_seed_same_result():
    first, second = train(run_of(LoRA(rank=4))), train(run_of(LoRA(rank=4)))
    assert learned(first.curve) == learned(second.curve) and first.metrics == second.metrics
    assert learned(first.curve) != learned(train(replace(run_of(LoRA(rank=4)), seed=1)).curve)


@pytest.mark.parametrize(("steps", "sizes"), [(0, [16, 16, 16, 12]), (2, [16, 16]), (6, [16, 16, 16, 12, 16, 16])])
def test_an_epoch_has_the_steps_asked_for_whatever_the_size(steps, sizes):
    run = run_of(LinearProbe(), epoch_steps=steps)
    outcome = Outcome()
    parts, data = prepare(run, outcome, device="cpu")
    batches = Loop(run, parts, data, outcome).batches(data.train)
    assert [len(batch) for batch in batches] == sizes
    assert steps == 2 or set(torch.cat(batches[:4]).tolist()) == set(range(60))  # one whole pass before the next
    found = train(run)
    assert found.status == "ok" and len(found.curve) == 2
    assert found.curve[1]["lr"] < found.curve[0]["lr"]  # the schedule ends with the last step


@pytest.mark.parametrize(
    ("method", "flip"),
    [(LinearProbe(), None), (LinearProbe(), True), (FeatureLoRA(rank=2), None), (LoRA(rank=2, blocks=-2), True)],
)
def test_caching_a_frozen_prefix_changes_nothing(method, flip):
    run = replace(run_of(method, lr=1e-2), task=replace(TASK, flip=flip))
    cached, plain = train(run), train(run, cache=False)
    for a, b in zip(cached.curve, plain.curve, strict=True):
        assert a["train_loss"] == pytest.approx(b["train_loss"], rel=1e-5)
    assert cached.metrics["test"]["loss"] == pytest.approx(plain.metrics["test"]["loss"], rel=1e-5)


def test_what_does_not_fit_the_cache_is_computed_every_time(monkeypatch):
    run = run_of(LinearProbe(), lr=1e-2)
    expected = train(run)
    monkeypatch.setattr("bench.tasks.precomputed.CACHE_LIMIT", 100)
    assert train(run).metrics["test"]["loss"] == pytest.approx(expected.metrics["test"]["loss"], rel=1e-5)


def test_a_prefix_runs_once_per_sample_and_view():
    data = replace(TASK, flip=True).data(VIT.build().inputs, seed=0)
    seen = []

    def prefix(x):
        seen.append(len(x))
        return x.flatten(1)

    split, asked = Precomputed(data.train, prefix), set()
    for _ in range(3):
        index, view = torch.randperm(60)[:40], torch.arange(40) % 2
        asked |= set(zip(index.tolist(), view.tolist(), strict=True))
        wanted = data.train.inputs(index, view).flatten(1)
        assert torch.equal(split.inputs(index, view), wanted)
    assert sum(seen) == len(asked)


def test_tuning_never_looks_at_the_test_part(monkeypatch):
    looked = []
    evaluate = Loop.evaluate
    monkeypatch.setattr(Loop, "evaluate", lambda self, name: looked.append(name) or evaluate(self, name))
    outcome = train(replace(run_of(LinearProbe()), test=False))
    assert "test" not in looked and "test" not in outcome.metrics
    looked.clear()
    train(run_of(LinearProbe()))
    assert looked == ["val", "val", "test"]


def test_the_best_weights_on_validation_are_tested(monkeypatch):
    """The first epoch is made the best; what is tested must be its weights and not the last ones."""
    kept, tested = [], []
    evaluate = Loop.evaluate

    def scores(self, name):
        state = self.network.head.weight.detach().clone()
        if name == "test":
            tested.append(state)
            return evaluate(self, name)
        kept.append(state)
        return {"top1": 1.0 - 0.1 * len(kept), "loss": 1.0}

    monkeypatch.setattr(Loop, "evaluate", scores)
    outcome = train(run_of(LoRA(rank=2), epochs=3))
    assert outcome.best_epoch == 1 and outcome.metrics["val"]["top1"] == pytest.approx(0.9)
    assert torch.equal(tested[0], kept[0]) and not torch.equal(tested[0], kept[2])


def test_early_stopping(monkeypatch):
    monkeypatch.setattr(Loop, "evaluate", lambda self, name: {"top1": 0.5, "loss": 1.0})
    assert len(train(run_of(LinearProbe(), epochs=9, patience=2)).curve) == 3


def test_a_word_after_an_epoch_ends_the_run_as_pruned():
    """With the curve so far and the scores of its best epoch, untested; the last epoch has nothing left to spare."""
    seen = []

    def stop(epoch, scores):
        seen.append({name: score for name, score in scores.items() if name != "seconds"})
        return "enough" if epoch == 2 else None

    pruned = train(run_of(LoRA(rank=2), epochs=3), on_epoch=stop)
    assert (pruned.status, pruned.reason) == ("pruned", "enough")
    assert [point["val"] for point in pruned.curve] == seen and len(seen) == 2
    assert pruned.metrics == {"val": pruned.curve[pruned.best_epoch - 1]["val"]}
    assert train(run_of(LoRA(rank=2), epochs=2), on_epoch=stop).status == "ok"


@pytest.mark.parametrize("lr", [1e6, 1e30])
def test_divergence_is_a_status(lr):
    outcome = train(run_of(FullFineTuning(), lr=lr, clip_norm=0.0, optimizer="sgd", epochs=4))
    assert outcome.status == "diverged" and "loss" in outcome.reason and outcome.metrics == {}


def test_a_high_step_is_no_divergence_but_a_high_epoch_or_nan_is():
    outcome = Outcome()
    parts, data = prepare(run_of(LinearProbe()), outcome, device="cpu")
    loop = Loop(run_of(LinearProbe()), parts, data, outcome)
    loop.check(2.0)
    loop.check(500.0)
    loop.check(19.0, exploded=True)
    with pytest.raises(Diverged, match="rose from 2 to 21"):
        loop.check(21.0, exploded=True)
    with pytest.raises(Diverged, match="validation loss is nan"):
        loop.check(float("nan"), what="validation")


def test_frozen_batch_norm_and_dropout_stay_in_evaluation():
    backbone = build(LoRA(rank=2, at=("conv", "proj"), dropout=0.1), CNN)
    network = Network(backbone.module, nn.Linear(backbone.width, 2).double())
    set_mode(network)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and not any(m.training for m in norms)
    assert backbone.module.layer1[0].conv1.lora.training and network.head.training
    before = [m.running_mean.clone() for m in norms]
    network(backbone.example(4))
    assert all(torch.equal(m.running_mean, b) for m, b in zip(norms, before, strict=True))


def test_batch_norm_in_bitfit_keeps_its_statistics_and_in_full_fine_tuning_moves_them():
    for method, moves in ((BitFit(), False), (FullFineTuning(), True)):
        network = build(method, CNN).module
        set_mode(network)
        norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        assert all(m.training == moves for m in norms)


def test_weight_decay_spares_vectors_and_embeddings():
    network, head = build(FullFineTuning(), VIT).module, nn.Linear(64, 2)
    groups = optimizer(network, head, Training(lr=1e-4, weight_decay=0.1)).param_groups
    spared = {id(p) for group in groups if group["weight_decay"] == 0 for p in group["params"]}
    assert {id(network.pos_embed), id(network.cls_token), id(network.norm.weight), id(head.bias)} <= spared
    assert id(network.blocks[0].attn.qkv.weight) not in spared and id(head.weight) not in spared
    assert isinstance(optimizer(network, head, Training(optimizer="sgd")), torch.optim.SGD)


def test_the_head_has_one_rate_for_all_methods_and_the_probe_tunes_it():
    head = nn.Linear(64, 2)
    for method, rates in ((LoRA(rank=2), {1e-4, 1e-3}), (LinearProbe(), {1e-4})):
        groups = optimizer(build(method, VIT).module, head, Training(lr=1e-4, head_lr=1e-3)).param_groups
        assert {group["peak"] for group in groups} == rates


def test_schedule_rises_then_falls_to_zero():
    factors = [schedule(step, steps=100, warmup=0.1) for step in range(100)]
    assert factors[0] == pytest.approx(0.1) and max(factors) == factors[9] == 1.0
    assert factors[9:] == sorted(factors[9:], reverse=True) and factors[-1] < 0.001


def test_precision():
    assert precision("fp32", device="cpu", pays=True) == "fp32"
    assert precision("auto", device="cpu", pays=False) == "fp32"
    assert train(run_of(LoRA(rank=2), precision="bf16")).precision == "bf16"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"epochs": 0}, "epochs 0"),
        ({"lr": -1.0}, "learning rate > 0"),
        ({"optimizer": "adam"}, "did you mean 'adamw'"),
        ({"precision": "fp16"}, "did you mean"),
        ({"warmup": 1.0}, "from 0 up to"),
        ({"patience": -1}, "patience -1"),
        ({"patience": 1.5}, "whole number"),
        ({"epochs": True}, "whole number"),
        ({"weight_decay": float("nan")}, "finite"),
        ({"lr": "x"}, "finite"),
    ],
)
def test_bad_training(changes, told):
    with pytest.raises(BadInput, match=told):
        replace(TRAINING, **changes)


@pytest.mark.parametrize("parts", [2, 3, 16])
def test_a_batch_in_parts_has_the_same_gradient_and_steps(parts):
    """16 samples in two, three unequal or sixteen parts; in float64 the weights agree to rounding."""

    def trained(accumulate):
        run = run_of(FullFineTuning(), epochs=1, accumulate=accumulate, optimizer="sgd", lr=0.1)
        outcome = Outcome()
        made, data = prepare(run, outcome, device="cpu")
        made.network.double()
        loop = Loop(run, made, data, outcome)
        loop.to_device = lambda value: value.double() if value.is_floating_point() else value
        loss = loop.epoch(1)
        return loss, loop.steps, torch.cat([p.detach().flatten() for p in made.network.parameters()])

    whole, apart = trained(1), trained(parts)
    assert whole[1] == apart[1] == 4
    assert apart[0] == pytest.approx(whole[0], rel=1e-6)  # summed in float32
    torch.testing.assert_close(apart[2], whole[2], rtol=0, atol=1e-12)


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(BadInput, match="a batch of 4 has no more parts than samples"):
        Training(batch_size=4, accumulate=5)
    with pytest.raises(BadInput, match="say activation_checkpointing=True too"):
        Training(checkpoint_every=2)
