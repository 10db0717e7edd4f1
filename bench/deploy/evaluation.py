"""`bench evaluate`: a trained run on new labelled data, with intervals over samples and calibration.

The temperature (Guo et al. 2017, arXiv:1706.04599) is fitted on the run's own validation part, never on the new data.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from bench.deploy.loading import Trained
from bench.deploy.sample_intervals import between
from bench.errors import BadInput
from bench.tasks import PerSample, Split, Task
from bench.tasks.metrics import BINS, calibration
from bench.training.robustness import outputs_of, temperature

BATCH = 64


@dataclass(frozen=True)
class Evaluated:
    """What was found.

    Args:
        samples: how many.
        scores: by metric, the figure and its 95 % interval over samples; None where single samples do not tell one.
        calibration: "temperature", and "before" and "after" it calibration's figures; nothing without classes.
        notes: what is to be known of them.
    """

    samples: int
    scores: dict[str, tuple[float, tuple[float, float] | None]]
    calibration: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def evaluate(trained: Trained, task: Task) -> Evaluated:
    """A run's scores on all labelled samples of a task; where it was trained on them, on their test part.

    Args:
        trained: the run.
        task: with the run's classes (`bench.deploy.same_classes`).

    Raises:
        BadInput: data that cannot be had.
    """
    data, notes = task.data(trained.backbone.inputs, seed=trained.run.seed), list[str]()
    parts: list[Split] = [data.train, data.val, data.test]
    if data.provenance.get("data_sha256") == trained.about["data_sha256"]:
        parts = [data.test]
        notes.append("these are the data that it was trained on: only their test part is counted")
    outputs, targets, ids = list[Any](), list[Any](), list[np.ndarray]()
    for part in parts:
        made, true = predictions(trained, task, part)
        outputs, targets = outputs + made, targets + true
        ids.append(part.ids)
    found = task.outcomes(outputs, targets, np.concatenate(ids)) if isinstance(task, PerSample) else None
    metrics = task.metrics(outputs, targets)
    scores = {name: (value, between(found, name)) for name, value in metrics.items()}
    calibrated: dict[str, Any] = {}
    if len(trained.classes) > 1 and trained.family != "detection":
        try:
            calibrated = _calibrated(trained, torch.cat(outputs).double(), torch.cat(targets))
        except (BadInput, OSError) as error:
            notes.append(f"not calibrated: the run's validation part is not to be had ({error})")
    return Evaluated(sum(map(len, parts)), scores, calibrated, tuple(notes))


def predictions(trained: Trained, task: Task, part: Split) -> tuple[list[Any], list[Any]]:
    """Outputs and targets of a part, in float32, batch by batch."""
    return outputs_of(task, trained.network, part, device=trained.device, precision="fp32", size=BATCH)


def _calibrated(trained: Trained, logits: torch.Tensor, truth: torch.Tensor) -> dict[str, Any]:
    own = trained.run.task
    val = own.data(trained.backbone.inputs, seed=trained.run.seed).val
    made, known = predictions(trained, own, val)
    best = temperature(torch.cat(made).double(), torch.cat(known))
    figures = {"before": calibration(logits, truth), "after": calibration(logits / best, truth)}
    return {"bins": BINS, "temperature": best, **figures}
