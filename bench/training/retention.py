"""What a network still knows of an old task after it was trained on a new one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from torch import nn

from bench.models import Backbone
from bench.tasks import Split, Task
from bench.training.run import Run

_BATCH = 64
_NEVER = -30.0
"""Log-probability of a class that the training part lacks."""


@dataclass(frozen=True)
class Probe:
    """A linear probe of the untouched network on the old task, and its scores on that task's test part.

    Args:
        head: standardised features → class.
        test: the test part.
        scores: of the untouched network under this head.
    """

    head: Pipeline
    test: Split
    scores: dict[str, float]


def retained(run: Run, backbone: Backbone, *, device: str, precision: str) -> dict[str, dict[str, float]]:
    """The old task's scores under a head that was fitted to the untouched network, and is not fitted again.

    What falls is what was forgotten: the features moved away from where the head expects them. The head is a logistic
    regression (L2, C = 1) on standardised features of the old task's training part, drawn by the run's seed, and the
    same for every method. Learning against forgetting as in Biderman et al. 2024 (arXiv:2405.09673), who test what a
    language model knew without any head.

    Args:
        run: one with an old task, `run.retained`.
        backbone: the network as trained on `run.task`.
        device, precision: of the run.

    Returns:
        The old task's metrics on its test part: "retained" of this network, "untouched" of the one it was.
    """
    task: Any = run.retained
    probe = _probe(task, run.model, run.seed, device, precision)
    scores = _scores(task, probe.head, backbone, probe.test, device=device, precision=precision)
    return {"retained": scores, "untouched": probe.scores}


@lru_cache(maxsize=8)
def _probe(task: Any, model: Any, seed: int, device: str, precision: str) -> Probe:
    """Once for all methods that a process trains."""
    backbone = model.build(device=device, seed=seed, output=task.output)
    data = task.data(backbone.inputs, seed=seed)
    x, y = _features(backbone.module, data.train, device=device, precision=precision)
    with threadpool_limits(1):  # products so small that threads wait for one another
        head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(x, y)
    return Probe(head, data.test, _scores(task, head, backbone, data.test, device=device, precision=precision))


def _scores(
    task: Task, head: Pipeline, backbone: Backbone, split: Split, *, device: str, precision: str
) -> dict[str, float]:
    """The task's own metrics."""
    x, y = _features(backbone.module, split, device=device, precision=precision)
    found = torch.from_numpy(head.predict_log_proba(x)).float()
    logits = torch.full((len(y), int(max(y.max(), *head.classes_)) + 1), _NEVER)
    logits[:, torch.from_numpy(head.classes_)] = found.clamp(min=_NEVER)
    return task.metrics([logits], [torch.from_numpy(y)])


@torch.no_grad()
def _features(module: nn.Module, split: Split, *, device: str, precision: str) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, width) and classes (N) of a whole split, as it is."""
    module.eval()
    features, classes = [], []
    for index in torch.arange(len(split)).split(_BATCH):
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bf16"):
            features.append(module(split.inputs(index).to(device)).float().cpu())
        classes.append(split.targets(index))
    return torch.cat(features).numpy().astype(np.float64), torch.cat(classes).numpy()
