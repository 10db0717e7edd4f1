"""Which method is robust: what accuracy is retained where data shift, and can its probabilities be trusted?

After tuning, as in any study, the test part is measured again (`bench.training.robustness`): under corruptions at five
severities, pictures with noise, blur, less contrast, JPEG and pixels (`bench.tasks.images.corruptions`), texts with
typos and cut short (`bench.tasks.text.corruptions`); calibration (expected calibration error, Brier, cross-entropy)
before and after a temperature fitted to validation (Guo et al. 2017, arXiv:1706.04599); and means of the weights before
and after training, for methods that leave nothing but weights (Wortsman et al. 2021, arXiv:2109.01903). Nothing is
chosen by any of it.

Not measured yet.
"""

from __future__ import annotations

from typing import Any

from bench.methods import BitFit, FullFineTuning, Houlsby, LinearProbe, LoRA, Method
from bench.models import HuggingFace, Timm
from bench.sites import ALL
from bench.study import Study, grid, night
from bench.tasks import Images, Task, Text
from bench.training import Training
from bench.training.shifts import Shifts

NAME = "robustness"
QUESTION = "Which method is robust: what accuracy is retained where data shift, and can its probabilities be trusted?"
METHODS: tuple[Method, ...] = (
    LinearProbe(),
    FullFineTuning(),
    LoRA(rank=8),
    LoRA(rank=8, at=ALL),
    BitFit(),
    Houlsby(width=64),
)
FEW = (LinearProbe(), FullFineTuning(), LoRA(rank=8), Houlsby(width=64))
ASKED = {
    "smoke": Shifts(samples=20, severities=(1, 3, 5), alphas=(0.0, 0.5, 1.0)),
    **dict.fromkeys(("laptop", "overnight"), Shifts(samples=300)),
}
"""How much is measured again; elsewhere the whole test part."""


def study(scale: str) -> tuple[Study, ...]:
    """Six methods, from the linear probe to full fine-tuning, tuned as always."""
    return images(scale), text(scale)


def images(scale: str) -> Study:
    """Pictures through a vision transformer."""
    match scale:
        case "smoke":
            task = Images("digits", train=60, val=30, test=60)
            model = Timm("test_vit", weights="random", image_size=32)
            return part(scale, task, model=model, training=Training(epochs=1))
        case "laptop":
            model = Timm("vit_small_patch14_dinov2", image_size=56)
            task = Images("elpv", train=400, val=200)
            return part(scale, task, model=model, training=Training(epochs=4))
        case "overnight":
            model = Timm("vit_small_patch14_dinov2", image_size=56)
            return part(scale, Images("mnist-5k", train=400, val=200), model=model, training=Training(epochs=16))
        case _:
            model = Timm("vit_small_patch14_dinov2", image_size=224)
            return part(scale, Images("elpv"), Images("mnist-5k"), model=model, training=Training(epochs=20))


def text(scale: str) -> Study:
    """Sentences through a BERT, without dropout: the frozen network has none either."""
    match scale:
        case "smoke":
            task = Text("unicode-names", train=60, val=30, test=60)
            model = HuggingFace("test-bert", weights="random")
            return part(scale, task, model=model, training=Training(epochs=1))
        case "laptop":
            model = HuggingFace("minilm-l6", max_length=64, dropout=0.0)
            task = Text("rotten-tomatoes", train=1200, val=400, test=1500)
            return part(scale, task, model=model, training=Training(epochs=2, batch_size=16))
        case "overnight":
            model = HuggingFace("minilm-l6", max_length=64, dropout=0.0)
            task = Text("rotten-tomatoes", train=400, val=400)
            return part(scale, task, model=model, training=Training(epochs=5, batch_size=16))
        case _:
            model = HuggingFace("minilm-l6", max_length=256, dropout=0.0)
            tasks = (Text("rotten-tomatoes", train=6000, val=1000), Text("20-newsgroups"))
            return part(scale, *tasks, model=model, training=Training(epochs=5))


def part(scale: str, *tasks: Task, model: Any, training: Training) -> Study:
    """One family of the study. What all share, methods, tuning and shifts, is said here."""
    own = {"smoke": FEW, "overnight": METHODS[:4]}.get(scale, METHODS)
    return Study(
        name=NAME,
        question=QUESTION,
        tasks=tasks,
        models=(model,),
        methods=own,
        training=training,
        tune=night(tasks[0].family, own) if scale == "overnight" else grid(scale),
        shifts=ASKED.get(scale, Shifts(samples=0)),
    )
