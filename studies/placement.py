"""Where in the network should LoRA go, if every placement may train equally many parameters?

`laptop`, measured on an AMD EPYC with two cores, a thread a run (protocol 1; records in results/placement/laptop). Four
rates a placement on a grid, one tuning seed; three fresh seeds: means on test. 332 thousand trainable parameters in
ViT-S of 12 blocks, 166 thousand in MiniLM of 6, at every placement (MLP slightly fewer); on pictures three placements
with a quarter of that too (r = 1 and 2, and q+v at r = 5). Every number below is a query on the records
(studies/statements.py).

- Pictures (ELPV, 400 training photos of 56 px, DINOv2-S/14), accuracy: LoRA r=16 all linear last 3 blocks .826, LoRA
  r=9 attention .819, full fine-tuning .816, LoRA r=1 all linear .815, LoRA r=8 all linear last 6 blocks .813, LoRA r=4
  all linear .813, LoRA r=7 MLP .812, LoRA r=18 q+v .812, LoRA r=2 MLP .811, LoRA r=36 v .809, LoRA r=5 q+v .807, LoRA
  r=36 q .804, LoRA r=36 o .803, LoRA r=36 k .789, linear probe .786. Significantly below the best mean: linear probe,
  LoRA r=1 all linear, LoRA r=5 q+v, LoRA r=7 MLP, LoRA r=36 k, LoRA r=36 q, LoRA r=36 v, LoRA r=4 all linear and LoRA
  r=8 all linear last 6 blocks.
- Text (Rotten Tomatoes, 1,200 snippets, MiniLM-L6), accuracy: full fine-tuning .798, LoRA r=4 all linear .798, LoRA r=7
  MLP .791, LoRA r=9 attention .787, LoRA r=8 all linear last 3 blocks .781, LoRA r=36 v .780, LoRA r=18 q+v .774, LoRA
  r=36 o .767, LoRA r=36 k .766, LoRA r=36 q .748, linear probe .735. Significantly below the best mean: LoRA r=36 k and
  LoRA r=36 q.
- Boxes (tree crowns, 62 training tiles, DINOv2-S/14 at 126 px under FCOS), box AP: LoRA r=7 MLP .033, LoRA r=18 q+v
  .031, LoRA r=4 all linear .030, LoRA r=9 attention .027, full fine-tuning .026, LoRA r=8 all linear last 6 blocks
  .023, linear probe .008. Significantly below the best mean: linear probe and LoRA r=8 all linear last 6 blocks.

The best was picked after looking, and of so many intervals one in twenty leaves 0 out by chance. That a placement is
not significantly below the best does not make it as good: intervals are several points wide.

Seconds are not to be compared from run to run: other work ran beside most of this, and the page says how many runs had
to wait for the processor. Scores and memory do not depend on that.
"""

from __future__ import annotations

from typing import Any

from bench.methods import FullFineTuning, LinearProbe, LoRA, Method
from bench.models import HuggingFace, Timm
from bench.sites import ALL, ATTENTION, MLP
from bench.space import Choice, Range, Space
from bench.study import Study, grid, night_rates
from bench.tasks import Detection, Images, Task, Text
from bench.training import Training

NAME = "placement"
QUESTION = "Where should LoRA go, if every placement trains equally many parameters?"
SPACES = {
    "LoRA": {"lr": Range(3.1623e-4, 1e-2, log=True, default=3.162e-3)},
    "FullFineTuning": {"lr": Range(3e-6, 4e-4, log=True, default=6.325e-5)},
}
"""Around the best rates that the learning-rate study found on the same networks, and below: all linear layers together
want a lower rate than q and v alone."""


def placements(per_block: int, *, width: int, blocks: int) -> dict[str, LoRA]:
    """LoRA at every placement of a transformer with `per_block` trainable parameters a block, or just below.

    A rank costs 2·width on each of q, k, v and o, and 5·width on each layer of an MLP four times as wide. A placement
    in the last half of the blocks has double the rank there, one in the last quarter its fourfold.

    Args:
        per_block: parameters a block, if all blocks are adapted.
        width: d of the network.
        blocks: how many it has.

    Returns:
        By name, those for which the budget pays a rank of at least one.
    """
    places: dict[str, tuple[tuple[str, ...], int]] = {role: ((role,), 2) for role in ATTENTION}
    places |= {"q+v": (("q", "v"), 4), "attention": (ATTENTION, 8), "MLP": (MLP, 10), "all": (ALL, 18)}
    ranks = {name: per_block // (cost * width) for name, (_, cost) in places.items()}
    found = {name: LoRA(rank=ranks[name], at=at) for name, (at, _) in places.items() if ranks[name]}
    for name, share in (("last half", 2), ("last quarter", 4)):
        if ranks["all"] and blocks % share == 0:
            found[name] = LoRA(rank=share * ranks["all"], at=ALL, blocks=-(blocks // share))
    return found


LARGE = placements(27_648, width=384, blocks=12)
SMALL = {name: one for name, one in placements(7_680, width=384, blocks=12).items() if name not in ATTENTION}
LARGE_6 = placements(27_648, width=384, blocks=6)
SMALL_6 = {name: one for name, one in placements(7_680, width=384, blocks=6).items() if name not in ATTENTION}
NIGHT = ("q", "k", "v", "q+v", "attention", "MLP", "all")
ALPHA: dict[str, Space] = {
    "LoRA": {"lr": Range(1e-3, 3.1623e-3, log=True, default=3.162e-3), "alpha": Choice(8.0, 32.0, default=32.0)}
}
"""At `overnight` alpha is tuned beside the rate: with one alpha for all ranks alpha/r would differ ninefold."""
COARSE = ("q+v", "attention", "MLP", "all", "last half")
TINY = (LoRA(rank=2, at=("q", "v")), LoRA(rank=1, at=ATTENTION), LoRA(rank=1, at=MLP))


def study(scale: str) -> tuple[Study, ...]:
    """Rank × placement × depth at two budgets of parameters, between linear probe and full fine-tuning."""
    if scale == "overnight":  # boxes have their night in the rank sweep; these texts need more epochs than others
        mails, (model,) = Text("spam-subjects", train=400, val=400), text(scale).models
        loras = tuple(LARGE_6[name] for name in NIGHT)
        more = part(scale, mails, model=model, training=Training(epochs=10, batch_size=16), loras=loras)
        return text(scale), more, images(scale)
    return images(scale), text(scale), detection(scale)


def images(scale: str) -> Study:
    """Pictures through a vision transformer: roles alone, in pairs and together, at two budgets."""
    match scale:
        case "smoke":
            task = Images("digits", train=60, val=30, test=60)
            model = Timm("test_vit", weights="random", image_size=32)
            return part(scale, task, model=model, training=Training(epochs=1), loras=TINY)
        case "laptop":
            task = Images("elpv", train=400, val=200)
            model = Timm("vit_small_patch14_dinov2", image_size=56)
            few = [SMALL[name] for name in ("q+v", "MLP", "all")]
            return part(scale, task, model=model, training=Training(epochs=4), loras=(*LARGE.values(), *few))
        case "overnight":
            model = Timm("vit_small_patch14_dinov2", image_size=56)
            loras = tuple(LARGE[name] for name in NIGHT)
            return part(scale, Images("orl-faces"), model=model, training=Training(epochs=16), loras=loras)
        case _:
            tasks = (Images("elpv"), Images("mnist-5k"), Images("orl-faces"))
            model = Timm("vit_small_patch14_dinov2", image_size=224)
            loras = (*LARGE.values(), *SMALL.values())
            return part(scale, *tasks, model=model, training=Training(epochs=20), loras=loras)


def text(scale: str) -> Study:
    """Sentences and documents through a BERT of six blocks, without dropout: the frozen network has none either."""
    match scale:
        case "smoke":
            task = Text("unicode-names", train=60, val=30, test=60)
            model = HuggingFace("test-bert", weights="random")
            return part(scale, task, model=model, training=Training(epochs=1), loras=TINY)
        case "laptop":
            task = Text("rotten-tomatoes", train=1200, val=400, test=1500)
            model = HuggingFace("minilm-l6", max_length=64, dropout=0.0)
            training = Training(epochs=2, batch_size=16)
            return part(scale, task, model=model, training=training, loras=tuple(LARGE_6.values()))
        case "overnight":
            task = Text("rotten-tomatoes", train=400, val=400)
            model = HuggingFace("minilm-l6", max_length=64, dropout=0.0)
            loras = tuple(LARGE_6[name] for name in NIGHT)
            return part(scale, task, model=model, training=Training(epochs=5, batch_size=16), loras=loras)
        case _:
            tasks = (Text("rotten-tomatoes", train=6000, val=1000), Text("20-newsgroups"), Text("tweets"))
            model = HuggingFace("minilm-l6", max_length=256, dropout=0.0)
            loras = (*LARGE_6.values(), *SMALL_6.values())
            return part(scale, *tasks, model=model, training=Training(epochs=5), loras=loras)


def detection(scale: str) -> Study:
    """Boxes through a vision transformer under FCOS; the coarse placements alone on a CPU."""
    match scale:
        case "smoke":
            task = Detection("composited-digits", train=16, val=8, test=8)
            model = Timm("test_vit", weights="random", image_size=64)
            return part(scale, task, model=model, training=Training(epochs=1, batch_size=4), loras=TINY)
        case "laptop":
            model = Timm("vit_small_patch14_dinov2", image_size=126)
            loras = tuple(LARGE[name] for name in COARSE)
            training = Training(epochs=6, batch_size=4)
            return part(scale, Detection("tree-crowns"), model=model, training=training, loras=loras)
        case _:
            tasks = (Detection("tree-crowns"), Detection("composited-mnist"))
            model = Timm("vit_small_patch14_dinov2", image_size=252)
            training = Training(epochs=40, batch_size=8)
            return part(scale, *tasks, model=model, training=training, loras=tuple(LARGE.values()))


def part(scale: str, *tasks: Task, model: Any, training: Training, loras: tuple[Method, ...]) -> Study:
    """One family of the study. What all families share, the grid of learning rates, is said here.

    At `overnight` every method has four trials: LoRA two rates with two alphas, the others four rates.
    """
    every = (LinearProbe(), FullFineTuning(), *loras)
    night = night_rates(tasks[0].family, every) | ALPHA if scale == "overnight" else None
    tune = grid(scale, trials=4, over=("lr", "alpha"), spaces=night) if night else grid(scale, spaces=SPACES)
    return Study(
        name=NAME,
        question=QUESTION,
        tasks=tasks,
        models=(model,),
        methods=every,
        training=training,
        tune=tune,
    )
