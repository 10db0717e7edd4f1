"""What a network still knows of an old task after it was trained on a new one, and how far its features drifted."""

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
from bench.stats import linear_cka
from bench.tasks import Split, Task
from bench.training.run import Run

_BATCH = 64
_ITERATIONS = 2000
_NEVER = -30.0
"""Log-probability of a class that the training part lacks."""


@dataclass(frozen=True)
class Probe:
    """A linear probe of the untouched network on the old task, and its scores on that task's test part.

    Args:
        head: standardised features → class.
        train, test: the old task's parts.
        features: (N, width) of the untouched network on the test part.
        scores: of the untouched network under this head.
    """

    head: Pipeline
    train: Split
    test: Split
    features: np.ndarray
    scores: dict[str, float]


@dataclass(frozen=True)
class Retention:
    """What was measured on the old task's test part after training on the new one.

    Args:
        metrics: the old task's own metrics: "untouched", of the network before; then of the trained network
            "retained", under the head that was fitted before (what falls is drift, not knowledge);
            "restandardised", under that head on features whose mean and scale were fitted again, without labels;
            "refitted", under a head that was fitted again (what falls is knowledge that a linear head can read).
        about: "cka" of the features before and after (`bench.stats.linear_cka`); "classes", and the scores of the
            "majority" class; how the head was "fit" again: iterations, whether it converged, its score in training.
    """

    metrics: dict[str, dict[str, float]]
    about: dict[str, Any]


def retained(run: Run, backbone: Backbone, *, device: str, precision: str) -> Retention:
    """Measures the old task in three ways, which tell drift of the features from what is no longer in them.

    Every head is a logistic regression (L2, C = 1) on standardised features of the old task's training part, drawn by
    the run's seed, and the same for every method. Learning against forgetting as in Biderman et al. 2024
    (arXiv:2405.09673), who test what a language model knew without any head.

    Args:
        run: one with an old task, `run.retained`.
        backbone: the network as trained on `run.task`.
        device, precision: of the run.

    Raises:
        ValueError: features that no head can be fitted to.
    """
    task: Any = run.retained
    probe = _probe(task, run.model, run.seed, device, precision)
    x, classes = _features(backbone.module, probe.train, device=device, precision=precision)
    features, truth = _features(backbone.module, probe.test, device=device, precision=precision)
    scaler, again = StandardScaler().fit(x), _fitted(x, classes)
    heads = {"retained": probe.head, "restandardised": make_pipeline(scaler, probe.head[-1]), "refitted": again}
    scores = {name: _scores(task, head, features, truth) for name, head in heads.items()}
    most = np.bincount(classes).argmax()
    constant = torch.nn.functional.one_hot(torch.full((len(truth),), int(most)), int(max(truth.max(), most)) + 1)
    majority = task.metrics([constant.float()], [torch.from_numpy(truth)])
    iterations = int(again[-1].n_iter_.max())
    about = {
        "cka": linear_cka(probe.features, features),
        "classes": int(task.classes),
        "majority": {name: majority[name] for name in ("top1", "macro_f1") if name in majority},
        "fit": {
            **{"iterations": iterations, "converged": iterations < _ITERATIONS, "samples": len(classes)},
            "train": float(again.score(x, classes)),
        },
    }
    return Retention({**scores, "untouched": probe.scores}, about)


@lru_cache(maxsize=8)
def _probe(task: Any, model: Any, seed: int, device: str, precision: str) -> Probe:
    """Once for all methods that a process trains."""
    backbone = model.build(device=device, seed=seed, output=task.output)
    data = task.data(backbone.inputs, seed=seed)
    head = _fitted(*_features(backbone.module, data.train, device=device, precision=precision))
    features, truth = _features(backbone.module, data.test, device=device, precision=precision)
    return Probe(head, data.train, data.test, features, _scores(task, head, features, truth))


def _fitted(x: np.ndarray, classes: np.ndarray) -> Pipeline:
    with threadpool_limits(1):  # products so small that threads wait for one another
        return make_pipeline(StandardScaler(), LogisticRegression(max_iter=_ITERATIONS)).fit(x, classes)


def _scores(task: Task, head: Pipeline, x: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """The task's own metrics."""
    found = torch.from_numpy(head.predict_log_proba(x)).float()
    logits = torch.full((len(truth), int(max(truth.max(), *head.classes_)) + 1), _NEVER)
    logits[:, torch.from_numpy(head.classes_)] = found.clamp(min=_NEVER)
    return task.metrics([logits], [torch.from_numpy(truth)])


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
