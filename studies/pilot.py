"""Which tasks can tell fine-tuning methods apart, and how many epochs do they need?

A task on which a linear probe is as good as full fine-tuning can rank nothing. This pilot decides which tasks and which
lengths of training the scale `overnight` uses. It is no evidence about methods: one seed, nothing tuned, few samples.

The criterion, written before the pilot ran (the commit that adds this file is older than its records):

- Each task and network: a linear probe on three seeds, full fine-tuning on the first of them, on DINOv2-S/14 and
  MiniLM-L6 also LoRA (r = 8, all linear layers); one learning rate a method and network, near what the learning-rate
  study found.
- The noise floor of a task is the standard deviation of the probe over its seeds, or the root mean square of these
  deviations over the tasks of that network, whichever is larger: three seeds alone know their scatter poorly. Methods
  are tested on the same samples, so that the finite test part is no part of the floor.
- A task enters if, on one network at least, full fine-tuning (or LoRA, if that is better) is above the probe of the
  same seed by more than three noise floors, and the probe above the majority class by more than three.
- Boxes: the same for box AP, with the frozen backbone in the probe's place and 0 in the majority class's.
- If fewer than four tasks of pictures or of texts enter, those next in floors do, and are called weak.
- Epochs: a task's training is long enough where the last quarter of its epochs raises the best validation score of
  full fine-tuning and of LoRA by less than the floor. Where it is not, `overnight` has twice as many.

Pictures are of 56 px in DINOv2-S/14 and of 96 px in EfficientNet-Lite0, texts are cut to 64 tokens, crowns are seen at
half their resolution. `overnight` and what is larger are the same here.

What it found (AMD EPYC, two cores, fp32, a thread a run; every number is a query on the records):

- Pictures that enter, with floors above the probe: orl-faces 5.9 on DINOv2-S/14, mnist-5k 5.8 on DINOv2-S/14,
  digits-shift 5.5 on DINOv2-S/14 and fashion-mnist 4.5 on DINOv2-S/14. That do not: textile 1.0 on EfficientNet-Lite0
  and elpv 1.0 on DINOv2-S/14.
- Texts that enter, with floors above the probe: spam-subjects 7.8 on MiniLM-L6, tweets 6.4 on MiniLM-L6,
  rotten-tomatoes 4.1 on MiniLM-L6, 20-newsgroups 4.0 on MiniLM-L6 and reuters-r8 3.8 on MiniLM-L6. That do not:
  clothing 3.1 on MiniLM-L6.
- Boxes that enter, with floors above the probe: composited-mnist 12.1 on DINOv2-S/14. That do not: tree-crowns 7.8 on
  DINOv2-S/14.
- Of the tasks that enter, these gained more than the floor in the last quarter of their epochs, so that `overnight` has
  twice as many: mnist-5k, fashion-mnist and orl-faces on DINOv2-S/14; spam-subjects, tweets, 20-newsgroups and
  reuters-r8 on MiniLM-L6; orl-faces on EfficientNet-Lite0; 20-newsgroups on bge-small. These did not: digits-shift on
  DINOv2-S/14; rotten-tomatoes on MiniLM-L6; mnist-5k, digits-shift and fashion-mnist on EfficientNet-Lite0;
  rotten-tomatoes, spam-subjects, tweets and reuters-r8 on bge-small.
- Boxes, box AP on test: tree-crowns linear probe .011, LoRA r=8 .046 and full fine-tuning .024; composited-mnist linear
  probe .031, LoRA r=8 .083 and full fine-tuning .056.

Crowns fail by the second half of the criterion alone: after twelve epochs at this size the probe finds hardly any.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench.methods import FullFineTuning, LinearProbe, LoRA, Method
from bench.models import HuggingFace, Timm
from bench.sites import ALL
from bench.space import Range
from bench.study import Study, Tune
from bench.tasks import Detection, Images, Task, Text
from bench.training import Training

NAME = "pilot"
QUESTION = "Which tasks can tell fine-tuning methods apart, and how many epochs do they need?"
SEEDS = (0, 1, 2)
FEW: dict[str, Any] = {"train": 400, "val": 200, "test": 1000}
PICTURES = (
    *(Images(name, **FEW) for name in ("elpv", "mnist-5k", "digits-shift", "fashion-mnist")),
    Images("textile", train=400, val=200, test=800),
    Images("orl-faces"),
)
TEXTS = tuple(
    Text(name, **FEW)
    for name in ("rotten-tomatoes", "spam-subjects", "tweets", "clothing", "20-newsgroups", "reuters-r8")
)
BOXES = (Detection("tree-crowns"), Detection("composited-mnist", train=96, val=24, test=48))
ADAPTED = (FullFineTuning(), LoRA(rank=8, at=ALL))


def study(scale: str) -> tuple[Study, ...]:
    """Probe, full fine-tuning and LoRA on every candidate, by network."""
    if scale == "smoke":
        tiny, bert = Timm("test_vit", weights="random", image_size=32), HuggingFace("test-bert", weights="random")
        short = Training(epochs=1)
        return (
            *pair((Images("digits", train=60, val=30, test=60),), tiny, short, full=1e-4, lora=1e-3),
            *pair((Text("unicode-names", train=60, val=30, test=60),), bert, short, full=1e-4, lora=1e-3),
        )
    pictures, texts = Training(epochs=8), Training(epochs=5, batch_size=16)
    vit, cnn = Timm("vit_small_patch14_dinov2", image_size=56), Timm("tf_efficientnet_lite0", image_size=96)
    minilm, bge = (HuggingFace(name, max_length=64, dropout=0.0) for name in ("minilm-l6", "bge-small"))
    wide = Timm("vit_small_patch14_dinov2", image_size=126)
    return (
        *pair(PICTURES, vit, pictures, full=1e-4, lora=1e-3),
        *pair(TEXTS, minilm, texts, full=2e-4, lora=2e-3),
        *pair(PICTURES, cnn, pictures, full=5e-4),
        *pair(TEXTS, bge, replace(texts, epochs=3), full=1e-4),
        *pair(BOXES, wide, Training(epochs=12, batch_size=8), full=3e-5, lora=1e-3),
    )


def pair(
    tasks: tuple[Task, ...], model: Any, training: Training, *, full: float, lora: float | None = None
) -> tuple[Study, Study]:
    """Two parts on one network: the probe on all seeds, and what adapts it on the first.

    Args:
        tasks, model, training: of both parts.
        full, lora: learning rates; without one for LoRA only full fine-tuning runs.
    """
    adapted = ADAPTED if lora is not None else ADAPTED[:1]
    rates = {"FullFineTuning": full} | ({"LoRA": lora} if lora is not None else {})
    return (
        part(tasks, model, (LinearProbe(),), training, SEEDS, {}),
        part(tasks, model, adapted, training, SEEDS[:1], rates),
    )


def part(
    tasks: tuple[Task, ...],
    model: Any,
    methods: tuple[Method, ...],
    training: Training,
    seeds: tuple[int, ...],
    rates: dict[str, float],
) -> Study:
    """One part. Nothing is tuned: a rate stands as the default of a range of its own."""
    spaces = {name: {"lr": Range(rate / 10, rate * 10, log=True, default=rate)} for name, rate in rates.items()}
    tune = Tune(trials=0, pruner="none", over=("lr",), spaces=spaces)
    return Study(
        name=NAME, question=QUESTION, tasks=tasks, models=(model,), methods=methods, training=training,
        seeds=seeds, tune=tune,
    )  # fmt: skip
