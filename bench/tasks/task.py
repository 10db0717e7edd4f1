"""What the runner asks of a task. It knows no more than this, so a new family needs no change elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import torch
from torch import Generator, Tensor, nn


class Split(Protocol):
    """A part of the data, in memory.

    `views` is the number of fixed versions of each sample that training draws from (1: as it is; 2: flipped too).
    Because they can be counted, what a frozen network makes of them can be computed once.
    """

    views: int

    def __len__(self) -> int: ...

    def inputs(self, index: Tensor, view: Tensor | None = None) -> Any:
        """What the network is given for samples `index`, each in its `view` (None: as it is). It has `.to(device)`."""
        ...

    def targets(self, index: Tensor, view: Tensor | None = None) -> Any:
        """What the loss and the metrics are given for them. It has `.to(device)`."""
        ...

    def batches(self, size: int, order: Generator) -> list[Tensor]:
        """Indices of the batches of one epoch, in random order: every sample once, `size` of them a batch."""
        ...


def shuffled(n: int, size: int, order: Generator) -> list[Tensor]:
    """`n` samples in random order, in batches of `size`: for splits whose samples all cost the same."""
    return list(torch.randperm(n, generator=order).split(size))


@dataclass(frozen=True)
class Data:
    """The three parts for one seed. `test` is the same for every seed and is never used to choose anything."""

    train: Split
    val: Split
    test: Split
    provenance: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """What a reference reached: metrics of validation and test, and how it was tuned (a record's `tuning`)."""

    metrics: dict[str, dict[str, float]]
    tuning: dict[str, Any]


class Reference(Protocol):
    """A baseline without a network, fitted to a task's own split, that its figures are read against.

    A specification (`bench.spec.Spec`): its text stands in the record.
    """

    @property
    def config(self) -> Mapping[str, Any]:
        """Every field by name."""
        ...

    def label(self, task: Any) -> str:
        """What figures call it."""
        ...

    def evaluate(self, task: Any, *, seed: int) -> Found:
        """Fits it on the training part of `seed`, tunes it on validation, tests it once."""
        ...


class Task(Protocol):
    """What is learned: data, head, loss and metrics. A specification (`bench.spec.Spec`)."""

    family: ClassVar[str]
    """Models of the same family take its inputs."""
    output: ClassVar[str]
    """What its head stands on: "pooled" features (N, width), or "tokens" (N, L, width); `build` is asked for it."""

    @property
    def metric(self) -> str:
        """The one of `metrics` that counts; higher is better."""
        ...

    @property
    def name(self) -> str:
        """Short name for tables and figures."""
        ...

    @property
    def references(self) -> tuple[Reference, ...]:
        """Baselines without a network, if the task has any."""
        ...

    def fingerprint(self) -> str:
        """sha256 of the data, or of what tells whether they changed: a record is of these data or it is redone."""
        ...

    def sizes(self) -> tuple[int, int, int]:
        """Samples of train, validation and test, without decoding any. Raises BadInput where there are too few."""
        ...

    def data(self, inputs: Any, *, seed: int) -> Data:
        """The data as the backbone wants them (`inputs`: its `Backbone.inputs`); the split depends on `seed` alone."""
        ...

    def head(self, width: int) -> nn.Module:
        """A new head on features of that width. It is trained by every method and counted apart."""
        ...

    def loss(self, outputs: Tensor, targets: Any, *, smoothing: float = 0.0) -> Tensor:
        """The training loss, a scalar."""
        ...

    def metrics(self, outputs: Sequence[Tensor], targets: Sequence[Any]) -> dict[str, float]:
        """Named figures over a whole split, given batch by batch: `metric` and "loss" among them."""
        ...


def description(task: Task) -> dict[str, str]:
    """A task as a record names it."""
    return {"spec": repr(task), "name": task.name, "family": task.family, "metric": task.metric}
