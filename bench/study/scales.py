"""What a study pays for at each scale: seeds, tuning, precision. A study says only what it wants otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from bench.errors import unknown
from bench.methods import Method
from bench.space import Range, Space
from bench.study.tune import HEADLINE, Tune

SCALES = ("smoke", "laptop", "overnight", "full")
SEEDS = {"smoke": (0, 1), "laptop": (0, 1, 2), "overnight": (0, 1, 2, 3, 4), "full": (0, 1, 2, 3, 4)}
"""Of the final runs."""
TUNING: dict[str, dict[str, Any]] = {
    "smoke": {"trials": 3},
    # Four trials cannot search three things; what tuning gains is seen on two seeds.
    "laptop": {"trials": 4, "over": ("lr",), "seeds": (1000, 1001), "untuned": 2},
    # Where three points of a grid had the best at an end too often, the search goes on beyond it. The loss, which tells
    # apart more than accuracy, chose rates whose accuracy was lower by points: where a network learns its few samples
    # by heart, its loss rises while its accuracy does too.
    "overnight": {
        **{"trials": 4, "sampler": "bracket", "pruner": "none", "over": ("lr",), "seeds": (1000, 1001), "untuned": 0},
        "on": HEADLINE,
    },
    "full": {"trials": 30, "seeds": (1000, 1001)},
}
"""How every method is tuned."""
GRID = {"smoke": 2, "laptop": 4, "overnight": 3, "full": 5}
"""Points of a grid over the learning rate."""

PRECISION = {"overnight": "fp32"}
"""Of runs whose training leaves it open: what every CPU has, so that nights on several machines add up."""
ONE_THREAD = ("smoke", "overnight")
"""Scales whose runs have one thread on a CPU: layers of a tiny network on several wait for one another, and scores of
many nights must not depend on how many runs went on at once."""

NIGHT_RATES: dict[str, dict[str, float]] = {
    "images": {
        **{"LinearProbe": 1e-2, "FullFineTuning": 1e-5, "LoRA": 1e-3, "BitFit": 3e-3, "LayerNormTuning": 1e-2},
        **{"Houlsby": 1e-3, "Pfeiffer": 3e-3, "AdaptFormer": 3e-3},
    },
    "CNN": {"LinearProbe": 1e-2, "FullFineTuning": 3e-4, "LoRA": 1e-3},
    "text": {
        **{"LinearProbe": 3e-3, "FullFineTuning": 1e-4, "LoRA": 1e-3, "BitFit": 3e-3, "LayerNormTuning": 3e-3},
        **{"Houlsby": 1e-3, "Pfeiffer": 3e-3, "AdaptFormer": 3e-3},
    },
    "detection": {"LinearProbe": 1e-3, "FullFineTuning": 3e-5, "LoRA": 1e-3, "AdaptFormer": 1e-3},
}
"""Learning rates near those that the studies at `laptop` chose; `night_rates` makes ranges of them."""

_declared: ContextVar[str] = ContextVar("scale", default="laptop")


def tuning(scale: str, **differs: Any) -> Tune:
    """The scale's own tuning, with what differs from it: fields of `Tune`."""
    return Tune(**{**TUNING[scale], **differs})


def grid(scale: str, **differs: Any) -> Tune:
    """A grid over the learning rate alone, nothing pruned, on the scale's tuning seeds: the whole basin is seen."""
    told = TUNING[scale].items()
    own = {key: value for key, value in told if key in ("seeds", "on") or (key, value) == ("untuned", 0)}
    return Tune(**{"trials": GRID[scale], "sampler": "grid", "pruner": "none", "over": ("lr",), **own, **differs})


def night_rates(of: str, methods: Iterable[Method]) -> dict[str, Space]:
    """Ranges of the learning rate at `overnight`, by a method's name: a decade on either side of the rate that earlier
    studies chose.

    Args:
        of: "images" (through transformers), "CNN", "text" or "detection".
        methods: that are tuned; of one that no study chose for there, its own range stands.

    Raises:
        BadInput: it is none of these.
    """
    if of not in NIGHT_RATES:
        raise unknown("kind of network", of, NIGHT_RATES)
    return {
        name: {"lr": Range(rate / 10, rate * 10, log=True, default=rate)}
        for name in dict.fromkeys(type(method).__name__ for method in methods)
        if (rate := NIGHT_RATES[of].get(name))
    }


def night(of: str, methods: Iterable[Method], **differs: Any) -> Tune:
    """The tuning of `overnight`: the learning rate of each method in four trials, half a decade apart at first.

    Args:
        of, methods: as of `night_rates`.
        differs: fields of `Tune`.
    """
    return tuning("overnight", spaces=night_rates(of, methods), **differs)


@contextmanager
def declaring(scale: str) -> Iterator[None]:
    """While a study's file declares it for a scale: what it leaves out is then the scale's own."""
    token = _declared.set(scale)
    try:
        yield
    finally:
        _declared.reset(token)


def own_seeds() -> tuple[int, ...]:
    """The final seeds of the scale that is being declared; of laptop, outside a study's file."""
    return SEEDS[_declared.get()]


def own_tuning() -> Tune:
    """The tuning of the scale that is being declared; of laptop, outside a study's file."""
    return tuning(_declared.get())


def own_precision(wanted: str) -> str:
    """A training's precision; where that is "auto", the one of the scale that is being declared."""
    return PRECISION.get(_declared.get(), wanted) if wanted == "auto" else wanted
