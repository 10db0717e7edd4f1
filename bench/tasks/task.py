"""What the runner asks of a task. It knows no more than this, so a new family needs no change elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn


class Split(Protocol):
    """A part of the data, in memory.

    `views` is the number of fixed versions of each sample that training draws from (1: as it is; 2: flipped too).
    Because they can be counted, what a frozen network makes of them can be computed once.
    """

    views: int

    def __len__(self) -> int: ...

    def inputs(self, index: Tensor, view: Tensor | None = None) -> Any:
        """What the network is given for samples `index`, each in its `view` (None: as it is)."""
        ...

    def targets(self, index: Tensor, view: Tensor | None = None) -> Any:
        """What the loss and the metrics are given for them."""
        ...


@dataclass(frozen=True)
class Data:
    """The three parts for one seed. `test` is the same for every seed and is never used to choose anything."""

    train: Split
    val: Split
    test: Split
    provenance: dict[str, Any] = field(default_factory=dict)


class Task(Protocol):
    """What is learned: data, head, loss and metrics. A specification (`bench.spec.Spec`)."""

    family: ClassVar[str]
    metric: ClassVar[str]

    @property
    def name(self) -> str:
        """Short name for tables and figures."""
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

    def metrics(self, outputs: Tensor, targets: Any) -> dict[str, float]:
        """Named figures over a whole split; `metric` names the one that counts (higher is better), "loss" is in it."""
        ...
