"""Activation checkpointing changes memory and time, and nothing else: no statistics, no random draw."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.methods import FullFineTuning, LoRA
from bench.models import Backbone, HuggingFace, Timm, checkpoint
from bench.sites import Site
from bench.tasks import Images, Text
from bench.training.loop import train
from bench.training.memory_forecast import forecast
from bench.training.recipe import Training
from bench.training.run import Run
from tests.support.tiny_study import learned

TEXT = Text("unicode-names")
pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet"])
def test_a_run_is_the_same_with_and_without(name):
    task, model = Images("digits", train=32, val=20, test=20), Timm(name, weights="random", image_size=32)
    plain = Run(task, model, FullFineTuning(), Training(lr=1e-3, epochs=2, batch_size=16, precision="fp32"), seed=0)
    spared = replace(plain, training=replace(plain.training, activation_checkpointing=True))
    first, again = (learned(train(run).curve) for run in (plain, spared))
    assert first == again  # training and validation: running statistics moved once a step


class Stateful(nn.Module):
    """A block with all that a forward pass may move: a power iteration, a replaced buffer, a count, own dice."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4))
        self.norm = nn.BatchNorm1d(4)
        self.dice = torch.Generator().manual_seed(7)
        self.register_buffer("mean", torch.zeros(4))
        self.calls, self.last = 0, torch.zeros(4)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        self.last.add_(x.detach()[0])
        mask = torch.rand(x.shape, generator=self.dice) > 0.5
        return torch.dropout(self.norm(self.inner(x - self.mean)), 0.2, True) * mask / self.calls + self.last


def test_whatever_a_block_moves_moves_once():
    found = []
    for again in (False, True):
        torch.manual_seed(0)
        network = nn.Sequential(Stateful(), Stateful())
        backbone = Backbone(network, (Site("0", "block", 0), Site("1", "block", 1)), 4, None, lambda n: None)
        if again:
            checkpoint(backbone)
        for step in range(3):
            torch.manual_seed(step)
            network(torch.randn(5, 4, requires_grad=True)).square().sum().backward()
        state = {**network.state_dict(), **{n: p.grad for n, p in network.named_parameters()}, "next": torch.rand(2)}
        own = [t for m in network for t in (m.last, torch.tensor(m.calls), torch.rand(2, generator=m.dice))]
        found.append([*state.values(), *own])
    for plain, spared in zip(*found, strict=True):
        assert torch.equal(plain, spared)


class Untidy(nn.Module):
    """A block that keeps its averages where no buffer is, and has dice that are not torch's."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.norm = nn.Linear(4, 4), nn.InstanceNorm1d(4, track_running_stats=True)
        self.history, self.moments, self.recent = [], {"mean": torch.zeros(4)}, deque(maxlen=2)
        self.total, self.dice = np.zeros(4), random.Random(1)
        self.calls = None

    def forward(self, x: Tensor) -> Tensor:
        now = x.detach().mean(0)
        self.history.append(now[0].item())
        self.moments["mean"] += now
        self.recent.append(now)
        self.total += now.numpy()
        self.calls = 1 if self.calls is None else self.calls + 1
        self.latest = now
        known = self.moments["mean"] + self.recent[0] + torch.from_numpy(self.total).float() + len(self.history)
        drawn = self.dice.random() + random.random() + np.random.rand()
        return self.inner(self.norm(x.T[None])[0].T + known / self.calls) * drawn

    def kept(self) -> list[Any]:
        tensors = [
            self.moments["mean"],
            *self.recent,
            torch.from_numpy(self.total),
            self.norm.running_mean,
            self.latest,
        ]
        return [self.history, self.calls, self.dice.random(), *(each.tolist() for each in tensors)]


def test_what_a_block_keeps_outside_its_buffers_moves_once():
    found = []
    for again in (False, True):
        torch.manual_seed(0), random.seed(0), np.random.seed(0)
        network = nn.Sequential(Untidy(), Untidy())
        if again:
            checkpoint(Backbone(network, (Site("0", "block", 0), Site("1", "block", 1)), 4, None, lambda n: None))
        for _ in range(3):
            network(torch.randn(5, 4, requires_grad=True)).square().sum().backward()
        grads = [p.grad.tolist() for p in network.parameters()]
        found.append([*(block.kept() for block in network), grads, random.random(), np.random.rand()])
    assert found[0] == found[1]


@pytest.mark.parametrize("method", [FullFineTuning(), LoRA(rank=2, at=("q", "v"))], ids=repr)
@pytest.mark.parametrize(
    "model",
    [
        *(HuggingFace(f"test-{kind}", weights="random", max_length=32) for kind in ("bert", "roberta", "gpt2")),
        HuggingFace("tiny-t5", weights="random", max_length=32),
        *(
            HuggingFace(f"test-{kind}", weights="random", max_length=32)
            for kind in ("distilbert", "llama", "modernbert")
        ),
        Timm("test_vit", weights="random", image_size=32),
        Timm("test_convnext", weights="random", image_size=32),
        Timm("swin_tiny_patch4_window7_224", weights="random"),
    ],
    ids=lambda model: model.name,
)
def test_memory_on_cuda_is_estimated(model, method):
    """CUDA's precision holds where a block computes again, in the backward pass, too."""
    if model.name == "test_convnext" and method != FullFineTuning():
        method = LoRA(rank=2, at=("up",))
    task = TEXT if isinstance(model, HuggingFace) else Images("digits")
    run = Run(task, model, method, Training(batch_size=2, precision="bf16", activation_checkpointing=True), seed=0)
    assert forecast(run, device="cuda").peak > 0
