"""COCO's average precision from matched detections: on any pictures, each any number of times."""

from __future__ import annotations

import numpy as np

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""Of IoU."""
RECALLS = np.linspace(0.0, 1.0, 101)


def average_precision(
    objects: np.ndarray,
    picture: np.ndarray,
    label: np.ndarray,
    matched: np.ndarray,
    ignored: np.ndarray,
    *,
    times: np.ndarray | None = None,
) -> dict[str, float]:
    """Average precision over IoU .50:.95, at .50 and .75, and average recall of 100 a picture (arXiv:1405.0312).

    Equal to pycocotools on the same pictures, each as often as `times` says.

    Args:
        objects: (n, K) boxes to be found on each picture, of each class.
        picture, label: (D) row and class of each detection, the highest score first.
        matched: (D, 10) whether it is matched, at each of `THRESHOLDS`.
        ignored: (D, 10) whether it counts neither way.
        times: (n) how often each picture counts; once where nothing is said.

    Returns:
        "box_ap", "ap50", "ap75" and "ar100" in 0..1; nothing where there is no box to be found.
    """
    times = np.ones(len(objects), np.int64) if times is None else times
    there = times @ objects
    curves, recalls = [], []
    for k in np.flatnonzero(there):
        mine = (label == k) & (times[picture] > 0)
        curve, recall = _of_class(times[picture[mine]], matched[mine], ignored[mine], int(there[k]))
        curves.append(curve)
        recalls.append(recall)
    if not curves:
        return {}
    ap = np.array(curves).mean(axis=(0, 2))
    return {
        **{"box_ap": float(ap.mean()), "ap50": float(ap[0]), "ap75": float(ap[5])},
        "ar100": float(np.mean(recalls)),
    }


def _of_class(
    times: np.ndarray, matched: np.ndarray, ignored: np.ndarray, there: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """At each threshold the precision at each level of recall (10, 101), and the highest recall (10)."""
    weight = times[:, None] * ~ignored
    right, wrong = (np.cumsum(weight * hit, axis=0) for hit in (matched, ~matched))
    recall, precision = right / there, right / (right + wrong + np.spacing(1))
    envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    curve = [_at_recalls(envelope[:, t], recall[:, t]) for t in range(len(THRESHOLDS))]
    return curve, recall[-1] if len(recall) else np.zeros(len(THRESHOLDS))


def _at_recalls(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    """(101) the precision at each level of recall, 0 beyond the highest that is reached."""
    at = np.searchsorted(recall, RECALLS, side="left")
    return np.append(precision, 0.0)[at]
