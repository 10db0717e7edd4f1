"""How long a run takes, estimated from a few timed steps on random weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import cycle

import torch
from torch import Tensor

from bench.costs.time import typical_seconds
from bench.models.prefix import frozen_prefix
from bench.study.study import Cell, Study
from bench.tasks import Corruptible, Split
from bench.training.recipe import Training, set_mode
from bench.training.run import Run, ready

OVERHEAD = 2.0
"""Seconds of a run that are neither steps nor evaluation: building the network, loading the data."""
TIMED = 3
"""Batches that steps are timed on."""


@dataclass(frozen=True)
class Speed:
    """Estimated seconds of a cell's runs.

    Args:
        step: a training step, for a whole batch.
        forward: a forward pass without gradient, for a whole batch.
        cached: whether the whole backbone's features are computed once.
        sizes: of train, validation and test, in what goes through the network.
        views: versions of each training sample.
        training: epochs and batch size.
        examined: samples that go through a tested network once more: an old task's, shifted ones.
    """

    step: float
    forward: float
    cached: bool
    sizes: tuple[int, ...]
    views: int
    training: Training
    examined: int = 0

    @staticmethod
    def measure(study: Study, cell: Cell, *, device: str) -> Speed:
        """Times a few steps with random weights on real batches, of the task's usual length."""
        run = Run(cell.task, cell.model.untrained(), cell.method, study.training, seed=study.seeds[0])
        parts = ready(run, device=device)
        network, step = parts.network, parts.step
        data = cell.task.data(parts.backbone.inputs, seed=run.seed)
        split, sizes = data.train, tuple(len(part) for part in (data.train, data.val, data.test))
        batches = typical(split, run.training.batch_size)
        each = cycle([(split.inputs(index).to(device), split.targets(index).to(device)) for index in batches])

        @torch.no_grad()
        def forward() -> None:
            x, targets = next(each)
            with step.autocast():
                cell.task.keep(network(x), targets)

        set_mode(network)
        step_time = typical_seconds(lambda: step(*next(each)), device=device)
        network.eval()
        forward_time = typical_seconds(forward, device=device, warmup=0)  # the steps have warmed up
        prefix = frozen_prefix(parts.backbone)
        cached = prefix is not None and prefix.whole
        return Speed(step_time, forward_time, cached, sizes, split.views, run.training, _examined(study, cell, sizes))

    def run(self, *, test: bool) -> float:
        """Seconds of one run: training and evaluation."""
        train, val, held_out = (math.ceil(n / self.training.batch_size) for n in self.sizes)
        tested = self.forward * (held_out + math.ceil(self.examined / self.training.batch_size)) * test
        if self.cached:
            return OVERHEAD + tested + self.forward * (min(self.views, self.training.epochs) * train + val)
        steps = self.training.epoch_steps or train
        return OVERHEAD + tested + self.training.epochs * (self.step * steps + self.forward * val)


def _examined(study: Study, cell: Cell, sizes: tuple[int, ...]) -> int:
    """Samples that go through a tested network beside the test part, at most."""
    old, task = study.retained.sizes() if study.retained else (0, 0, 0), cell.task
    shifted = 0
    if study.shifts is not None and isinstance(task, Corruptible):
        shifted = study.shifts.passes(corruptions=len(task.corruptions), val=sizes[1], test=sizes[2])
    return old[0] + old[2] + shifted


def typical(split: Split, size: int) -> list[Tensor]:
    """Indices of a few batches of one epoch; where samples differ in length, those padded to nearest the mean batch.

    Batches hold texts of about equal length: the longest take several times as long as most.
    """
    batches = split.batches(size, torch.Generator().manual_seed(0))
    lengths: Tensor | None = getattr(split, "lengths", None)
    if lengths is not None:
        padded = [len(index) * int(lengths[index].max()) for index in batches]
        mean = sum(padded) / len(padded)
        batches = [batches[at] for at in sorted(range(len(batches)), key=lambda at: abs(padded[at] - mean))]
    return batches[:TIMED]
