"""Where in the network should LoRA go, if every placement may train equally many parameters?

`laptop`, measured on an AMD EPYC with two cores, a thread a run (records in results/placement/laptop). Four rates a
placement on a grid, one tuning seed; three fresh seeds: means on test. 332 thousand trainable parameters in ViT-S of 12
blocks, 166 thousand in MiniLM of 6, at every placement (MLP 3 % fewer).

- Pictures (ELPV, 400 training photos of 56 px, DINOv2-S/14), accuracy: all linear in the last three blocks .826,
  attention .819, all linear .813, the same in the last six .813, MLP and q+v .812, v .809, q .804, o .803, k .789; full
  fine-tuning .816, probe .786. The last three blocks lie above all linear, the last six, MLP, v, q and k by intervals
  that leave out 0, and take 121 MiB of memory in place of all linear's 217; attention, q+v, o and full fine-tuning do
  not differ significantly from them. With a quarter of the parameters: all linear .815, MLP .811, q+v .807; no
  significant loss.
- Text (Rotten Tomatoes, 1,200 snippets, MiniLM-L6), accuracy: all linear .798, MLP .791, attention .787, all linear in
  the last three blocks .781, v .780, q+v .774, o .767, k .766, q .748; full fine-tuning .798, probe .735. All linear is
  above MLP, the last three blocks, o and k by intervals that leave out 0; the others, full fine-tuning among them, do
  not differ significantly from it.
- Boxes (tree crowns, 62 training tiles, DINOv2-S/14 at 126 px under FCOS), box AP: MLP .033, q+v .031, all linear .030,
  attention .027, all linear in the last six blocks .023; full fine-tuning .026, probe .008. Only the probe
  differs significantly from all linear.

So spreading the parameters over all layers loses to no placement on text and boxes, one role alone is a bad bet on
pictures and text, and the last blocks alone are best on one set and not on the two others. The best was picked after
looking, and of so many intervals one in twenty leaves 0 out by chance.

Seconds are not to be compared from run to run: other work ran beside most of this, and the page says how many runs had
to wait for the processor. Scores and memory do not depend on that.
"""

from __future__ import annotations

from typing import Any

from bench.methods import FullFineTuning, LinearProbe, LoRA, Method
from bench.models import HuggingFace, Timm
from bench.sites import ALL, ATTENTION, MLP
from bench.space import Range
from bench.study import Study, grid
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
    in the last half of the blocks has twice the rank there, one in the last quarter four times.

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
COARSE = ("q+v", "attention", "MLP", "all", "last half")
TINY = (LoRA(rank=2, at=("q", "v")), LoRA(rank=1, at=ATTENTION), LoRA(rank=1, at=MLP))


def study(scale: str) -> tuple[Study, ...]:
    """Rank × placement × depth at two budgets of parameters, between linear probe and full fine-tuning."""
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
    """One family of the study. What all families share, the grid of learning rates, is said here."""
    return Study(
        name=NAME,
        question=QUESTION,
        tasks=tasks,
        models=(model,),
        methods=(LinearProbe(), FullFineTuning(), *loras),
        training=training,
        tune=grid(scale, spaces=SPACES),
    )
