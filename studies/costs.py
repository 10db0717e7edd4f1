"""What does a method cost: memory of a training step, its time, latency once it is trained?

Every method on vision transformers of three sizes (memory of a fourth), BERT of two, and a detector on ResNet-50.
Weights and inputs are random and nothing is learned: what a step takes depends on shapes alone. Memory on a GPU (bf16,
batches of 1 to 128) is estimated by counting the step's tensors; time and latency are of the device at hand.

`laptop`: memory estimated, **not measured on a GPU**; time on an AMD EPYC with two cores, both for one run at a time,
in batches of 2 (protocol 1; records in results/costs/laptop; one record a cell). Pictures of 224 px, texts of 128
tokens, boxes at 320 px; LoRA with r = 8 on q and v where nothing else is said. Every number below is a query on the
records (studies/statements.py).

- In batches of 32 LoRA takes 67, 63, 60 and 60 % of full fine-tuning's memory on ViT-S, B, L and H, 57 and 56 % on
  BERT-base and large; on ViT-H 40 % at one sample and 68 % at 128.
- r = 64 takes 2 to 4 % more than r = 1; on all linear layers LoRA takes 88 % of full fine-tuning's on ViT-S and 70 % on
  BERT-large, more than Houlsby's adapters.
- In the last six blocks it takes 38 % on ViT-B (12 blocks) and 22 % on ViT-H (32), in the last two 21 % and 16 %, a
  linear probe 15 % and 14 %.
- On FCOS with a ResNet-50, whose head trains with all methods, LoRA on all convolutions takes 87 %, BitFit 96 % and a
  frozen backbone 35 %.
- A step of LoRA takes 64, 72 and 66 % of a full one's time on ViT-S, B and L, 56 and 46 % on the BERTs, 93 % on the
  detector.
- Unmerged, LoRA on q and v adds 3 to 9 % to the latency of one sample, on all linear layers 7 to 26 %, Houlsby's
  adapters 6 to 22 %; two networks of the very same operations differ by up to 3 %.

Times are medians of few steps: differences of a tenth mean nothing.
"""

from __future__ import annotations

from typing import Any

from bench.methods import AdaptFormer, BitFit, FeatureLoRA, FullFineTuning, Houlsby, LinearProbe, LoRA, Method, Pfeiffer
from bench.models import HuggingFace, Timm, Torchvision
from bench.study import Costs, Study
from bench.tasks import Detection, Images, Task, Text
from bench.training import Training

NAME = "costs"
QUESTION = "What does a method cost: memory of a training step, its time, latency once it is trained?"
BRANCHES = (Houlsby(width=64), Pfeiffer(width=64), AdaptFormer(width=64), FeatureLoRA(rank=8, depth=1))
LORAS = (LoRA(rank=1), LoRA(rank=8), LoRA(rank=64), LoRA(rank=8, at=("q", "k", "v", "o", "up", "down")))
LAST = (LoRA(rank=8, blocks=-6), LoRA(rank=8, blocks=-2))
METHODS = (LinearProbe(), FullFineTuning(), *LORAS, *LAST, BitFit(), *BRANCHES)
ON_CONVOLUTIONS = (LinearProbe(), FullFineTuning(), LoRA(rank=8, at=("conv",)), BitFit(), FeatureLoRA(rank=8, depth=1))
FEW = (LinearProbe(), FullFineTuning(), LoRA(rank=1), LoRA(rank=8), LoRA(rank=8, blocks=-1), BRANCHES[0])


def study(scale: str) -> tuple[Study, ...]:
    """Methods on networks of growing size, in three families."""
    return images(scale), text(scale), detection(scale)


def images(scale: str) -> Study:
    """Pictures of 224 pixels through vision transformers."""
    if scale == "smoke":
        sizes = (Timm("test_vit", weights="random", image_size=32), Timm("test_vit2", weights="random", image_size=32))
        return part(scale, Images("digits"), models=sizes, methods=FEW)
    small, base, large, huge = (
        Timm(name, weights="random", image_size=224)
        for name in ("vit_small_patch16_224", "vit_base_patch16_224", "vit_large_patch16_224", "vit_huge_patch14_224")
    )
    if scale != "full":
        return part(scale, Images("digits"), models=(small, base, large), methods=METHODS, estimated=(huge,))
    return part(scale, Images("digits"), models=(small, base, large, huge), methods=METHODS)


def text(scale: str) -> Study:
    """Texts of 128 tokens through BERT."""
    if scale == "smoke":
        tiny = HuggingFace("test-bert", weights="random")
        return part(scale, Text("unicode-names"), models=(tiny,), methods=FEW)
    sizes = tuple(
        HuggingFace(name, weights="random", max_length=128, dropout=0.0)
        for name in ("bert-base-uncased", "bert-large-uncased")
    )
    return part(scale, Text("unicode-names"), models=sizes, methods=METHODS)


def detection(scale: str) -> Study:
    """Boxes through FCOS on a ResNet-50."""
    if scale == "smoke":
        model = Timm("test_vit", weights="random", image_size=64)
        return part(scale, Detection("composited-digits"), models=(model,), methods=FEW[:3])
    detector = Torchvision("fcos_resnet50_fpn", weights="random", image_size=320)
    return part(scale, Detection("composited-digits"), models=(detector,), methods=ON_CONVOLUTIONS)


def part(
    scale: str, task: Task, *, models: tuple[Any, ...], methods: tuple[Method, ...], estimated: tuple[Any, ...] = ()
) -> Study:
    """One family of the study."""
    batch, steps, batches = {
        "smoke": (2, 3, (1, 4)),
        "laptop": (2, 4, (1, 8, 32, 128)),
        "overnight": (2, 20, (1, 8, 32, 128)),
        "full": (32, 50, (1, 8, 32, 128)),
    }[scale]
    return Study(
        name=NAME,
        question=QUESTION,
        tasks=(task,),
        models=models,
        methods=methods,
        training=Training(batch_size=batch),
        seeds=(0,),
        costs=Costs(steps=steps, batches=batches, estimated=estimated),
    )
