"""What training did to the weights: spectra of the update of every layer, where a method changes weights."""

from __future__ import annotations

import copy
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.errors import BadInput
from bench.methods import Method, merge
from bench.models import Backbone
from bench.models.reduced import restore
from bench.sites import LAYER_ROLES, Site
from bench.stats import EPSILON, TOP, effective_rank, intruders, stable_rank

_NOISE = 1e-6
"""Of a matrix's norm: a smaller update is rounding."""
_DIGITS = 4


def of_update(model: Any, method: Method, backbone: Backbone, *, seed: int, output: str) -> dict[str, Any]:
    """Spectra of ΔW = W − W₀ of every layer that a method changed; in float64, merged where a method can be.

    Stable and effective rank of ΔW (`bench.stats.spectra`), ‖ΔW‖_F / ‖W₀‖_F, and how many of the ten largest left
    singular vectors of W are intruder dimensions. A kernel is a matrix of output channels; q, k and v of a fused layer
    are three.

    Args:
        model: specification of the untouched network.
        method: what was trained.
        backbone: as trained.
        seed, output: as it was built with.

    Returns:
        By "roles" the figures of each layer, blocks in order, and how intruders are counted. Empty where no weight
        matrix changed (a probe, BitFit), or where what was added cannot be merged (adapters).
    """
    merged = copy.deepcopy(backbone.module).double()  # rounding of the merge would fill the spectrum
    try:
        merged = merge(merged, method)
    except BadInput:
        return {}
    base, lefts = _untouched(model, seed, output)
    after = dict(restore(merged).named_parameters())
    if not base.keys() <= after.keys() or after.keys() - base.keys():
        return {}
    roles: dict[str, dict[str, list[float]]] = {}
    for site in _layers(backbone):
        before, now = (_matrix(weights[f"{site.path}.weight"], site) for weights in (base, after))
        change = now - before
        size = float(change.norm() / before.norm())
        if size > _NOISE:
            figures = roles.setdefault(site.role, {})
            key = (site.path, site.rows)
            if key not in lefts:
                lefts[key] = _left(before, len(before))
            for name, value in _figures(change, now, lefts[key], size).items():
                figures.setdefault(name, []).append(float(f"{value:.{_DIGITS}g}"))
    return {"epsilon": EPSILON, "top": TOP, "roles": roles} if roles else {}


def _figures(change: Tensor, now: Tensor, before: np.ndarray, size: float) -> dict[str, float]:
    values = _squares(change).clamp(min=0).sqrt().numpy()
    return {
        "relative_norm": size,
        "stable_rank": stable_rank(values),
        "effective_rank": effective_rank(values),
        "intruders": intruders(before, _left(now, TOP)),
    }


@lru_cache(maxsize=2)
def _untouched(model: Any, seed: int, output: str) -> tuple[dict[str, Tensor], dict[Any, np.ndarray]]:
    """Weights before training, once for all methods that a process trains; a place for their singular vectors."""
    module = restore(model.build(device="cpu", seed=seed, output=output).module)
    return {name: p.detach().double() for name, p in module.named_parameters()}, {}


def _layers(backbone: Backbone) -> list[Site]:
    """Weight layers, each once: of a fused one its parts."""
    modules: dict[str, nn.Module] = dict(backbone.module.named_modules())
    known = [site for site in backbone.sites if site.role in LAYER_ROLES and site.role != "qkv"]
    return [site for site in known if getattr(modules.get(site.path), "weight", None) is not None]


def _matrix(weight: Tensor, site: Site) -> Tensor:
    matrix = weight.detach().cpu().flatten(1)
    return matrix[slice(*site.rows)] if site.rows else matrix


def _squares(matrix: Tensor) -> Tensor:
    """Squared singular values: of the smaller Gram matrix, which is many times faster than an SVD."""
    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    return torch.linalg.eigvalsh(gram)


def _left(matrix: Tensor, top: int) -> np.ndarray:
    """Left singular vectors (d, ≤ top) of the largest singular values."""
    wide = matrix.shape[0] <= matrix.shape[1]
    _, vectors = torch.linalg.eigh(matrix @ matrix.T if wide else matrix.T @ matrix)
    vectors = vectors.flip(1)[:, :top]
    if not wide:
        vectors = nn.functional.normalize(matrix @ vectors, dim=0)
    return np.asarray(vectors.numpy())
