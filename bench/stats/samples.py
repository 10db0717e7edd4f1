"""Metrics from what became of single samples: on any part of them, and without torch."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import numpy as np

Made = Callable[[np.ndarray, np.ndarray], float]
"""From truth (n) and prediction (n)."""


def macro_f1(label: np.ndarray, predicted: np.ndarray) -> float:
    """Mean over classes, of those that are there or predicted, of 2 TP / (2 TP + FP + FN).

    Args:
        label, predicted: class indices (n).
    """
    classes = int(max(label.max(initial=0), predicted.max(initial=0))) + 1
    right = np.bincount(label[label == predicted], minlength=classes)
    either = np.bincount(label, minlength=classes) + np.bincount(predicted, minlength=classes)
    there = either > 0
    return float((2 * right[there] / either[there]).mean()) if there.any() else 0.0


def f1(label: np.ndarray, predicted: np.ndarray) -> float:
    """2 TP / (2 TP + FP + FN) of class 1; 0 where there is none and none is predicted."""
    either = int((label == 1).sum() + (predicted == 1).sum())
    return 2 * int(((label == 1) & (predicted == 1)).sum()) / either if either else 0.0


def matthews(label: np.ndarray, predicted: np.ndarray) -> float:
    """Matthews' correlation of class indices (Gorodkin 2004); 0 where it is undefined."""
    classes = int(max(label.max(initial=0), predicted.max(initial=0))) + 1
    true, made = (np.bincount(each, minlength=classes).astype(float) for each in (label, predicted))
    n, right = len(label), float((label == predicted).sum())
    below = (n**2 - made @ made) * (n**2 - true @ true)
    return float((right * n - true @ made) / np.sqrt(below)) if below > 0 else 0.0


def pearson(target: np.ndarray, predicted: np.ndarray) -> float:
    """Pearson's correlation; 0 where it is undefined."""
    return _correlation("pearsonr", target, predicted)


def spearman(target: np.ndarray, predicted: np.ndarray) -> float:
    """Spearman's correlation; 0 where it is undefined."""
    return _correlation("spearmanr", target, predicted)


def _correlation(name: str, target: np.ndarray, predicted: np.ndarray) -> float:
    from scipy import stats

    x, y = predicted.astype(float), target.astype(float)
    if min(len(np.unique(x)), len(np.unique(y))) < 2:
        return 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nearly constant
        return float(np.nan_to_num(getattr(stats, name)(x, y).statistic))


OF_CLASSES: Mapping[str, Made] = {"macro_f1": macro_f1, "f1": f1, "matthews": matthews}
OF_NUMBERS: Mapping[str, Made] = {"pearson": pearson, "spearman": spearman}
"""By their names in records."""
