"""Estimates for a CPU against its own allocator, as torch's profiler sees it: an independent count."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bench.costs.scratch import scratch
from bench.methods import FullFineTuning, LoRA
from bench.models import HuggingFace, Timm
from bench.tasks import Images, Text
from bench.training.memory_forecast import forecast
from bench.training.method_checks import VIT
from bench.training.recipe import Training
from bench.training.run import Run
from tests.support.profiled_memory import measured, within

BERT = HuggingFace("test-bert", weights="random", max_length=24)
DIGITS, NAMES = Images("digits"), Text("unicode-names")
CONV = LoRA(rank=4, at=("conv",))


@pytest.mark.parametrize(
    ("model", "method", "batch", "within"),
    [
        (VIT, FullFineTuning(), 4, 0.01),
        (BERT, LoRA(rank=4), 16, 0.001),
        ("resnet26", FullFineTuning(), 4, 0.01),
        ("resnet26", CONV, 16, 0.01),  # 1×1 convolutions of 16 samples and more are oneDNN's
        ("mobilenetv2_050", CONV, 16, 0.03),  # depthwise
        ("convnext_atto", FullFineTuning(), 4, 0.03),  # channels last
    ],
    ids=repr,
)
@pytest.mark.long
def test_the_estimate_is_what_torchs_profiler_sees(model: Any, method: Any, batch: int, within: float) -> None:
    if isinstance(model, str):
        model = Timm(model, weights="random", image_size=64)
    task: Any = NAMES if model is BERT else DIGITS
    run = Run(task, model, method, Training(batch_size=batch, precision="fp32"), seed=0)
    found = forecast(run)
    assert found.peak == pytest.approx(measured(run), rel=within)


@pytest.mark.parametrize("wanted", [(True, False), (False, True), (True, True)], ids=repr)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("wide", "groups"), [(1, 1), (3, 1), (5, 1), (3, 24), (5, 24), (15, 24)])
def test_the_gradient_of_a_convolution_takes_what_torchs_profiler_sees(
    wanted: tuple[bool, bool], wide: int, stride: int, groups: int
) -> None:
    x, weight = torch.randn(8, 24, 14, 14), torch.randn(24, 24 // groups, wide, wide)
    how = [stride, stride], [wide // 2] * 2, [1, 1], False, [0, 0], groups
    gradient = torch.randn_like(torch.ops.aten.convolution(x, weight, None, *how))
    args = gradient, x, weight, None, *how, [*wanted, False]
    operation = torch.ops.aten.convolution_backward.default
    assert scratch(operation, args, None) == pytest.approx(within(operation, *args), abs=0.3 * x.nbytes)


def test_a_sum_of_two_precisions_takes_a_copy_of_the_narrower() -> None:
    narrow, wide = torch.randn(64, 64).bfloat16(), torch.randn(64, 64)
    for args, expected in (((narrow, wide), 4 * 64 * 64), ((wide, narrow), 4 * 64 * 64), ((wide, wide), 0)):
        add = torch.ops.aten.add.Tensor
        assert scratch(add, args, add(*args)) == within(add, *args) == expected


def test_scratch_space_is_named_on_a_cpu_and_is_none_of_cudas() -> None:
    model = Timm("resnet18", weights="random", image_size=64)
    run = Run(DIGITS, model, CONV, Training(batch_size=4, precision="fp32"), seed=0)
    here, there = (forecast(run, device=device).memory.phases for device in ("cpu", "cuda"))
    assert here["forward"].breakdown["scratch"] > 0
    assert all(moment.breakdown["scratch"] == 0 for moment in there.values())
