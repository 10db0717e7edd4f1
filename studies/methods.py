"""Which method is best, when all that people compare are tuned alike, and what does each of them cost?

Every method of the suite, on pictures, texts and boxes: one configuration each, the default one; the same number of
trials, epochs and seeds for all. The page ranks them by score, says which differences are significant, and has
parameters, memory and time of a training step, checkpoint and latency beside. What a network has no place for is left
out, with the reason, when the study is planned: prompts before patches in a BERT, say. Boxes are marked by a CNN, whose
convolutions take what sits on q and v elsewhere.

`laptop`, measured on an AMD EPYC with two cores, a thread a run, two runs at once (protocol 2, fp32; records in
results/methods/laptop): three rates a decade apart on one tuning seed, 100 steps of 16 pictures, 8 texts or 4 tiles,
three fresh seeds, 1,000 test samples (28 tiles of boxes). Every number below is a query on the records
(studies/statements.py).

- Pictures (MNIST-5k, 200 digits of 42 px, DINOv2-S/14), top-1: LoHa r=4 .869, full fine-tuning .846, LoRA + BitFit
  .846, LoKr r=8 .844, AdaLoRA r=8 .841, DoRA r=8 .839, LoRA r=8 .836, PiSSA r=8 .833, LayerNorm tuning .831, Houlsby
  adapter .830, LoRA+ r=8 .826, FacT r=16 .826, SSF .825, AdaptFormer .825, Convpass .802, OFT .801, last blocks .792,
  Pfeiffer adapter .791, BitFit .787, (IA)³ .781, LoRA-FA r=8 .769, VeRA r=256 .765, VPT .717, linear probe .701,
  feature LoRA r=8 .653. Significantly above full fine-tuning: none; below: linear probe, feature LoRA r=8, VeRA r=256,
  (IA)³, BitFit, LoRA-FA r=8, SSF, OFT, Pfeiffer adapter and last blocks.
- Texts (Rotten Tomatoes, 400 snippets, MiniLM-L6), top-1: LoHa r=4 .742, LoRA + BitFit .730, Houlsby adapter .729, full
  fine-tuning .718, LayerNorm tuning .718, SSF .716, LoRA+ r=8 .714, LoRA r=8 .712, DoRA r=8 .712, OFT .711, AdaptFormer
  .709, BitFit .702, LoRA-FA r=8 .700, VeRA r=256 .696, PiSSA r=8 .686, AdaLoRA r=8 .678, (IA)³ .678, prefix tuning
  .663, FacT r=16 .661, Pfeiffer adapter .657, feature LoRA r=8 .635, last blocks .605, linear probe .598, LoKr r=8
  .594, prompt tuning .584. Significantly above full fine-tuning: LoHa r=4; below: linear probe, feature LoRA r=8, LoKr
  r=8, prompt tuning, PiSSA r=8, AdaLoRA r=8 and last blocks.
- Boxes (62 tiles at 96 px, EfficientNet-Lite0 under FCOS), box AP: full fine-tuning .031, feature LoRA r=8 .030, LoRA +
  BitFit .028, (IA)³ .027, AdaLoRA r=8 .027, DoRA r=8 .027, LoRA+ r=8 .027, LoRA r=8 .027, SSF .026, LoKr r=8 .026,
  AdaptFormer .026, linear probe .025, Houlsby adapter .025, BitFit .024, conv adapter .024, PiSSA r=8 .023, LoRA-FA r=8
  .023, Pfeiffer adapter .022, LoHa r=4 .022, last blocks .022. Significantly above full fine-tuning: none; below: none.
- Seeds scatter by .031 on pictures, .038 on texts and .004 on boxes within a configuration. In 54 of 75, 44 of 75 and
  43 of 60 runs the last epoch was the best: speed is compared as much as reach.
- The chosen rate lay at an end of its grid for 8 of 25 configurations on pictures, 14 of 25 configurations on texts and
  12 of 20 configurations on boxes (that of full fine-tuning on boxes): better ones may lie outside.

The best was picked after looking, and of so many intervals one in twenty leaves 0 out by chance. No method is
significantly better than full fine-tuning in more than one family; that none is better is not shown. Three seeds, a
grid of three rates and one tuning seed with 100 samples to choose by are little. How little, a first try showed, whose
records were not kept: full fine-tuning chose the low end of its usual range on pictures, and half of the methods seemed
significantly better than it; with a range around that end (`WHOLE` below) none is. Other methods that chose an end may
gain as much.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench.methods import METHODS, Method
from bench.models import HuggingFace, Timm
from bench.sites import CONV
from bench.space import Range
from bench.study import Study, grid
from bench.tasks import Detection, Images, Task, Text
from bench.training import Training

NAME = "methods"
QUESTION = "Which method is best, when all are tuned alike, and what does each of them cost?"
SCALES = ("smoke", "laptop", "full")
ALL = tuple(one() for name, one in METHODS.items() if name != "Peft")  # which is a bridge to another library's
FEW = ("LinearProbe", "FullFineTuning", "LoRA", "VPT")
"""At `smoke`: the last fits pictures alone."""
THIN_RUN = Training(epochs=4, epoch_steps=25, batch_size=16, precision="fp32")
"""At `laptop`: 45 steps of 8 were tried, and most runs were still improving; fp32, so that the families are of one kind
and any processor may add to it. Texts take half of the batch: a step on them costs about as much then."""
WHOLE: dict[str, dict[str, Any]] = {
    "images": {"FullFineTuning": {"lr": Range(1e-6, 1e-4, log=True, default=1e-5)}},
    "text": {"FullFineTuning": {"lr": Range(3e-5, 3e-3, log=True, default=3e-4)}},
    "detection": {"FullFineTuning": {"lr": Range(3e-5, 3e-3, log=True, default=3e-4)}},
}
"""At `laptop`: the range of what all are held against lies around the end, of 3e-6 to 3e-4, that its first grid chose
in each family. Other methods keep theirs: of a method that chose an end, only what is better than this is shown."""
THIN: dict[str, Any] = {"trials": 3, "seeds": (1000,), "untuned": 0}


def study(scale: str) -> tuple[Study, ...]:
    """Every method on a vision transformer, a BERT and a CNN under a detector."""
    return images(scale), text(scale), detection(scale)


def images(scale: str) -> Study:
    """Pictures through a vision transformer."""
    match scale:
        case "smoke":
            task, model = Images("digits", train=40, val=20, test=40), Timm("test_vit", weights="random", image_size=32)
            return part(scale, task, model=model, training=Training(epochs=1, epoch_steps=3))
        case "laptop":
            task = Images("mnist-5k", train=200, val=100, test=1000)
            model = Timm("vit_small_patch14_dinov2", image_size=42)
            return part(scale, task, model=model, training=THIN_RUN)
        case _:
            tasks = Images("elpv"), Images("mnist-5k"), Images("orl-faces")
            model = Timm("vit_small_patch14_dinov2", image_size=224)
            return part(scale, *tasks, model=model, training=Training(epochs=20))


def text(scale: str) -> Study:
    """Sentences and documents through a BERT, without dropout: the frozen network has none either."""
    match scale:
        case "smoke":
            task, model = Text("unicode-names", train=40, val=20, test=40), HuggingFace("test-bert", weights="random")
            return part(scale, task, model=model, training=Training(epochs=1, epoch_steps=3))
        case "laptop":
            task = Text("rotten-tomatoes", train=400, val=100, test=1000)
            model = HuggingFace("minilm-l6", max_length=32, dropout=0.0)
            return part(scale, task, model=model, training=replace(THIN_RUN, batch_size=8))
        case _:
            tasks = Text("rotten-tomatoes", train=6000, val=1000), Text("20-newsgroups"), Text("tweets")
            model = HuggingFace("minilm-l6", max_length=256, dropout=0.0)
            return part(scale, *tasks, model=model, training=Training(epochs=5))


def detection(scale: str) -> Study:
    """Boxes through a CNN under FCOS. What chooses roles takes the convolutions."""
    match scale:
        case "smoke":
            task = Detection("composited-digits", train=8, val=4, test=4)
            model = Timm("test_resnet", weights="random", image_size=64)
            training = Training(epochs=1, epoch_steps=2, batch_size=2)
        case "laptop":
            task = Detection("tree-crowns", head_depth=1)
            model = Timm("tf_efficientnet_lite0", image_size=96)
            training = replace(THIN_RUN, batch_size=4)
        case _:
            task = Detection("tree-crowns")
            model = Timm("tf_efficientnet_lite0", image_size=256)
            training = Training(epochs=40, batch_size=8)
    return part(scale, task, model=model, training=training, at=CONV)


def part(scale: str, *tasks: Task, model: Any, training: Training, at: tuple[str, ...] | None = None) -> Study:
    """One family of the study. What all families share, methods and tuning, is said here.

    At `laptop` three rates a decade apart: both ends and the middle of a method's range, on one tuning seed.
    """
    methods = [one for one in ALL if scale != "smoke" or type(one).__name__ in FEW]
    if at is not None:
        methods = [placed(one, at) for one in methods]
    return Study(
        name=NAME,
        question=QUESTION,
        tasks=tasks,
        models=(model,),
        methods=tuple(methods),
        training=training,
        tune=grid(scale, **THIN, spaces=WHOLE[tasks[0].family]) if scale == "laptop" else grid(scale),
    )


def placed(method: Method, at: tuple[str, ...]) -> Method:
    """A method at other roles, if it chooses any; of several together, each."""
    return method.having({name: at for name in method.config if name.rpartition(".")[2] == "at"})
