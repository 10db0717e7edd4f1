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

`laptop`, measured on an AMD EPYC with two cores, a thread a run, two runs at once (protocol 2, fp32; records in
results/initialisation/laptop): three rates a decade apart on one tuning seed, shared over the ranks; 100 steps of 16
pictures or 8 texts, three fresh seeds, 1,000 test samples. Every number below is a query on the records
(studies/statements.py); differences are means over seeds with 95 % intervals.

- Pictures (MNIST-5k, 200 digits of 42 px, DINOv2-S/14), top-1: LoRA r=8 q+v .836; more than that, in points: LoRA r=64
  rank stabilised q+v +4.4 (+0.6 to +8.2), LoRA r=8 all linear +3.4 (−0.4 to +7.2), LoRA r=8 MLP +2.7 (−5.2 to +10.7),
  LoRA r=8 q+v start normal +2.6 (+1.4 to +3.7), LoRA r=8 attention +2.2 (−0.7 to +5.2), LoRA r=8 q+v start B +1.3 (+0.5
  to +2.1), LoRA r=8 rank stabilised q+v +1.0 (−6.9 to +8.9), LoRA + BitFit +0.9 (−2.7 to +4.5), LoRA r=64 q+v +0.8
  (−0.4 to +1.9), LoRA r=8 dropout 0.1 q+v +0.0 (−1.7 to +1.7), PiSSA r=8 −0.4 (−3.8 to +3.1), LoRA r=8 q+v last 6
  blocks −1.8 (−3.8 to +0.1), LoRA r=1 q+v −3.1 (−6.2 to −0.0). Significantly above it: LoRA r=8 q+v start B, LoRA r=8
  q+v start normal and LoRA r=64 rank stabilised q+v; below: LoRA r=1 q+v.
- Texts (Rotten Tomatoes, 400 snippets, MiniLM-L6), top-1: LoRA r=8 q+v .690; more than that, in points: LoRA r=8 all
  linear +4.9 (−11.3 to +21.2), LoRA r=8 MLP +4.4 (−9.8 to +18.6), LoRA r=64 rank stabilised q+v +4.3 (−10.4 to +18.9),
  LoRA r=8 q+v start B +3.4 (−12.5 to +19.2), LoRA r=8 attention +3.4 (−5.5 to +12.3), LoRA r=8 rank stabilised q+v +3.4
  (−7.4 to +14.1), LoRA r=8 q+v start normal +2.0 (−9.9 to +13.8), LoRA + BitFit +1.3 (−5.6 to +8.2), LoRA r=64 q+v −0.7
  (−3.3 to +1.9), LoRA r=8 dropout 0.1 q+v −0.9 (−3.2 to +1.5), LoRA r=1 q+v −2.0 (−4.6 to +0.6), PiSSA r=8 −3.1 (−7.4
  to +1.2), LoRA r=8 q+v last 3 blocks −4.6 (−10.3 to +1.2). Significantly above it: none; below: none.
- Seeds scatter by .017 on pictures and .048 on texts within a configuration. In 33 of 42 and 28 of 42 runs the last
  epoch was the best: speed is compared as much as reach.
- No chosen rate lies at an end of its grid.

So on pictures r = 64 under alpha/√r is better than the reference, under alpha/r that is not shown; a rank of one costs;
and both other starts of A and B were somewhat better than the usual one. On texts, where seeds scatter farther, nothing
is shown either way. Of so many intervals one in twenty leaves 0 out by chance, three seeds are few, and places differ
in parameters too.
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
