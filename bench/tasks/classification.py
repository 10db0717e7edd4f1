"""What every classification task shares, whatever its samples are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import BadInput
from bench.records.outcomes import Outcomes
from bench.spec import Spec
from bench.tasks.baselines.majority import MajorityClass
from bench.tasks.contract import Baseline, on_cpu
from bench.tasks.data_summary import Understood, of_pool
from bench.tasks.metrics import classification_metrics, classification_outcomes
from bench.tasks.pools import Pool, split


class Classification(Spec):
    """Classes predicted by a linear head, in the low-data protocol. The fields are its subclasses'.

    Train and validation are drawn by the seed, stratified by class; the test part is official, or held out once for
    all seeds.
    """

    family: ClassVar[str]
    metric: ClassVar[str] = "top1"
    judged_by: ClassVar[str] = "loss"
    output: ClassVar[str] = "pooled"
    train: int | None
    val: int | None
    test: int | None

    def pool(self) -> Pool:
        """All samples, read on demand."""
        raise NotImplementedError

    @property
    def classes(self) -> int:
        """Number of classes, known without fetching anything where the set is declared."""
        return self.pool().classes

    @property
    def baselines(self) -> tuple[Baseline, ...]:
        """The majority class; a subclass may add others."""
        return (MajorityClass(),)

    def fingerprint(self) -> str:
        """sha256 of the data, or of what tells whether they changed."""
        return self.pool().sha256

    def sizes(self) -> tuple[int, int, int]:
        """Samples of train, validation and test.

        Raises:
            BadInput: fewer samples than the split needs.
        """
        train, val, test = split(self.pool(), train=self.train, val=self.val, test=self.test, seed=0)
        return len(train), len(val), len(test)

    def understood(self) -> Understood:
        """Sizes and classes of seed 0, and what was done to the data."""
        parts = split(self.pool(), train=self.train, val=self.val, test=self.test, seed=0)
        return of_pool(self.pool(), parts, {"images": "pictures", "text": "texts"}.get(self.family, "samples"))

    @property
    def class_names(self) -> tuple[str, ...]:
        """By index; numbers where they have no names. Of a number to be predicted none."""
        names, classes = self.pool().names, self.classes
        return names or tuple(map(str, range(classes if classes > 1 else 0)))

    def head(self, width: int, classes: int = 0) -> nn.Module:
        """A linear classifier; `classes` where the data need not be there."""
        return nn.Linear(width, classes or self.classes)

    def stand_ins(self, inputs: Any) -> Tensor:
        """The first class for each."""
        tensor = inputs if isinstance(inputs, Tensor) else inputs["input_ids"]
        return torch.zeros(len(tensor), dtype=torch.int64, device=tensor.device)

    def loss(self, outputs: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
        """Cross-entropy. outputs (N, classes), targets (N)."""
        return F.cross_entropy(outputs.float(), targets, label_smoothing=smoothing)

    def keep(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The logits."""
        return on_cpu(outputs)

    def metrics(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> dict[str, float]:
        """As `classification_metrics`."""
        return classification_metrics(torch.cat(list(outputs)), torch.cat(list(targets)))

    def outcomes(self, outputs: Sequence[Tensor], targets: Sequence[Tensor], ids: np.ndarray) -> Outcomes:
        """As `classification_outcomes`."""
        return classification_outcomes(torch.cat(list(outputs)), torch.cat(list(targets)), ids)


def check_sizes(task: Any) -> None:
    """Refuses sizes that are no positive whole numbers."""
    for part in ("train", "val", "test"):
        size = getattr(task, part)
        if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
            raise BadInput(f"{part}={size!r}: give a whole number of samples, at least 1")
