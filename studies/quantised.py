"""What does LoRA lose, and what memory does it save, on a frozen base in bf16, int8 or nf4?

Not measured yet. QLoRA (Dettmers et al. 2023, arXiv:2305.14314) reports that 4 bits lose nothing on language models of
7 to 65 billion parameters; small networks, as here at `laptop`, may lose more. The base is an option of the model, so
that every other part of a run is the same; the memory is that of the whole training step. Reduced weights are unpacked
for every product: time is not what is saved.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench.methods import LoRA
from bench.models import HuggingFace, Timm
from bench.study import Study, grid
from bench.tasks import Images, Task, Text
from bench.training import Training

NAME = "quantised"
QUESTION = "What does LoRA lose, and what memory does it save, on a base in bf16, int8 or nf4?"
SCALES = ("smoke", "laptop", "full")
BASES = ("fp32", "bf16", "int8", "nf4")


def study(scale: str) -> tuple[Study, ...]:
    """A vision transformer and a BERT, each with its weights stored in four ways."""
    return images(scale), text(scale)


def images(scale: str) -> Study:
    """Pictures."""
    match scale:
        case "smoke":
            task, model = Images("digits", train=40, val=20, test=40), Timm("test_vit", weights="random", image_size=32)
            return part(scale, task, model=model, training=Training(epochs=1, epoch_steps=3))
        case "laptop":
            task = Images("mnist-5k", train=200, val=100, test=1000)
            model = Timm("vit_small_patch14_dinov2", image_size=42)
            training = Training(epochs=4, epoch_steps=25, batch_size=16, precision="fp32")
            return part(scale, task, model=model, training=training)
        case _:
            task, model = Images("elpv", train=1400, val=200), Timm("vit_small_patch14_dinov2", image_size=224)
            return part(scale, task, model=model, training=Training(epochs=20))


def text(scale: str) -> Study:
    """Sentences."""
    match scale:
        case "smoke":
            task, model = Text("unicode-names", train=40, val=20, test=40), HuggingFace("test-bert", weights="random")
            return part(scale, task, model=model, training=Training(epochs=1, epoch_steps=3))
        case "laptop":
            task = Text("rotten-tomatoes", train=400, val=400, test=1000)
            model = HuggingFace("minilm-l6", max_length=32, dropout=0.0)
            training = Training(epochs=4, epoch_steps=25, batch_size=8, precision="fp32")
            return part(scale, task, model=model, training=training, seeds=(1000, 1001))
        case _:
            task = Text("rotten-tomatoes", train=7000, val=400)
            model = HuggingFace("minilm-l6", max_length=256, dropout=0.0)
            return part(scale, task, model=model, training=Training(epochs=10))


def part(scale: str, task: Task, *, model: Any, training: Training, seeds: tuple[int, ...] = (1000,)) -> Study:
    """One family of the study: what both share is said here.

    At `laptop` texts have two tuning `seeds` and 400 samples to choose by: with one and 100, a thousandth of the loss
    decided on another rate for int8 and nf4 than for fp32 and bf16, and so on ten points of accuracy.
    """
    return Study(
        name=NAME,
        question=QUESTION,
        tasks=(task,),
        models=tuple(replace(model, base=base) for base in BASES),
        methods=(LoRA(rank=8),),
        training=training,
        tune=grid(scale, trials=3, seeds=seeds, untuned=0) if scale == "laptop" else grid(scale),
    )
