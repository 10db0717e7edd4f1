"""What to try on data of one's own: backbone, candidates, and how large a comparison a budget of seconds buys."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench import assets
from bench.errors import BadInput
from bench.methods import AdaptFormer, BitFit, FullFineTuning, LinearProbe, LoRA, Method, Pfeiffer
from bench.models import HuggingFace, Timm, resolve
from bench.sites import ALL, CONV
from bench.study.plan import Row, hours_minutes, trainable
from bench.study.speed import Speed
from bench.study.study import Cell, Study
from bench.study.tune import Tune
from bench.tasks import Task
from bench.training.recipe import Training

BACKBONES: Mapping[str, tuple[str, ...]] = {
    "images": ("vit_small_patch14_dinov2", "tf_efficientnet_lite0", "mobilenetv2_100"),
    "text": ("minilm-l6", "bge-small", "paraphrase-l3"),
    "detection": ("vit_small_patch14_dinov2", "tf_efficientnet_lite0"),
}
"""By family, the best first: of those whose weights are here the first is taken, else the first is fetched."""
CANDIDATES: tuple[tuple[Method, ...], ...] = (
    (LinearProbe(),),
    (LoRA(rank=8, at=("q", "v")), LoRA(rank=8, at=CONV, blocks=-2)),
    (LoRA(rank=8, at=ALL), LoRA(rank=8, at=CONV)),
    (AdaptFormer(width=64), Pfeiffer(width=64), BitFit()),
    (FullFineTuning(),),
)
"""Of each row the first that fits the network: probe, LoRA at two placements, an adapter, all of it."""
BATCH = {"images": 32, "text": 16, "detection": 4}
LEFT = 0.7
"""Share of the budget that is planned for: the rest is for starting, drawing, and steps that take longer than timed."""
PRUNED = 0.5
"""Share of a trial that is paid for after the first, on average, with successive halving."""
TOKENS = 1.5
"""A word's, about."""
TUNING_SEED = 1000
LONG = 1000
"""Steps of training beyond which no comparison goes."""


Sizes = tuple[int, int, int]
"""Samples of train, validation and test."""


@dataclass(frozen=True)
class Size:
    """How large a comparison is.

    Args:
        image_size: pixels; None for the network's own, and of texts.
        train: samples to learn from; None for all.
        steps: of training, about.
        trials: of each method's learning rate.
        seeds: final ones.
    """

    image_size: int | None
    train: int | None
    steps: int
    trials: int
    seeds: int


def backbone(task: Task, wanted: str | None) -> tuple[Any, str]:
    """The model asked for, or the best whose weights are here; and why.

    Raises:
        BadInput: no such model, or one of another family.
    """
    if wanted:
        model = resolve(wanted)
        if task.family not in model.families:
            raise BadInput(f"--model {wanted}: it takes {' and '.join(model.families)}, not {task.family}")
        return model, "as asked for"
    made = [HuggingFace(name) if task.family == "text" else Timm(name) for name in BACKBONES[task.family]]
    there = next((model for model in made if model.asset and assets.status(model.asset).cached), None)
    if there is not None:
        return there, "its weights are here"
    return made[0], "its weights are fetched now"


def candidates(task: Task, model: Any) -> tuple[list[Method], list[str]]:
    """What is compared on a network, and what of it does not fit, each with the reason.

    Raises:
        BadInput: nothing fits.
    """
    kept, left = list[Method](), list[str]()
    for row in CANDIDATES:
        why = ""
        for method in row:
            try:
                trainable(Cell(task, model, method))
            except BadInput as error:
                why = why or f"{method!r}: {error}"
                continue
            kept.append(method)
            break
        else:
            left.append(why)
    if not kept:
        raise BadInput(f"{model!r}: none of the methods fits: {left[0]}")
    return kept, left


def image_sizes(task: Task, model: Any, device: str) -> tuple[int | None, ...]:
    """The sizes that pictures may be given, the smallest first; on a GPU, or where one was asked for, only that."""
    if task.family == "text" or not isinstance(model, Timm) or model.image_size or device != "cpu":
        return (getattr(model, "image_size", None),)
    patch = re.search(r"patch(\d+)", model.name)
    each = int(patch[1]) if patch else 32
    times: tuple[int, ...] = (4, 7, 11, 16) if patch else (3, 4, 5, 7)
    if task.family == "detection":
        times = (9, 12, 16) if patch else (4, 6, 8)
    return tuple(each * n for n in times)


def sized(model: Any, task: Any, image_size: int | None) -> Any:
    """The model at a picture's size; of texts, at as many tokens as 19 of 20 texts have."""
    if task.family != "text":
        return replace(model, image_size=image_size) if image_size and isinstance(model, Timm) else model
    if not isinstance(model, HuggingFace) or model.max_length:
        return model
    pool = task.pool()
    texts = [pool.read(int(i)) for i in pool.development[:: max(1, len(pool.development) // 500)]]
    words = sorted(len(" ".join(text if isinstance(text, tuple) else (text,)).split()) for text in texts)
    tokens = TOKENS * words[int(0.95 * (len(words) - 1))] + 2
    return replace(model, max_length=next((n for n in (32, 64, 128) if tokens <= n), 256))


def cut(whole: Sizes, train: int | None) -> Sizes:
    """Samples of each part on fewer training samples, with no more than pays to choose by and to test on.

    Args:
        whole: of the task as given.
        train: to learn from; None for all.
    """
    everything, val, test = whole
    if train is None or train >= everything:
        return whole
    return train, min(val, max(100, train // 3)), min(test, max(1000, 2 * train))


def study(name: str, task: Any, model: Any, methods: Sequence[Method], size: Size) -> Study:
    """The comparison of one size: equal trials of the learning rate, halved by seconds; then fresh seeds."""
    whole = task.sizes()
    train, val, test = parts = cut(whole, size.train)
    if parts != whole:
        task = replace(task, train=train, val=val, test=test if test < whole[2] else task.test)
    return Study(
        name=name,
        question=f"Which method for {task.name}?",
        tasks=(task,),
        models=(sized(model, task, size.image_size),),
        methods=tuple(methods),
        training=training(task.family, parts, size),
        seeds=tuple(range(size.seeds)),
        tune=Tune(trials=size.trials, pruner="halving", over=("lr",), seeds=(TUNING_SEED,), untuned=False),
    )


def training(family: str, parts: Sizes, size: Size) -> Training:
    """As many epochs as come near the steps."""
    batch = min(BATCH[family], max(4, parts[0] // 8))
    epochs = round(size.steps / math.ceil(parts[0] / batch))
    return Training(epochs=max(2, min(30, epochs)), batch_size=batch)


def seconds(family: str, whole: Sizes, size: Size, speeds: Iterable[Speed], *, slower: float, jobs: int) -> float:
    """Estimated time of a comparison, and of a learning curve over data behind it.

    Args:
        family: of the task.
        whole: sizes of its parts.
        size: of the comparison.
        speeds: of each method, at another size.
        slower: by how much a step takes longer here.
        jobs: runs at once.
    """
    parts, total, most = cut(whole, size.train), 0.0, 0.0
    for known in speeds:
        speed = replace(
            known, step=known.step * slower, forward=known.forward * slower, sizes=parts,
            training=training(family, parts, size),
        )  # fmt: skip
        trials = 1 + PRUNED * (size.trials - 1)
        total += trials * speed.run(test=False) + size.seeds * speed.run(test=True)
        most = max(most, speed.run(test=True))
    return (total + min(3, size.seeds) * most) / jobs


def smallest(whole: Sizes, classes: int, sizes: Sequence[int | None]) -> Size:
    """Where the search for a size begins: at full batches, so that a larger one has the same steps."""
    least = max(8 * BATCH["images"], 2 * classes)
    return Size(sizes[0], least if least < whole[0] else None, 60, 2, 2)


def larger(size: Size, whole: Sizes, sizes: Sequence[int | None]) -> Iterator[Size]:
    """What may grow next, the most useful first."""
    at, last = sizes.index(size.image_size), len(sizes) - 1
    doubled = 2 * size.train if size.train is not None and 2 * size.train < whole[0] else None
    longer, crisper = {"steps": size.steps * 3 // 2}, {"image_size": sizes[min(at + 1, last)]}
    wishes: tuple[tuple[bool, dict[str, Any]], ...] = (
        (size.seeds < 3, {"seeds": 3}),
        (size.steps < 120, longer),
        (size.train is not None and size.train < 1000, {"train": doubled}),
        (size.trials < 4, {"trials": size.trials + 1}),
        (size.steps < 240, longer),
        (size.seeds < 5, {"seeds": size.seeds + 1}),
        (at < min(1, last), crisper),
        (size.train is not None, {"train": doubled}),
        (at < min(2, last), crisper),
        (size.steps < LONG, longer),
        (size.steps >= 240 and size.trials < 8, {"trials": size.trials + 2}),
        (at < last, crisper),
    )
    return (replace(size, **change) for wanted, change in wishes if wanted)


@dataclass(frozen=True)
class Bought:
    """What a budget buys.

    Args:
        size: of the comparison.
        seconds: that it is estimated to take.
    """

    size: Size
    seconds: float


def bought(
    task: Any, rows: Sequence[Row], start: Size, *, sizes: Sequence[int | None], budget: float, jobs: int,
    timed_at: int | None = None,
) -> Bought:  # fmt: skip
    """The largest comparison within a budget: what is most useful grows first, for as long as it fits.

    Args:
        task: as given.
        rows: of a plan that was timed.
        start: the smallest comparison.
        sizes: that pictures may have.
        budget: seconds.
        jobs: runs at once.
        timed_at: of the sizes; the first without.

    Raises:
        BadInput: not even the smallest fits: says which budget would.
    """
    speeds, whole = [row.speed for row in rows if row.speed is not None], task.sizes()
    base = timed_at or sizes[0]

    def needs(size: Size) -> float:
        slower = (size.image_size / base) ** 2 if size.image_size and base else 1.0
        return seconds(task.family, whole, size, speeds, slower=slower, jobs=jobs)

    if (least := needs(start)) > LEFT * budget:
        raise BadInput(
            f"a budget of {hours_minutes(budget)} is too small: the smallest comparison of {len(speeds)} methods "
            f"({start.trials} trials and {start.seeds} seeds each, about {start.steps} steps) takes about "
            f"{hours_minutes(least)} here; --budget {math.ceil(least / LEFT / 60)}m would do"
        )
    size = start
    while True:
        following = next((more for more in larger(size, whole, sizes) if needs(more) <= LEFT * budget), None)
        if following is None:
            return Bought(size, needs(size))
        size = following
