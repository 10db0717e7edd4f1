"""Estimates of memory for a CPU against its own allocator, as torch's profiler sees it: many models and methods.

`python -m tests.benchmarks.memory` takes a quarter of an hour; `… resnet` only those with that in their name, `… vit
bf16` in another precision. `make bench` leaves it out. All is small: of a large step the same parts are larger.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from statistics import median
from typing import Any

from tqdm import tqdm

from bench.errors import BadInput
from bench.methods import FullFineTuning, Houlsby, LinearProbe, LoRA
from bench.models import HuggingFace, Timm
from bench.tasks import Images, LanguageModelling, Text
from bench.training.memory_forecast import forecast
from bench.training.recipe import Training
from bench.training.run import Run
from tests.support.profiled_memory import measured

SIZES = {
    "test_vit": (64,), "vit_tiny_patch16_224": (64, 96), "vit_small_patch14_dinov2": (56,),
    "deit_tiny_patch16_224": (64,),
    "resnet26": (64, 96), "resnet18": (64, 96), "mobilenetv2_100": (64, 96), "tf_efficientnet_lite0": (64, 96),
    "convnext_atto": (64, 96), "regnetx_002": (64, 96), "densenet121": (64, 96),
}  # fmt: skip
"""Networks of timm, each with the pixels of a picture's side."""
LENGTHS = {"test-bert": 24, "minilm-l6": 64, "test-llama": 24, "test-gpt2": 24}
"""Networks of texts, each with the tokens of a text."""
TRANSFORMERS = ("vit", "deit", "bert", "minilm", "llama", "gpt2")
WAYS: tuple[dict[str, Any], ...] = (
    {"batch_size": 2}, {"batch_size": 8}, {"batch_size": 8, "activation_checkpointing": True},
    {"batch_size": 8, "accumulate": 2},
)  # fmt: skip


def networks() -> Iterator[tuple[Any, Any]]:
    """Tasks and models."""
    for name, sizes in SIZES.items():
        for size in sizes:
            yield Images("digits"), Timm(name, weights="random", image_size=size)
    for name, length in LENGTHS.items():
        yield Text("unicode-names"), HuggingFace(name, weights="random", max_length=length)
    yield LanguageModelling(), HuggingFace("test-llama", weights="random", max_length=24)


def runs(wanted: str = "", precision: str = "fp32") -> Iterator[Run]:
    """Every network by every method, in every way."""
    for task, model in networks():
        transformer = any(part in model.name for part in TRANSFORMERS)
        at = ("q", "v") if transformer else ("conv",)
        methods = [FullFineTuning(), LoRA(rank=8, at=at)]
        methods += [LinearProbe()] if task.name != "language modelling" else []  # it has no head to train
        methods += [Houlsby()] if transformer else []
        if wanted in model.name:
            for method in methods:
                for way in WAYS:
                    yield Run(task, model, method, Training(precision=precision, **way), seed=0)


def run(wanted: str = "", precision: str = "fp32") -> list[tuple[str, ...]]:
    """Rows: the step, estimated and measured MiB, and the estimate over what was measured."""
    rows, ratios, every = [], [], list(runs(wanted, precision))
    for each in tqdm(every, unit="step", leave=False, disable=None):
        gc.collect()
        try:
            ours, theirs = forecast(each).peak, measured(each)
        except BadInput as error:
            rows.append((named(each), "refused", str(error)[:60]))
            continue
        ratios.append(ours / theirs)
        rows.append((named(each), f"{ours / 2**20:.2f} of {theirs / 2**20:.2f} MiB", f"{ratios[-1]:.4f}"))
    rows.append(("median, lowest, highest", f"{median(ratios):.4f}", f"{min(ratios):.4f} {max(ratios):.4f}"))
    return rows


def named(run: Run) -> str:
    """A step in words."""
    how, size = run.training, getattr(run.model, "image_size", None) or getattr(run.model, "max_length", "")
    parts = f", in {how.accumulate} parts" * (how.accumulate > 1) + ", checkpointing" * how.activation_checkpointing
    return f"{run.model.name} {size}, {run.task.name}, {run.method!r}, batch {how.batch_size}{parts}"


if __name__ == "__main__":
    for row in run(*sys.argv[1:]):
        print(*row, sep=" | ", flush=True)
