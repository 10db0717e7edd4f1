"""What an update did to a weight matrix, from its singular values and vectors; how alike two sets of features are."""

from __future__ import annotations

import numpy as np

EPSILON, TOP = 0.5, 10
"""Of intruder dimensions: the threshold of the cosine, and how many of the largest singular values are looked at."""


def stable_rank(values: np.ndarray) -> float:
    """‖M‖²_F / ‖M‖²₂ = Σσᵢ² / σ₁²: at most the rank, and hardly moved by small singular values.

    Args:
        values: singular values of M, in any order, not all 0.
    """
    squares = np.square(values.astype(np.float64))
    return float(squares.sum() / squares.max())


def effective_rank(values: np.ndarray) -> float:
    """exp(−Σ pᵢ ln pᵢ) with pᵢ = σᵢ / Σσ (Roy and Vetterli 2007): r where r singular values are alike and the rest 0.

    Args:
        values: singular values, in any order, not all 0.
    """
    shares = values.astype(np.float64) / values.sum()
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def intruders(before: np.ndarray, after: np.ndarray, *, epsilon: float = EPSILON) -> int:
    """Intruder dimensions of Shuttleworth et al. 2024 (arXiv:2410.21228): new directions among the largest ones.

    A left singular vector y of the tuned matrix is one where max |cos(y, x)| < ε over all left singular vectors x of
    the matrix before.

    Args:
        before: (d, n), orthonormal columns: all left singular vectors before.
        after: (d, k), those of the k largest singular values after.
        epsilon: ε; the paper shows several, .5 here.

    Returns:
        Their number, of k.
    """
    closest = np.abs(before.T @ after).max(axis=0)
    return int((closest < epsilon).sum())


def linear_cka(one: np.ndarray, other: np.ndarray) -> float:
    """‖YᵀX‖²_F / (‖XᵀX‖_F ‖YᵀY‖_F) of centred features: Kornblith et al. 2019, section 3 (arXiv:1905.00414).

    1 for features that differ by a rotation and one scale; no estimate that is corrected for few samples.

    Args:
        one: X, (samples, width).
        other: Y, (samples, width), of the same samples.

    Returns:
        From 0 to 1; not a number where all samples have the same features.
    """
    x, y = (each.astype(np.float64) - each.mean(axis=0, dtype=np.float64) for each in (one, other))
    scale = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    return float(np.square(np.linalg.norm(y.T @ x)) / scale) if scale > 0 else float("nan")
