"""What of LoRA matters: how its pairs start, its scale, its rank, dropout, where it stands, whether biases train too?

One factor at a time is changed in LoRA of rank 8 on q and v with alpha = 16, and every change is read as a difference
from that, with its interval:

- The start: A from N(0, 1/r²), peft's "gaussian", in place of Kaiming uniform; A at zero and B random (Hayou et al.
  2024, arXiv:2406.08447); PiSSA, which begins at the largest singular values of the weight (Meng et al. 2024,
  arXiv:2404.02948).
- The rank: 1 and 64 at the rate chosen for 8, under alpha/r, and 64 under alpha/√r at the rate chosen for 8 under
  alpha/√r (Kalajdzievski 2023, arXiv:2312.03732): a scaling is as good as the rate that it carries from rank to rank.
- Dropout of 0.1 on what enters A.
- The place: attention, the MLP, all linear layers, the last half of the blocks; parameters differ there.
- Every bias trained beside.

Not measured yet.
"""

from __future__ import annotations

from typing import Any

from bench.methods import BitFit, LoRA, Method, PiSSA, Together
from bench.models import HuggingFace, Timm
from bench.sites import ALL, ATTENTION, MLP
from bench.study import Study, grid
from bench.tasks import Images, Task, Text
from bench.training import Training

NAME = "initialisation"
QUESTION = "What of LoRA matters: start, scale, rank, dropout, place, biases?"
SCALES = ("smoke", "laptop", "full")
REFERENCE = LoRA(rank=8)
FEW = (REFERENCE, LoRA(rank=8, start="B"), LoRA(rank=16, rank_stabilised=True), Together(REFERENCE, BitFit()))


def changed(blocks: int) -> tuple[Method, ...]:
    """The reference, and what differs from it in one thing.

    Args:
        blocks: of the network, of which the last half is one of the places.
    """
    return (
        REFERENCE,
        LoRA(rank=8, start="normal"),
        LoRA(rank=8, start="B"),
        PiSSA(rank=8),
        LoRA(rank=1),
        LoRA(rank=64),
        LoRA(rank=8, rank_stabilised=True),
        LoRA(rank=64, rank_stabilised=True),
        LoRA(rank=8, dropout=0.1),
        LoRA(rank=8, at=ATTENTION),
        LoRA(rank=8, at=MLP),
        LoRA(rank=8, at=ALL),
        LoRA(rank=8, blocks=-(blocks // 2)),
        Together(REFERENCE, BitFit()),
    )


def study(scale: str) -> tuple[Study, ...]:
    """Each change of one factor, on a vision transformer and on a BERT."""
    return images(scale), text(scale)


def images(scale: str) -> Study:
    """Pictures through a vision transformer."""
    match scale:
        case "smoke":
            task, model = Images("digits", train=40, val=20, test=40), Timm("test_vit", weights="random", image_size=32)
            return part(scale, task, model=model, training=Training(epochs=1, epoch_steps=3), methods=FEW)
        case "laptop":
            task = Images("mnist-5k", train=200, val=100, test=1000)
            model = Timm("vit_small_patch14_dinov2", image_size=42)
            training = Training(epochs=4, epoch_steps=25, batch_size=16, precision="fp32")
            return part(scale, task, model=model, training=training, methods=changed(12))
        case _:
            tasks = Images("elpv"), Images("mnist-5k"), Images("orl-faces")
            model = Timm("vit_small_patch14_dinov2", image_size=224)
            return part(scale, *tasks, model=model, training=Training(epochs=20), methods=changed(12))


def text(scale: str) -> Study:
    """Sentences and documents through a BERT, without dropout but that of LoRA's own branch."""
    match scale:
        case "smoke":
            task, model = Text("unicode-names", train=40, val=20, test=40), HuggingFace("test-bert", weights="random")
            return part(scale, task, model=model, training=Training(epochs=1, epoch_steps=3), methods=FEW)
        case "laptop":
            task = Text("rotten-tomatoes", train=400, val=200, test=1000)
            model = HuggingFace("minilm-l6", max_length=32, dropout=0.0)
            training = Training(epochs=4, epoch_steps=25, batch_size=8, precision="fp32")
            return part(scale, task, model=model, training=training, methods=changed(6))
        case _:
            tasks = Text("rotten-tomatoes", train=6000, val=1000), Text("20-newsgroups"), Text("tweets")
            model = HuggingFace("minilm-l6", max_length=256, dropout=0.0)
            return part(scale, *tasks, model=model, training=Training(epochs=5), methods=changed(6))


def part(scale: str, *tasks: Task, model: Any, training: Training, methods: tuple[Method, ...]) -> Study:
    """One family of the study. What both share is said here: rates are chosen at rank 8, and shared over the ranks."""
    thin: dict[str, Any] = {"trials": 3, "seeds": (1000,), "untuned": 0} if scale == "laptop" else {}
    return Study(
        name=NAME,
        question=QUESTION,
        tasks=tasks,
        models=(model,),
        methods=methods,
        training=training,
        tune=grid(scale, share={"rank": 8}, **thin),
    )
