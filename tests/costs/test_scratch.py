"""Estimates for a CPU against its own allocator, as torch's profiler sees it: an independent count."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from bench.methods import FullFineTuning, LoRA
from bench.models import HuggingFace, Timm
from bench.tasks import Images, Text
from bench.training.memory_forecast import forecast, part_of_batch
from bench.training.method_checks import VIT
from bench.training.recipe import Training, set_mode
from bench.training.run import Run, assemble, behind_prefix, step_of

BERT = HuggingFace("test-bert", weights="random", max_length=24)
DIGITS, NAMES = Images("digits"), Text("unicode-names")
CONV = LoRA(rank=4, at=("conv",))


def measured(run: Run) -> int:
    """Bytes at the peak of a training step, of everything that torch's allocator gave since the network was made."""
    mark = 12_347  # a size that nothing else has
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        backbone, network = assemble(run, device="cpu")
        set_mode(network)
        step = step_of(run, network, device="cpu", precision="fp32")
        trainable = [p for p in network.parameters() if p.requires_grad]
        for p in trainable:
            p.grad = torch.zeros_like(p)
        step.rule.step()
        step.rule.zero_grad(set_to_none=True)
        before = behind_prefix(backbone, network, step)
        x: Any = part_of_batch(run, backbone)
        targets = run.task.stand_ins(x)
        gc.collect()
        begin = torch.empty(mark, dtype=torch.uint8)
        if before:
            x = before(x)
        loss = step.forward(x, targets)
        step.backward(loss)
        del loss
        step.rule.step()
    found = sorted(
        (event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"),
        key=lambda event: event.start_ns(),
    )
    at = next(n for n, event in enumerate(found) if event.nbytes() == begin.nbytes)
    live = [sum(event.nbytes() for event in found[:at])]
    for event in found[at + 1 :]:
        live.append(live[-1] + event.nbytes())
    return max(live)


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
def test_the_estimate_is_what_torchs_profiler_sees(model: Any, method: Any, batch: int, within: float) -> None:
    if isinstance(model, str):
        model = Timm(model, weights="random", image_size=64)
    task: Any = NAMES if model is BERT else DIGITS
    run = Run(task, model, method, Training(batch_size=batch, precision="fp32"), seed=0)
    found = forecast(run)
    assert found.peak == pytest.approx(measured(run), rel=within)


def test_scratch_space_is_named_on_a_cpu_and_is_none_of_cudas() -> None:
    model = Timm("resnet18", weights="random", image_size=64)
    run = Run(DIGITS, model, CONV, Training(batch_size=4, precision="fp32"), seed=0)
    here, there = (forecast(run, device=device).memory.phases for device in ("cpu", "cuda"))
    assert here["forward"].breakdown["scratch"] > 0
    assert all(moment.breakdown["scratch"] == 0 for moment in there.values())
