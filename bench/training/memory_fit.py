"""What fits into a memory, in what people can change: method, precision of the base, checkpointing, batch, length."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from bench.costs.cuda_rules import CudaRules
from bench.costs.published import MARGIN
from bench.costs.quantised import KINDS
from bench.costs.units import readable
from bench.errors import BadInput
from bench.methods import BitFit, FullFineTuning, LinearProbe, LoRA, Method
from bench.sites import ALL, CONV
from bench.tasks import LanguageModelling, Task
from bench.tasks import resolve as task_of
from bench.training import optimizers
from bench.training.gpu_setup import Setup, would_pack
from bench.training.gpu_step import followed, prepared
from bench.training.memory_forecast import Forecast, forecast
from bench.training.recipe import Training
from bench.training.run import Run

BASES = ("bf16", "int8", "nf4")
CANDIDATES: tuple[Method, ...] = (
    LinearProbe(),
    LoRA(rank=8),
    LoRA(rank=8, at=("qkv",)),
    LoRA(rank=8, at=ALL),
    LoRA(rank=8, at=CONV),
    FullFineTuning(),
)
"""Methods of the table; what a model has no place for is left out."""
USUAL: tuple[tuple[Method, bool], ...] = (
    (FullFineTuning(), False),
    (LoRA(rank=8, at=ALL), False),
    (LoRA(rank=8), False),
    (LoRA(rank=8, at=CONV), False),
    (BitFit(), False),
    (LoRA(rank=8, blocks=-4), False),
    (LoRA(rank=8), True),
    (LoRA(rank=8, at=CONV), True),
    (LinearProbe(), False),
)
"""Methods that are set beside each other where none is named, each with whether its activations are computed again."""
MOST = 2**16
"""Larger batches are not tried."""
LARGEST = 2**20
"""Larger batches of this suite's own training are not tried."""
STEP = 64
"""Tokens to whose multiple lengths are rounded down."""


def usable(limit: int, context: int) -> int:
    """Bytes that tensors may take of a GPU: its memory without CUDA's context, and without `MARGIN` of the rest."""
    return int(max(0, limit - context) * (1 - MARGIN))


def largest(at: Callable[[int], int], limit: int, *, most: int = MOST, second: int = 2) -> int:
    """The largest n ≤ most whose bytes fit; 0 where not even 1 does.

    Memory is the largest of many moments, and each is a constant and a multiple of n: it is convex. So the line through
    two sizes that fit, drawn on, is never above it: what that line gives is the answer if it fits. And the chord
    between one that fits and one that does not is never below it.

    Args:
        at: n → bytes.
        limit: bytes.
        most: largest n to try.
        second: what to try after 1.
    """
    before = fits = (1, at(1))
    if fits[1] > limit:
        return 0
    over, n, drawn_on = (most + 1, math.inf), min(max(second, 2), most), False
    while over[0] - fits[0] > 1:
        tried = (n, at(n))
        if tried[1] > limit:
            over = tried
        elif drawn_on:
            return n
        else:
            before, fits = fits, tried
        drawn_on = over[1] == math.inf
        ends = (before, fits) if drawn_on else (fits, over)
        slope = (ends[1][1] - ends[0][1]) / (ends[1][0] - ends[0][0])
        line = fits[0] + (limit - fits[1]) / slope if slope > 0 else most
        n = int(min(max(fits[0] + 1, math.floor(line)), over[0] - 1))
    return fits[0]


@dataclass(frozen=True)
class Fit:
    """What fits of a method, in one way to carry it out.

    Args:
        method: its specification.
        base: precision of the frozen weights.
        checkpointing: whether blocks are computed again in the backward pass.
        batch: the largest that fits; 0 where none does.
        bytes: that it takes, allocated; where none fits, that one sample would.
        length: most tokens of one text; None where inputs are no texts, 0 where not even the given length fits.
    """

    method: str
    base: str
    checkpointing: bool
    batch: int
    bytes: int
    length: int | None


def cells(
    methods: tuple[Method, ...], *, bases: tuple[str, ...] = BASES, checkpointing: tuple[bool, ...] = (False, True)
) -> list[tuple[Method, str, bool]]:
    """The rows of the table. What trains all weights has none packed; a probe keeps nothing to compute again."""
    return [
        (method, base, again)
        for method in methods
        for base in bases
        for again in checkpointing
        if not (isinstance(method, FullFineTuning) and base in KINDS)
        and not (isinstance(method, LinearProbe) and again and False in checkpointing)
    ]


def fitting(
    model: Any,
    task: Task,
    limit: int,
    *,
    methods: tuple[Method, ...] = CANDIDATES,
    setup: Setup,
    bases: tuple[str, ...] = BASES,
    checkpointing: tuple[bool, ...] = (False, True),
    told: Callable[[str], None] = lambda said: None,
) -> Iterator[Fit]:
    """Row after row of the table of what fits.

    Args:
        model: a specification; of a text model, the length counts.
        task: what is trained; a probe of a language model is a classifier.
        limit: bytes of the GPU.
        methods, bases, checkpointing: of the table; by default methods that do not fit the network are left out.
        setup: the rest.
        told: called with what is tried.

    Raises:
        BadInput: a method that was asked for does not fit the model, or none does.
    """
    model.build(device="meta")  # whether there is such a model, and takes as many tokens
    refused: dict[Method, BadInput] = {}
    for method, base, again in _asked(methods, bases, checkpointing):
        told(f"{method!r}, {base}{', checkpointing' if again else ''}")
        if method in refused:
            continue
        run = Run(_task(method, task), model, method, Training(activation_checkpointing=again), seed=0)
        try:
            yield _fit(run, replace(setup, base=base, adapter="" if base == "fp32" else "fp32"), limit)
        except BadInput as error:
            if methods is not CANDIDATES:
                raise
            refused[method] = error
    if len(refused) == len(methods):
        raise next(iter(refused.values()))


def _asked(
    methods: tuple[Method, ...], bases: tuple[str, ...], checkpointing: tuple[bool, ...]
) -> list[tuple[Method, str, bool]]:
    """The rows; a method that was asked for has one."""
    rows = cells(methods, bases=bases, checkpointing=checkpointing)
    left = [method for method in methods if method not in {row[0] for row in rows}]
    if left and methods is not CANDIDATES:
        raise would_pack(left[0], bases[0])
    return rows


def _task(method: Method, task: Task) -> Task:
    alone = isinstance(method, LinearProbe) and isinstance(task, LanguageModelling)
    return task_of("rotten-tomatoes") if alone else task


def _fit(run: Run, setup: Setup, memory: int) -> Fit:
    limit = usable(memory, setup.context)
    given = getattr(run.model, "max_length", None)
    step = Traced(replace(run, model=replace(run.model, max_length=None)) if given else run, setup)
    batch = largest(lambda n: step.allocated(n, given), limit)
    taken = step.allocated(max(batch, 1), given)
    length = None if given is None else _longest(step, given, limit, batch)
    return Fit(repr(run.method), setup.base, run.training.activation_checkpointing, batch, taken, length)


def _longest(step: Traced, given: int, limit: int, batch: int) -> int:
    """The most tokens of one text that fit, by `STEP`; none where not even the given length does.

    One text takes nearly what as many of the given length take as have its tokens: that is where to look first.
    """
    most = step.backbone.inputs.length
    if not batch or given + STEP > most:
        return given if batch else 0
    lengths = range(given, most + 1, STEP)
    near = int(0.9 * (batch * given - given) / STEP) + 1
    return lengths[largest(lambda n: step.allocated(1, lengths[n - 1]), limit, most=len(lengths), second=near) - 1]


class Traced:
    """One step of a training that has begun, traced over and over: bytes allocated by batch and length.

    As `estimate` finds them; the network is made once, and the optimiser has its state.

    Args:
        run: what is trained; its own batch size is not looked at.
        setup: how.
    """

    def __init__(self, run: Run, setup: Setup) -> None:
        self.run, self.setup = run, setup
        self.backbone, self.network, self.mode = prepared(run, setup)
        trainable = [p for p in self.network.parameters() if p.requires_grad]
        with self.mode:
            self.rule = optimizers.make(setup.optimizer, setup.update, trainable)
            for p in trainable:
                p.grad = torch.zeros_like(p)
            self.rule.step()
            self.rule.zero_grad(set_to_none=True)
        self._known: dict[tuple[int, int | None], int] = {}

    def allocated(self, batch: int, length: int | None = None) -> int:
        """Bytes at the peak of a step of so many samples, of so many tokens each where they are texts."""
        key = (batch, length)
        if key not in self._known:
            gc.collect()
            run = replace(self.run, training=replace(self.run.training, batch_size=batch))
            inputs = self.backbone.inputs if length is None else replace(self.backbone.inputs, length=length)
            backbone = replace(self.backbone, inputs=inputs)
            with self.mode, CudaRules():
                found = followed(run, backbone, self.network, self.setup, self.rule, steps=1)
            self._known[key] = found.allocated
        return self._known[key]


def nothing_fits(rows: list[Fit], limit: int, what: str, context: int) -> BadInput:
    """What to say where no row fits: which needs least, and how much."""
    least = min(rows, key=lambda row: row.bytes)
    need = int(least.bytes / (1 - MARGIN)) + context
    return BadInput(
        f"{readable(limit)} is too little for {what}: the least is {least.method} in {least.base}"
        f"{' with checkpointing' if least.checkpointing else ''}, one sample, which needs {readable(need)}"
    )


def largest_batch(
    run: Run, limit: int, *, of: int = 0, device: str = "cpu", told: Callable[[int], None] = lambda n: None
) -> Forecast:
    """The forecast of the largest batch whose training fits into `limit` bytes.

    Memory grows nearly in a straight line: that through two forecasts names a third, until one fits and the next not.

    Args:
        run: what would be trained; its own batch size is not looked at.
        limit: bytes; `of` so many of the device, where that is what is left of them.
        device: what it would be trained on.
        told: called with every size that is tried.

    Raises:
        BadInput: not even a batch of one fits.
    """

    def at(n: int) -> Forecast:
        told(n)
        gc.collect()
        return forecast(replace(run, training=replace(run.training, batch_size=n)), device=device)

    fits = at(1)
    if fits.peak > limit:
        weights = fits.memory.peak.breakdown["weights"]
        given = f"{readable(of)} (of which {readable(limit)} are left to it)" if of else readable(limit)
        raise BadInput(
            f"{given} is too little for {run.method!r} on {run.model!r}: weights alone take "
            f"{readable(weights)}, training with a batch of 1 {readable(fits.peak)}"
        )
    over: Forecast | None = None
    guess = 8
    while fits.batch < LARGEST and (over is None or over.batch - fits.batch > 1):
        found = at(guess)
        known, fits, over = fits, *((found, over) if found.peak <= limit else (fits, found))
        slope = (found.peak - known.peak) / (found.batch - known.batch) if found.batch != known.batch else 0.0
        line = fits.batch + (limit - fits.peak) / slope if slope > 0 else math.inf
        guess = max(fits.batch + 1, min(math.floor(line), over.batch - 1 if over else fits.batch * 32, LARGEST))
    return fits
