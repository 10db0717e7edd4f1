"""How much rank does LoRA need, and what do other methods reach at the same tuning budget?

`laptop` is what a visitor runs: few ranks and samples, meant for half an hour on two cores. What follows was measured
before, by a larger declaration under protocol 1 (records in results/rank-sweep/laptop), on an AMD EPYC with two cores,
two runs at once with a thread each. Six trials a method for the learning rate, on one tuning seed; LoRA on q and v,
tuned at r = 8, its rate shared under alpha/r. Means over three fresh seeds; differences paired by seed, 95 % intervals,
not corrected for their number. Every number below is a query on the records (studies/statements.py).

- Pictures (ELPV, 400 training photos of 56 px, DINOv2-S/14), top-1: full fine-tuning .822, LoRA r=32 .819, LoRA r=16
  .815, AdaptFormer .815, Pfeiffer adapter .812, LoRA r=8 .812, LoRA r=1 .812, LoRA r=4 .810, LoRA r=64 .809, LoRA r=2
  .809, Houlsby adapter .801, linear probe .798, feature LoRA r=8 .794, BitFit .789. Significantly above full
  fine-tuning: none; below: linear probe and BitFit.
- Text (Rotten Tomatoes, 1,200 snippets, MiniLM-L6), top-1: full fine-tuning .797, LoRA r=4 .794, Houlsby adapter .792,
  LoRA r=16 .788, LoRA r=32 .785, Pfeiffer adapter .784, LoRA r=8 .783, LoRA r=64 .780, LoRA r=2 .780, BitFit .775,
  AdaptFormer .774, LoRA r=1 .772, feature LoRA r=8 .742, linear probe .741. Significantly above full fine-tuning: none;
  below: linear probe, feature LoRA r=8, LoRA r=1 and LoRA r=64.
- TF-IDF with logistic regression reaches .675 on the same 1,200 texts and .771 on all 7,842.
- Boxes (62 tiles at 126 px, DINOv2-S/14 under FCOS), box AP: LoRA r=64 .029, LoRA r=8 .028, full fine-tuning .025,
  AdaptFormer .024, LoRA r=1 .016, linear probe .008. Significantly above full fine-tuning: none; below: linear probe.

Seeds scatter by .007 on pictures, .021 on text and .004 on boxes within a configuration. In 28 of 42, 29 of 42 and 11
of 18 runs the last epoch was the best: speed is compared as much as reach.

What this cannot tell: whether r = 1 and r = 64 differ (the intervals hold 0 and several points on either side);
anything of r between 1 and 8 on boxes; how good a rate is that was chosen on 200 or 400 samples, or 16 tiles, of one
seed. Seconds are not to be compared where other work ran beside: the page says how many runs had to wait.

One data set a family: a first signal, not a ranking. `full` is not measured yet.
"""

from __future__ import annotations

from typing import Any

from bench.methods import AdaptFormer, BitFit, FeatureLoRA, FullFineTuning, Houlsby, LinearProbe, LoRA, Method, Pfeiffer
from bench.models import HuggingFace, Timm
from bench.sites import ALL, CONV
from bench.study import Study, tuning
from bench.study import night as tuned
from bench.tasks import Detection, Images, Task, Text
from bench.training import Training

NAME = "rank-sweep"
QUESTION = "How much rank does LoRA need, and what do other methods reach?"
RANKS = (1, 2, 4, 8, 16, 32, 64)
OTHERS = (BitFit(), Houlsby(width=64), Pfeiffer(width=64), AdaptFormer(width=64), FeatureLoRA(rank=8, depth=1))
LORAS = tuple(LoRA(rank=rank, at=("q", "v")) for rank in RANKS)
METHODS = (LinearProbe(), FullFineTuning(), *LORAS, *OTHERS)
FEW = (LinearProbe(), FullFineTuning(), LoRA(rank=1), LoRA(rank=8), OTHERS[0], OTHERS[1], OTHERS[-1])
THIN = (LinearProbe(), FullFineTuning(), *(lora for lora in LORAS if lora.rank in (1, 8, 64)), AdaptFormer(width=64))
LAPTOP = (
    LinearProbe(), FullFineTuning(), *(lora for lora in LORAS if lora.rank in (1, 4, 16, 64)), LoRA(rank=8, at=ALL),
    BitFit(), Pfeiffer(width=64),
)  # fmt: skip
THINNEST = (LinearProbe(), FullFineTuning(), LoRA(rank=8, at=ALL))
SHARED = {"rank": 8}


BOTH = (
    *(LoRA(rank=rank, at=("q", "v")) for rank in (1, 8, 64)),
    *(LoRA(rank=rank, at=ALL) for rank in (1, 14, 64)),
)
"""Of r = 1 to 64 on q and v, and on all linear layers. Parameters are matched: q and v at r = 64, and all layers at
r = 14, train about as many as Houlsby's adapters of width 64."""
NIGHT = (LinearProbe(), FullFineTuning(), *BOTH, *OTHERS[:-1])
SHORT = (LinearProbe(), FullFineTuning(), LoRA(rank=1), LoRA(rank=8), LoRA(rank=64))
ON_CNN = (LinearProbe(), FullFineTuning(), *(LoRA(rank=rank, at=CONV) for rank in (1, 8)))


def study(scale: str) -> tuple[Study, ...]:
    """LoRA at every rank, between linear probe and full fine-tuning, beside the other methods."""
    return overnight() if scale == "overnight" else (images(scale), text(scale), detection(scale))


def overnight() -> tuple[Study, ...]:
    """Two placements of LoRA on one task of texts and one of pictures; fewer methods on more tasks and networks.

    Tasks and epochs are those that the pilot's criterion gave (studies/pilot.py), on as many training samples as there.
    """
    vit, cnn = Timm("vit_small_patch14_dinov2", image_size=56), Timm("tf_efficientnet_lite0", image_size=96)
    minilm, bge = (HuggingFace(name, max_length=64, dropout=0.0) for name in ("minilm-l6", "bge-small"))
    wide = Timm("vit_small_patch14_dinov2", image_size=126)
    films = Text("rotten-tomatoes", train=400, val=400)
    mails, tweets = Text("spam-subjects", train=400, val=400), Text("tweets", train=400, val=400, test=2000)
    groups = Text("20-newsgroups", train=400, val=400, test=2000)
    digits, faces = Images("mnist-5k", train=400, val=400), Images("orl-faces")
    clothes, shifted = (Images(name, train=400, val=400, test=2000) for name in ("fashion-mnist", "digits-shift"))
    boxes = Detection("tree-crowns"), Detection("composited-mnist", train=100, val=25)
    short, long = (Training(epochs=epochs, batch_size=16) for epochs in (5, 10))
    pictures = Training(epochs=16)
    return (
        night(films, model=minilm, training=short, methods=NIGHT),
        night(mails, tweets, groups, model=minilm, training=long, methods=SHORT),
        night(mails, tweets, model=bge, training=Training(epochs=3, batch_size=16), methods=SHORT),
        night(digits, model=vit, training=pictures, methods=NIGHT),
        night(faces, clothes, model=vit, training=pictures, methods=SHORT),
        night(shifted, model=vit, training=Training(epochs=8), methods=SHORT),
        night(digits, clothes, model=cnn, training=Training(epochs=8), methods=ON_CNN, of="CNN"),
        night(*boxes, model=wide, training=Training(epochs=12, batch_size=8), methods=THIN),
    )


def night(*tasks: Task, model: Any, training: Training, methods: tuple[Method, ...], of: str = "") -> Study:
    """One part of `overnight`: LoRA is tuned at rank 8 for each placement, every method by bracketing (`Tune`).

    Args:
        tasks, model, training, methods: of the part.
        of: which ranges of learning rates (`night_rates`); by default the family's.
    """
    return Study(
        name=NAME,
        question=QUESTION,
        tasks=tasks,
        models=(model,),
        methods=methods,
        training=training,
        tune=tuned(of or tasks[0].family, methods, share=SHARED),
    )


def images(scale: str) -> Study:
    """Pictures through a vision transformer."""
    match scale:
        case "smoke":
            task = Images("digits", train=100, val=50, test=100)
            model = Timm("test_vit", weights="random", image_size=32)
            return part(scale, task, model=model, training=Training(epochs=2))
        case "laptop":
            task = Images("elpv", train=240, val=120, test=800)
            model = Timm("vit_small_patch14_dinov2", image_size=56)
            return part(scale, task, model=model, training=Training(epochs=4), methods=LAPTOP)
        case _:
            tasks = (Images("elpv"), Images("mnist-5k"), Images("orl-faces"))
            model = Timm("vit_small_patch14_dinov2", image_size=224)
            return part(scale, *tasks, model=model, training=Training(epochs=20))


def text(scale: str) -> Study:
    """Sentences and documents through a BERT.

    Without dropout: a frozen backbone has none, so full fine-tuning alone would be regularised by it. The pictures'
    network has none either.
    """
    match scale:
        case "smoke":
            task = Text("unicode-names", train=100, val=50, test=100)
            model = HuggingFace("test-bert", weights="random")
            return part(scale, task, model=model, training=Training(epochs=2))
        case "laptop":
            task = Text("rotten-tomatoes", train=600, val=300, test=1000)
            model = HuggingFace("minilm-l6", max_length=64, dropout=0.0)
            return part(scale, task, model=model, training=Training(epochs=2, batch_size=16), methods=LAPTOP)
        case _:
            tasks = (Text("rotten-tomatoes", train=6000, val=1000), Text("20-newsgroups"), Text("tweets"))
            model = HuggingFace("minilm-l6", max_length=256, dropout=0.0)
            return part(scale, *tasks, model=model, training=Training(epochs=5))


def detection(scale: str) -> Study:
    """Boxes through a vision transformer: FCOS on a simple pyramid.

    A run on two CPU cores takes longer than one on pictures or text, so `laptop` has one LoRA between linear probe and
    full fine-tuning, tiles at two fifths of their resolution and four epochs: it shows how a detector is tuned, and
    compares how fast methods learn as much as how far.
    """
    match scale:
        case "smoke":
            task = Detection("composited-digits", train=16, val=8, test=8)
            model = Timm("test_vit", weights="random", image_size=64)
            return part(scale, task, model=model, training=Training(epochs=2, batch_size=4), methods=THIN)
        case "laptop":
            model = Timm("vit_small_patch14_dinov2", image_size=98)
            training, trees = Training(epochs=4, batch_size=4), Detection("tree-crowns")
            return part(scale, trees, model=model, training=training, methods=THINNEST, trials=2)
        case _:
            tasks = (Detection("tree-crowns"), Detection("composited-mnist"))
            model = Timm("vit_small_patch14_dinov2", image_size=252)
            return part(scale, *tasks, model=model, training=Training(epochs=40, batch_size=8))


def part(
    scale: str,
    *tasks: Task,
    model: Any,
    training: Training,
    methods: tuple[Method, ...] | None = None,
    trials: int = 3,
) -> Study:
    """One family of the study. What all families share, methods and tuning, is said here.

    Below `full`, LoRA is tuned at rank 8 and its values are shared over the ranks. At `laptop`, runs with the default
    values, which tell what tuning gains, are left to the study of the learning rate.
    """
    methods = methods or (FEW if scale == "smoke" else METHODS)
    own: dict[str, Any] = {"untuned": 0, "trials": trials} if scale == "laptop" else {}
    tune = tuning(scale) if scale == "full" else tuning(scale, share=SHARED, **own)
    return Study(
        name=NAME,
        question=QUESTION,
        tasks=tasks,
        models=(model,),
        methods=methods,
        training=training,
        tune=tune,
    )
