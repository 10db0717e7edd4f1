"""Which method is best with ten labelled samples a class, and does it stay the best with all of them?

`laptop`, measured on an AMD EPYC with two cores, a thread a run (protocol 1; records in results/low-data/laptop):
pictures alone. DINOv2-S/14 at 56 px, 88 steps of 16 for every method and size, three rates a decade apart, one tuning
seed; means over three fresh seeds on test (the linear probe with 20 photos: two; the third diverged). Every number
below is a query on the records (studies/statements.py).

- MNIST-5k, 100 digits: LoRA r=8 .732, full fine-tuning .710, LayerNorm tuning .704, BitFit .697, Houlsby adapter .682,
  AdaptFormer .675, linear probe .655, Pfeiffer adapter .604, feature LoRA r=8 .602. Significantly above full
  fine-tuning: none; below: linear probe and feature LoRA r=8.
- ELPV, 20 photos: feature LoRA r=8 .744, LayerNorm tuning .738, linear probe .732, BitFit .724, AdaptFormer .724,
  Pfeiffer adapter .724, Houlsby adapter .723, full fine-tuning .722, LoRA r=8 .716. Significantly above full
  fine-tuning: none; below: none.
- ELPV, all 1,400 photos, each seen about once: AdaptFormer .823, Pfeiffer adapter .819, LoRA r=8 .816, LayerNorm tuning
  .811, BitFit .807, Houlsby adapter .800, full fine-tuning .799, feature LoRA r=8 .783, linear probe .778.
  Significantly above full fine-tuning: none; below: none.

With 20 photos and with all, no method differs significantly from full fine-tuning: the order of the means is not known
to be more than chance. A grid with steps of a decade is coarse, and many choices lie on its edge. Text is not measured
at `laptop`. Seconds are not to be compared: other work ran beside most of this; scores and memory do not depend on
that.
"""

from __future__ import annotations

from typing import Any

from bench.methods import (
    AdaptFormer,
    BitFit,
    FeatureLoRA,
    FullFineTuning,
    Houlsby,
    LayerNormTuning,
    LinearProbe,
    LoRA,
    Method,
    Pfeiffer,
)
from bench.models import HuggingFace, Timm
from bench.study import Study, grid, night
from bench.tasks import Images, Task, Text
from bench.training import Training

NAME = "low-data"
QUESTION = "Which method is best with ten labelled samples a class, and is it still with all of them?"
METHODS: tuple[Method, ...] = (
    LinearProbe(),
    FullFineTuning(),
    LoRA(rank=8),
    BitFit(),
    LayerNormTuning(),
    Houlsby(width=64),
    Pfeiffer(width=64),
    AdaptFormer(width=64),
    FeatureLoRA(rank=8, depth=1),
)
NIGHT = METHODS[:5]
FEW = (LinearProbe(), FullFineTuning(), LoRA(rank=8), LayerNormTuning())


def study(scale: str) -> tuple[Study, ...]:
    """Every method family, from ten samples a class to all; every run has the same number of steps."""
    return (images(scale),) if scale == "laptop" else (images(scale), text(scale))


def images(scale: str) -> Study:
    """Pictures through a vision transformer."""
    match scale:
        case "smoke":
            tasks = tuple(Images("digits", train=n, val=30, test=60) for n in (20, 100))
            model = Timm("test_vit", weights="random", image_size=32)
            return part(scale, *tasks, model=model, training=Training(epochs=2, epoch_steps=3))
        case "laptop":
            solar = tuple(Images("elpv", train=n, val=200) for n in (20, 1400))
            tasks = (Images("mnist-5k", train=100, val=200, test=1000), *solar)
            model = Timm("vit_small_patch14_dinov2", image_size=56)
            training = Training(epochs=4, epoch_steps=22, batch_size=16)
            return part(scale, *tasks, model=model, training=training)
        case "overnight":
            digits = tuple(Images("mnist-5k", train=n, val=200) for n in (100, 400, 3800))
            model = Timm("vit_small_patch14_dinov2", image_size=56)
            return part(scale, *digits, model=model, training=Training(epochs=5, epoch_steps=40, batch_size=16))
        case _:
            solar = tuple(Images("elpv", train=n, val=200) for n in (20, 80, 320, 1400))
            digits = tuple(Images("mnist-5k", train=n, val=200) for n in (100, 400, 1600, 3800))
            model = Timm("vit_small_patch14_dinov2", image_size=224)
            training = Training(epochs=20, epoch_steps=50)
            return part(scale, *solar, *digits, model=model, training=training)


def text(scale: str) -> Study:
    """Sentences through a BERT, without dropout: the frozen network has none either."""
    match scale:
        case "smoke":
            tasks = tuple(Text("unicode-names", train=n, val=30, test=60) for n in (20, 100))
            model = HuggingFace("test-bert", weights="random")
            return part(scale, *tasks, model=model, training=Training(epochs=2, epoch_steps=3))
        case "overnight":
            tasks = tuple(Text("rotten-tomatoes", train=n, val=400) for n in (20, 400, 7000))
            model = HuggingFace("minilm-l6", max_length=64, dropout=0.0)
            return part(scale, *tasks, model=model, training=Training(epochs=5, epoch_steps=30, batch_size=16))
        case _:
            tasks = tuple(Text("rotten-tomatoes", train=n, val=400) for n in (20, 200, 2000, 7000))
            model = HuggingFace("minilm-l6", max_length=256, dropout=0.0)
            return part(scale, *tasks, model=model, training=Training(epochs=10, epoch_steps=50))


def part(scale: str, *tasks: Task, model: Any, training: Training) -> Study:
    """One family of the study. What all families share, methods and grids, is said here.

    The grid of `laptop` has three rates a decade apart: the ends and the middle of a method's range.
    """
    own = {"smoke": FEW, "overnight": NIGHT}.get(scale, METHODS)
    more: dict[str, Any] = {"trials": 3} if scale == "laptop" else {}
    return Study(
        name=NAME,
        question=QUESTION,
        tasks=tasks,
        models=(model,),
        methods=own,
        training=training,
        tune=night(tasks[0].family, own) if scale == "overnight" else grid(scale, **more),
    )
