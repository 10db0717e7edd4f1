"""How much rank does LoRA need, and how does it compare with its rivals at the same tuning budget?"""

from __future__ import annotations

from bench.methods import AdaptFormer, BitFit, FeatureLoRA, FullFineTuning, Houlsby, LinearProbe, LoRA, Pfeiffer
from bench.models import Timm
from bench.study import Study, Tune
from bench.tasks import Images
from bench.training import Training

NAME = "rank-sweep"
QUESTION = "How much rank does LoRA need, and what do its rivals reach?"
RANKS = (1, 2, 4, 8, 16, 32, 64)
RIVALS = (BitFit(), Houlsby(width=64), Pfeiffer(width=64), AdaptFormer(width=64), FeatureLoRA(rank=8, depth=1))


def study(scale: str) -> Study:
    """LoRA on q and v at every rank, between linear probe and full fine-tuning, beside the other methods."""
    loras = tuple(LoRA(rank=rank, at=("q", "v")) for rank in RANKS)
    methods = (LinearProbe(), FullFineTuning(), *loras, *RIVALS)
    share = {"rank": 8}
    match scale:
        case "smoke":
            return Study(
                name=NAME,
                question=QUESTION,
                tasks=(Images("digits", train=100, val=50, test=100),),
                models=(Timm("test_vit", weights="random", image_size=32),),
                methods=(LinearProbe(), FullFineTuning(), LoRA(rank=1), LoRA(rank=8), *RIVALS),
                training=Training(epochs=2),
                seeds=(0, 1),
                tune=Tune(candidates=2, share=share),
            )
        case "laptop":
            return Study(
                name=NAME,
                question=QUESTION,
                tasks=(Images("elpv", train=400, val=200),),
                models=(Timm("vit_small_patch14_dinov2", image_size=56),),
                methods=methods,
                training=Training(epochs=4),
                tune=Tune(candidates=5, share=share),
            )
        case _:
            return Study(
                name=NAME,
                question=QUESTION,
                tasks=(Images("elpv"), Images("mnist-5k"), Images("orl-faces")),
                models=(Timm("vit_small_patch14_dinov2", image_size=224),),
                methods=methods,
                training=Training(epochs=20),
                seeds=(0, 1, 2, 3, 4),
                tune=Tune(candidates=5, seeds=(1000, 1001)),
            )
