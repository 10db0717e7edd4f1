"""Estimates for a CPU against its own allocator, as torch's profiler sees it: an independent count."""

from __future__ import annotations

from typing import Any

import pytest

from bench.methods import FullFineTuning, LoRA
from bench.models import HuggingFace, Timm
from bench.tasks import Images, Text
from bench.training.memory_forecast import forecast
from bench.training.method_checks import VIT
from bench.training.recipe import Training
from bench.training.run import Run
from tests.support.profiled_memory import measured

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
