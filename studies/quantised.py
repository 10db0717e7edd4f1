"""What does LoRA lose, and what memory does it save, on a frozen base in bf16, int8 or nf4?

QLoRA (Dettmers et al. 2023, arXiv:2305.14314) reports that 4 bits lose nothing on language models of 7 to 65 billion
parameters; small networks, as here at `laptop`, may lose more. The base is an option of the model, so that every other
part of a run is the same; the memory is that of the whole training step. Reduced weights are unpacked for every
product: time is not what is saved.

`laptop`, measured on an AMD EPYC with two cores, a thread a run, two runs at once (protocol 2, fp32; records in
results/quantised/laptop): three rates a decade apart on one tuning seed, of texts two, 100 steps of 16 pictures or 8
texts, three fresh seeds, 1,000 test samples of MNIST-5k and Rotten Tomatoes. Every number below is a query on the
records (studies/statements.py); differences are means over seeds with 95 % intervals, memory is estimated for the step.

- Pictures, top-1: .836 on fp32; more than that, in points: bf16 −1.1 (−4.6 to +2.4), int8 −0.3 (−0.6 to +0.1) and nf4
  +0.4 (−2.6 to +3.5). Memory of training, of the 116 MiB on fp32: bf16 67 %, int8 49 % and nf4 41 %.
- Texts, top-1: .701 on fp32; more than that, in points: bf16 +0.0 (−0.1 to +0.1), int8 +0.1 (−0.1 to +0.2) and nf4 −1.7
  (−3.5 to +0.1). Memory of training, of the 115 MiB on fp32: bf16 63 %, int8 75 % and nf4 71 %.

On texts int8 and nf4 take more than bf16, as only the layers' matrices are packed and MiniLM's embeddings, half of its
weights, stay in fp32. No base is significantly worse than fp32 here; where an interval reaches beyond a point of loss,
that it is as good is not shown. Two small networks, three seeds and one method decide nothing about large language
models.
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
    decided on another rate for int8 and nf4 than for fp32 and bf16, which accuracy on test followed.
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
