"""A linear probe whose frozen features are computed once, against one that runs the network in every epoch."""

from __future__ import annotations

import time

from bench.methods import LinearProbe
from bench.models import Timm
from bench.tasks import Images
from bench.training.loop import train
from bench.training.recipe import Training
from bench.training.run import Run

RUN = Run(
    Images("digits", train=200, val=50, test=50, flip=False),
    Timm("vit_small_patch14_dinov2", weights="random", image_size=56),
    LinearProbe(),
    Training(lr=1e-2, epochs=40, precision="fp32"),
    seed=0,
)


def run() -> list[tuple[str, str, str]]:
    """Rows of (what, time, ratio). The whole run counts: features, 40 epochs, validation after each, test."""
    seconds, losses = {}, {}
    for name, cache in (("cached", True), ("uncached", False)):
        start = time.perf_counter()
        outcome = train(RUN, cache=cache)
        seconds[name] = time.perf_counter() - start
        losses[name] = outcome.metrics["test"]["loss"]
    gap = abs(losses["cached"] - losses["uncached"])
    return [
        ("linear probe, 40 epochs: cached", f"{seconds['cached']:.1f} s", ""),
        (
            "linear probe, 40 epochs: uncached",
            f"{seconds['uncached']:.1f} s",
            f"{seconds['uncached'] / seconds['cached']:.1f}×",
        ),
        ("difference of their test losses", "", f"{gap:.1e}"),
    ]
