"""What the runner asks of a task. It knows no more than this, so a new family needs no change elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Generator, Tensor, nn

from bench.records.outcomes import Outcomes
from bench.space import Space


class Split(Protocol):
    """A part of the data, in memory.

    `views` is the number of fixed versions of each sample that training draws from (1: as it is; 2: flipped too).
    Where they are few, what a frozen network makes of them can be computed once; where a view is a random crop or
    scale, its number is the seed.
    `ids` tell samples apart, (n) int64: the place of each in the whole set, whatever the seed. Where several rows are
    one sample (windows of a text), they have the same.
    A split whose samples differ in length says it in `lengths`, (n) int64: what a batch costs hangs on its longest.
    """

    views: int
    ids: np.ndarray

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


def on_cpu(outputs: Tensor) -> Tensor:
    """A batch's outputs as they are kept for metrics where they are a tensor."""
    return outputs.float().cpu()


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


@runtime_checkable
class PerSample(Protocol):
    """A task that tells what became of every sample. One that does not has no such entry in its records."""

    def outcomes(self, outputs: Sequence[Any], targets: Sequence[Any], ids: np.ndarray) -> Outcomes:
        """What became of every sample of the split that `metrics` is given.

        Args:
            outputs, targets: as for `metrics`.
            ids: of the split's rows, in the order of the batches.
        """
        ...


@dataclass(frozen=True)
class Found:
    """What a baseline reached.

    Args:
        metrics: of validation and test.
        tuning: how it was tuned (a record's `tuning`).
        provenance: what else is known of the data (stands in a record's `provenance`).
        outcomes: what became of every sample, of validation and test.
    """

    metrics: dict[str, dict[str, float]]
    tuning: dict[str, Any]
    provenance: dict[str, Any] = field(default_factory=dict)
    outcomes: dict[str, Outcomes] = field(default_factory=dict)

    @staticmethod
    def of(
        task: Any,
        made: Mapping[str, tuple[Tensor, np.ndarray, np.ndarray]],
        tuning: dict[str, Any],
        provenance: dict[str, Any] | None = None,
    ) -> Found:
        """From logits (n, classes), classes (n) and ids (n) of each part: the task's own metrics and outcomes."""
        batches = {part: ([logits], [torch.from_numpy(labels)]) for part, (logits, labels, _) in made.items()}
        metrics = {part: task.metrics(*both) for part, both in batches.items()}
        told = batches if isinstance(task, PerSample) else ()
        outcomes = {part: task.outcomes(*batches[part], made[part][2]) for part in told}
        return Found(metrics, tuning, provenance or {}, outcomes)


class Baseline(Protocol):
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


@dataclass(frozen=True)
class Example:
    """A picture of the test part with what is on it and what was found. Boxes are x1, y1, x2, y2 in its pixels.

    Args:
        title: what the picture is called.
        width, height: in pixels.
        classes: their names.
        true: boxes, each with the index of its class behind it.
        found: boxes, each with class index and score behind it; the highest score first.
        picture: a JPEG.
    """

    title: str
    width: int
    height: int
    classes: tuple[str, ...]
    true: list[list[float]]
    found: list[list[float]]
    picture: bytes


@runtime_checkable
class Searched(Protocol):
    """A task that has search spaces of its own for some methods."""

    spaces: ClassVar[Mapping[str, Space]]
    """By a method's name, ranges in place of those that it declares."""


@runtime_checkable
class Judged(Protocol):
    """A task whose hyper-parameters are chosen by another metric than its headline one, unless a study says which."""

    judged_by: ClassVar[str]
    """"loss" (minimised) where it is a likelihood or an error of single samples."""


@runtime_checkable
class Shows(Protocol):
    """A task that can show what was found."""

    def examples(self, outputs: Sequence[Any], targets: Sequence[Any]) -> list[Example]:
        """A few pictures of the split that `metrics` is given, the same for every run."""
        ...


@runtime_checkable
class Corruptible(Protocol):
    """A task whose samples can be made worse, to see what a network does where data shift."""

    @property
    def corruptions(self) -> tuple[str, ...]:
        """Their names; each has severities 1 to 5."""
        ...

    def corrupted(self, split: Any, inputs: Any, index: Tensor, name: str, severity: int) -> Split:
        """Samples `index` of a split (made for `inputs`) at one severity of one corruption; at 0 as they are."""
        ...


class Task(Protocol):
    """What is learned: data, head, loss and metrics. A specification (`bench.spec.Spec`)."""

    family: ClassVar[str]
    """Models of this family take its inputs."""
    output: ClassVar[str]
    """What its head stands on, which `build` is asked for: "pooled" features (N, width), "tokens" (N, L, width), or
    "maps", a tuple of (N, channels, h, w)."""

    @property
    def metric(self) -> str:
        """The one of `metrics` that counts; higher is better."""
        ...

    @property
    def name(self) -> str:
        """Short name for tables and figures."""
        ...

    @property
    def baselines(self) -> tuple[Baseline, ...]:
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

    def head(self, width: Any) -> nn.Module:
        """A new head on features of that width (`Backbone.width`). Every method trains it; it is counted apart."""
        ...

    def stand_ins(self, inputs: Any) -> Any:
        """Targets for a batch of inputs without any data, on the inputs' device: what costs are measured with."""
        ...

    def loss(self, outputs: Any, targets: Any, *, smoothing: float = 0.0) -> Tensor:
        """The training loss, a scalar. Where it knows no smoothing of labels, the task's `smooths` is False."""
        ...

    def keep(self, outputs: Any, targets: Any) -> Any:
        """What `metrics` needs of a batch's outputs, on the CPU."""
        ...

    def metrics(self, outputs: Sequence[Any], targets: Sequence[Any]) -> dict[str, float]:
        """Named figures over a whole split, given batch by batch (as kept): `metric` and "loss" among them.

        A figure that is not defined on the split (an average over no boxes) is left out.
        """
        ...


def description(task: Task) -> dict[str, str]:
    """A task as a record names it."""
    return {"spec": repr(task), "name": task.name, "family": task.family, "metric": task.metric}
