"""A histogram of colours and logistic regression: what pictures give without any network, as a baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from bench.spec import Spec
from bench.tasks.baselines.majority import NEVER
from bench.tasks.contract import Found
from bench.tasks.images.decode import decoded
from bench.tasks.pools import split

SIDE = 32
"""Pixels of the pictures that are counted."""
LEVELS = 4
"""Of each channel: 64 colours."""
GRID = 2
"""Parts of each side: the histogram of every quarter is its own."""
STRENGTHS = (0.01, 0.1, 1.0, 10.0)
"""Inverse regularisation strengths tried.

Who changes these constants raises `PROTOCOL`: a record's id does not hold them."""


@dataclass(frozen=True, repr=False)
class ColourHistogram(Spec):
    """Logistic regression on the colours of each quarter of a picture (Swain and Ballard 1991, IJCV 7, 11).

    Square roots of shares of 64 colours, standardised; the regularisation C is chosen on validation among four values.
    """

    def label(self, task: Any) -> str:
        """What figures and tables call it."""
        return "colour histogram + logistic regression"

    def evaluate(self, task: Any, *, seed: int) -> Found:
        """Fits, tunes and tests it on the split of one seed."""
        pool = task.pool()
        parts = split(pool, train=task.train, val=task.val, test=task.test, seed=seed)
        (x, y, _), val, test = (_of(*decoded(pool, rows, SIDE)) for rows in parts)
        scaler = StandardScaler().fit(x)
        with threadpool_limits(1):
            models = [LogisticRegression(C=c, max_iter=500).fit(scaler.transform(x), y) for c in STRENGTHS]
        made = [[(_logits(task, m, scaler.transform(x)), y, ids) for x, y, ids in (val, test)] for m in models]
        scores = [task.metrics([one[0][0]], [torch.from_numpy(one[0][1])]) for one in made]
        best = max(range(len(models)), key=lambda i: (scores[i][task.metric], -scores[i]["loss"]))
        tuning = {
            "candidates": [
                {"C": c, "score": found[task.metric], "loss": found["loss"], "status": "ok"}
                for c, found in zip(STRENGTHS, scores, strict=True)
            ],
            **{"chosen": {"C": STRENGTHS[best]}, "on": f"val/{task.metric}", "seeds": [seed], "shared_from": None},
            "edge": best in (0, len(STRENGTHS) - 1),
        }
        return Found.of(task, dict(zip(("val", "test"), made[best], strict=True)), tuning)


def _of(pixels: np.ndarray, labels: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return histograms(pixels), labels, ids


def histograms(pixels: np.ndarray) -> np.ndarray:
    """Square roots of the shares of each colour in each part of the grid, (N, GRID² · LEVELS³).

    Args:
        pixels: (N, 3, side, side), uint8.
    """
    levels = pixels.astype(np.int64) * LEVELS // 256
    colours = (levels[:, 0] * LEVELS + levels[:, 1]) * LEVELS + levels[:, 2]
    n, half = len(pixels), pixels.shape[-1] // GRID
    found = []
    for row in range(GRID):
        for column in range(GRID):
            part = colours[:, row * half : (row + 1) * half, column * half : (column + 1) * half].reshape(n, -1)
            counted = np.zeros((n, LEVELS**3))
            np.add.at(counted, (np.arange(n)[:, None], part), 1.0)
            found.append(counted / part.shape[1])
    return np.sqrt(np.concatenate(found, axis=1))


def _logits(task: Any, model: LogisticRegression, x: np.ndarray) -> torch.Tensor:
    """Log-probabilities of all classes, (N, classes)."""
    logits = torch.full((len(x), task.classes), NEVER)
    logits[:, torch.from_numpy(model.classes_)] = torch.from_numpy(model.predict_log_proba(x)).float()
    return logits.clamp(min=NEVER)
