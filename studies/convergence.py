"""How fast do methods learn: score against steps and against seconds, until nothing is gained any more?

Whether a method is better or only quicker are two questions. Here each trains long, at one learning rate near what the
learning-rate study found, on five seeds; validation follows each epoch, and the records hold the steps and the
processor's seconds up to it. At `overnight` all runs are of fp32 and one thread; seconds are compared within a machine.

Not measured yet.
"""

from __future__ import annotations

from typing import Any

from bench.methods import BitFit, FullFineTuning, Houlsby, LinearProbe, LoRA, Method
from bench.models import HuggingFace, Timm
from bench.sites import ALL
from bench.space import Range
from bench.study import Study, Tune
from bench.tasks import Images, Task, Text
from bench.training import Training

NAME = "convergence"
QUESTION = "How fast do methods learn: score against steps and against seconds, until nothing is gained any more?"
METHODS: tuple[Method, ...] = (
    LinearProbe(), FullFineTuning(), LoRA(rank=8), LoRA(rank=8, at=ALL), BitFit(), Houlsby(width=64),
)  # fmt: skip
RATES = {
    "images": {"LinearProbe": 1e-2, "FullFineTuning": 3e-5, "LoRA": 2e-3, "BitFit": 3e-3, "Houlsby": 1e-3},
    "text": {"LinearProbe": 1e-2, "FullFineTuning": 2e-4, "LoRA": 3e-3, "BitFit": 3e-3, "Houlsby": 1e-3},
}
"""By the trials of earlier studies; of what these did not search, the methods' own defaults."""


def study(scale: str) -> tuple[Study, ...]:
    """Six methods on one task of each family, nothing tuned."""
    match scale:
        case "smoke":
            vit, bert = Timm("test_vit", weights="random", image_size=32), HuggingFace("test-bert", weights="random")
            digits, names = (
                Images("digits", train=60, val=30, test=60),
                Text("unicode-names", train=60, val=30, test=60),
            )
            return part(digits, vit, Training(epochs=2)), part(names, bert, Training(epochs=2))
        case "full":
            vit = Timm("vit_small_patch14_dinov2", image_size=224)
            bert = HuggingFace("minilm-l6", max_length=256, dropout=0.0)
            films = Text("rotten-tomatoes", train=6000, val=1000)
            return part(Images("elpv"), vit, Training(epochs=60)), part(films, bert, Training(epochs=20))
        case _:
            night = scale == "overnight"
            size, long = (400, 32) if night else (300, 8)
            vit = Timm("vit_small_patch14_dinov2", image_size=56)
            bert = HuggingFace("minilm-l6", max_length=64, dropout=0.0)
            pictures = Images("mnist-5k" if night else "elpv", train=400, val=size)
            films = Text("rotten-tomatoes", train=400 if night else 800, val=size)
            texts = Training(epochs=long // 2, batch_size=16)
            return part(films, bert, texts), part(pictures, vit, Training(epochs=long))


def part(task: Task, model: Any, training: Training) -> Study:
    """One family. A rate stands as the default of a range of its own."""
    spaces = {
        name: {"lr": Range(rate / 10, rate * 10, log=True, default=rate)} for name, rate in RATES[task.family].items()
    }
    return Study(
        name=NAME, question=QUESTION, tasks=(task,), models=(model,), methods=METHODS, training=training,
        tune=Tune(trials=0, pruner="none", over=("lr",), spaces=spaces),
    )  # fmt: skip
