"""Does LoRA's best learning rate stay put over rank, and is it ten times that of full fine-tuning?

With the scaling alpha/rank one hopes to tune LoRA at one rank and keep the rate at every other (Hu et al. 2021, section
4.1, arXiv:2106.09685), and LoRA's best rate is said to be about ten times that of full fine-tuning (Schulman and
Thinking Machines Lab 2025, "LoRA Without Regret"). Here every rank is tuned by itself, on a grid of half a decade, on
three families; alpha is 16 throughout, nothing is pruned, so that the whole basin is seen.

`laptop`, AMD EPYC with two cores, two runs at once, a thread each (protocol 1; records in
results/learning-rate/laptop). Rates by mean validation score over two tuning seeds, in steps of half a decade; then
three fresh seeds. Every number below is a query on the records (studies/statements.py).

- Chosen on pictures (ELPV, 200 photos, DINOv2-S/14, 56 px, four epochs): LoRA r=1 0.0031, LoRA r=8 0.0031, LoRA r=64
  0.0031, full fine-tuning 3.1e-05.
- On text (Rotten Tomatoes, 600 snippets, MiniLM-L6, two epochs): LoRA r=1 0.0031, LoRA r=8 0.0031, LoRA r=64 0.0031,
  full fine-tuning 0.00031.
- On boxes (tree crowns, 62 tiles, DINOv2-S/14 under FCOS, six epochs): LoRA r=1 0.00098, LoRA r=64 0.00098, full
  fine-tuning 9.6e-06.
- On test with these rates, pictures: full fine-tuning .787, LoRA r=64 .785, LoRA r=8 .784, LoRA r=1 .730. Significantly
  above full fine-tuning: none; below: none.
- Text, on test: full fine-tuning .766, LoRA r=8 .757, LoRA r=64 .754, LoRA r=1 .738. Significantly above full
  fine-tuning: none; below: LoRA r=1.
- Boxes, box AP on test: LoRA r=64 .030, full fine-tuning .030, LoRA r=1 .028. Significantly above full fine-tuning:
  none; below: none.

LoRA's best rate on the grid is the same at every rank that was tried, and 100, 10 and 102 times full fine-tuning's.
Neighbouring rates may be as good: the figure shows every trial. Two tuning seeds choose, and what they choose may be
chance: on pictures, r = 1 with the rate chosen for it has the lowest mean on test.

One data set a family. `full` is not measured yet.
"""

from __future__ import annotations

from typing import Any

from bench.methods import FullFineTuning, LoRA
from bench.models import HuggingFace, Timm
from bench.space import Range
from bench.study import Study, grid
from bench.tasks import Detection, Images, Task, Text
from bench.training import Training

NAME = "learning-rate"
QUESTION = "Does LoRA's best learning rate stay put over rank, and is it ten times that of full fine-tuning?"
SPACES = {
    "FullFineTuning": {"lr": Range(3e-6, 1e-3, log=True, default=3e-5)},
    "LoRA": {"lr": Range(1e-4, 3e-2, log=True, default=1e-3)},
}
FINER: dict[str, dict[str, Any]] = {
    "laptop": {"trials": 6, "seeds": (1000, 1001)},
    "overnight": {"trials": 7, "seeds": tuple(range(1000, 1008)), "untuned": 0},
    "full": {"trials": 11, "seeds": (1000, 1001, 1002)},
}
"""Steps of half and of a quarter decade; more tuning seeds than the scale's own, eight at `overnight`."""
NIGHT = {
    "FullFineTuning": {"lr": Range(3e-6, 3e-3, log=True, default=3e-5)},
    "LoRA": {"lr": Range(1e-4, 1e-1, log=True, default=1e-3)},
}
"""Three decades each: full fine-tuning's optimum on text lay near the end of the narrower range."""
RANKS = {"smoke": (1, 8), "laptop": (1, 8, 64), "overnight": (1, 64), "full": (1, 4, 16, 64)}


def study(scale: str) -> tuple[Study, ...]:
    """Full fine-tuning and LoRA on q and v at several ranks, each on a grid of rates of its own."""
    if scale == "overnight":  # a night of boxes would take as long as the two others together
        return images(scale), text(scale)
    return images(scale), text(scale), detection(scale)


def images(scale: str) -> Study:
    """Pictures through a vision transformer."""
    match scale:
        case "smoke":
            task = Images("digits", train=100, val=50, test=100)
            model = Timm("test_vit", weights="random", image_size=32)
            return part(scale, task, model=model, training=Training(epochs=1))
        case "laptop":
            task = Images("elpv", train=200, val=400)
            model = Timm("vit_small_patch14_dinov2", image_size=56)
            return part(scale, task, model=model, training=Training(epochs=4))
        case "overnight":
            model = Timm("vit_small_patch14_dinov2", image_size=56)
            return part(scale, Images("orl-faces"), model=model, training=Training(epochs=16))
        case _:
            tasks = (Images("elpv"), Images("mnist-5k"))
            model = Timm("vit_small_patch14_dinov2", image_size=224)
            return part(scale, *tasks, model=model, training=Training(epochs=20))


def text(scale: str) -> Study:
    """Sentences through a BERT without dropout."""
    match scale:
        case "smoke":
            task = Text("unicode-names", train=100, val=50, test=100)
            model = HuggingFace("test-bert", weights="random")
            return part(scale, task, model=model, training=Training(epochs=1))
        case "laptop":
            task = Text("rotten-tomatoes", train=600, val=800, test=1000)
            model = HuggingFace("minilm-l6", max_length=64, dropout=0.0)
            return part(scale, task, model=model, training=Training(epochs=2, batch_size=16))
        case "overnight":
            task = Text("rotten-tomatoes", train=400, val=400)
            model = HuggingFace("minilm-l6", max_length=64, dropout=0.0)
            return part(scale, task, model=model, training=Training(epochs=5, batch_size=16))
        case _:
            tasks = (Text("rotten-tomatoes", train=6000, val=1000), Text("20-newsgroups"))
            model = HuggingFace("minilm-l6", max_length=256, dropout=0.0)
            return part(scale, *tasks, model=model, training=Training(epochs=5))


def detection(scale: str) -> Study:
    """Boxes through a vision transformer; two ranks on a CPU, where a run takes longer."""
    match scale:
        case "smoke":
            task = Detection("composited-digits", train=16, val=8, test=8)
            model = Timm("test_vit", weights="random", image_size=64)
            return part(scale, task, model=model, training=Training(epochs=1, batch_size=4))
        case "laptop":
            model = Timm("vit_small_patch14_dinov2", image_size=126)
            training = Training(epochs=6, batch_size=4)
            return part(scale, Detection("tree-crowns"), model=model, training=training, ranks=(1, 64))
        case _:
            tasks = (Detection("tree-crowns"), Detection("composited-mnist"))
            model = Timm("vit_small_patch14_dinov2", image_size=252)
            return part(scale, *tasks, model=model, training=Training(epochs=40, batch_size=8))


def part(scale: str, *tasks: Task, model: Any, training: Training, ranks: tuple[int, ...] = ()) -> Study:
    """One family of the study. What all families share, grids and methods, is said here."""
    return Study(
        name=NAME,
        question=QUESTION,
        tasks=tasks,
        models=(model,),
        methods=(FullFineTuning(), *(LoRA(rank=rank, at=("q", "v")) for rank in ranks or RANKS[scale])),
        training=training,
        tune=grid(scale, **FINER.get(scale, {}), spaces=NIGHT if scale == "overnight" else SPACES),
    )
