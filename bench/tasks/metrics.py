"""Scores of classes and of numbers. Those of boxes and of answers stand beside their tasks."""

from __future__ import annotations

import warnings

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from bench.records.outcomes import Outcomes, collected

BINS = 15
"""Of equal width, of the calibration error."""


def classification_metrics(outputs: Tensor, targets: Tensor) -> dict[str, float]:
    """Top-1 accuracy, macro F1, cross-entropy and expected calibration error (15 bins; arXiv:1706.04599, eq. 3).

    Args:
        outputs: logits (N, classes).
        targets: class indices (N).
    """
    from torchmetrics.functional import classification as tm

    outputs, classes = outputs.float(), outputs.shape[1]
    return {
        "top1": (outputs.argmax(1) == targets).double().mean().item(),
        "macro_f1": tm.multiclass_f1_score(outputs, targets, classes, average="macro").item(),
        "loss": F.cross_entropy(outputs, targets).item(),
        "ece": tm.multiclass_calibration_error(outputs.softmax(1), targets, classes, n_bins=BINS).item(),
    }


def classification_outcomes(outputs: Tensor, targets: Tensor, ids: np.ndarray) -> Outcomes:
    """Predicted class with its probability, and -log p of the true one, of every sample.

    Args:
        outputs: logits (N, classes).
        targets: class indices (N).
        ids: of the samples (N).
    """
    losses = F.cross_entropy(outputs.float(), targets, reduction="none")
    confidence, predicted = outputs.float().softmax(1).max(1)
    columns = {"label": targets, "predicted": predicted, "nll": losses, "confidence": confidence}
    return collected("classes", ids, {name: column.numpy() for name, column in columns.items()})


def regression_outcomes(outputs: Tensor, targets: Tensor, ids: np.ndarray) -> Outcomes:
    """Predicted and true number of every sample, (N)."""
    return collected("numbers", ids, {"target": targets.numpy(), "predicted": outputs.numpy()})


def calibration(outputs: Tensor, targets: Tensor) -> dict[str, float]:
    """How far probabilities can be trusted; all three are better where they are lower.

    "ece": Σ_b n_b/n · |right share − mean confidence| of the predicted class over `BINS` bins of equal width
    (arXiv:1706.04599, eq. 3). "brier": mean of Σ_k (p_k − y_k)² (Brier 1950), from 0 to 2. "nll": mean cross-entropy.

    Args:
        outputs: logits (N, classes).
        targets: class indices (N).
    """
    from torchmetrics.functional import classification as tm

    shares, classes = outputs.softmax(1), outputs.shape[1]
    return {
        "ece": tm.multiclass_calibration_error(shares.float(), targets, classes, n_bins=BINS).item(),
        "brier": (shares - F.one_hot(targets, classes)).square().sum(1).mean().item(),
        "nll": F.cross_entropy(outputs, targets).item(),
    }


def regression_metrics(outputs: Tensor, targets: Tensor) -> dict[str, float]:
    """Pearson's and Spearman's correlation, and the mean squared error.

    A correlation is undefined where all outputs (or all targets) are the same; it is 0 here then, as knowing such an
    output tells nothing of the target.

    Args:
        outputs: predicted numbers (N).
        targets: true numbers (N).
    """
    from scipy import stats

    x, y = outputs.double().numpy(), targets.double().numpy()
    scores = {"pearson": 0.0, "spearman": 0.0, "loss": float(np.mean((x - y) ** 2))}
    if np.isfinite(x).all() and min(len(np.unique(x)), len(np.unique(y))) > 1:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nearly constant: the figure is uncertain, and near 0 most often
            found = {"pearson": stats.pearsonr(x, y), "spearman": stats.spearmanr(x, y)}
        scores |= {name: float(np.nan_to_num(result.statistic)) for name, result in found.items()}
    return scores
