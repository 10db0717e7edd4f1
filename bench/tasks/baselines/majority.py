"""The majority class: what a classifier reaches that never looks at its input, as a baseline of every accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from bench.spec import Spec
from bench.tasks.contract import Found
from bench.tasks.pools import split

NEVER = -30.0
"""Log-probability of a class that the training part lacks."""


@dataclass(frozen=True, repr=False)
class MajorityClass(Spec):
    """Predicts the training part's class frequencies, whatever the input: argmax is its most common class.

    The log-frequencies are the constant with the least cross-entropy on the training part. Nothing is tuned.
    """

    def label(self, task: Any) -> str:
        """What figures and tables call it."""
        return "majority class"

    def evaluate(self, task: Any, *, seed: int) -> Found:
        """Counts the training part of one seed; scores validation and test with the task's own metrics.

        Args:
            task: a classification task.
            seed: of the split.

        Returns:
            The metrics, and in its provenance `classes`, k (chance is 1/k), and `majority`, the share of the most
            common class in the test part.
        """
        pool = task.pool()
        train, *rest = split(pool, train=task.train, val=task.val, test=task.test, seed=seed)
        counts = torch.from_numpy(np.bincount(pool.labels[train], minlength=task.classes)).double()
        constant = torch.where(counts > 0, (counts / counts.sum()).log(), NEVER).float()
        made = {
            part: (constant.expand(len(rows), -1), pool.labels[rows], rows)
            for part, rows in zip(("val", "test"), rest, strict=True)
        }
        most = np.bincount(pool.labels[rest[1]]).max() / len(rest[1])
        return Found.of(task, made, {}, {"classes": int(task.classes), "majority": float(most)})
