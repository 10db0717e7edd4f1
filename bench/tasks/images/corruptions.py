"""Pictures made worse, at five severities: noise, blur, contrast, JPEG and pixels of ImageNet-C, by torchvision.

Hendrycks and Dietterich 2019 (arXiv:1903.12261) have fifteen; these are those that torchvision's own transforms can do,
with the strengths of their code. It corrupts pictures of 224 px: blur is scaled to the size at hand, and all else acts
on the pixels that the network is given. Packages of all fifteen (imagecorruptions 1.1.2, of 2021) are no longer kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

SIZE = 224
"""Pixels of the pictures for which the paper's blur is meant."""


def _noise(x: Tensor, strength: float) -> Tensor:
    return tv.gaussian_noise(x, mean=0.0, sigma=strength, clip=True)


def _blur(x: Tensor, strength: float) -> Tensor:
    sigma = strength * x.shape[-1] / SIZE
    side = 2 * max(1, round(4 * sigma)) + 1  # four standard deviations to either side, as far as the picture goes
    side = min(side, 2 * ((x.shape[-1] - 1) // 2) + 1)
    return tv.gaussian_blur(x, [side, side], [sigma, sigma])


def _contrast(x: Tensor, strength: float) -> Tensor:
    means = x.float().mean(dim=(-2, -1), keepdim=True)
    return ((x.float() - means) * strength + means).round().clamp(0, 255).to(torch.uint8)


def _jpeg(x: Tensor, strength: float) -> Tensor:
    return torch.stack([tv.jpeg(one, int(strength)) for one in x])


def _pixels(x: Tensor, strength: float) -> Tensor:
    side = max(1, int(x.shape[-1] * strength))
    small = torch.nn.functional.adaptive_avg_pool2d(x.float(), side)
    return torch.nn.functional.interpolate(small, size=x.shape[-2:], mode="nearest").round().to(torch.uint8)


Rule = tuple[Callable[[Tensor, Any], Tensor], tuple[float, ...]]
CORRUPTIONS: dict[str, Rule] = {
    "noise": (_noise, (0.08, 0.12, 0.18, 0.26, 0.38)),
    "blur": (_blur, (1.0, 2.0, 3.0, 4.0, 6.0)),
    "contrast": (_contrast, (0.4, 0.3, 0.2, 0.1, 0.05)),
    "jpeg": (_jpeg, (25, 18, 15, 10, 7)),
    "pixels": (_pixels, (0.6, 0.5, 0.4, 0.3, 0.25)),
}
"""By name, what is done to pictures (n, 3, size, size) of bytes, and how strongly at severity 1 to 5: σ of values in
0..1; σ in pixels of 224; what is left of the contrast; quality; share of the side that is left."""


def corrupted(pixels: Tensor, name: str, severity: int) -> Tensor:
    """Pictures at one severity; the same for every method and seed.

    Args:
        pixels: (n, 3, size, size), uint8.
        name: of `CORRUPTIONS`.
        severity: 1 to 5.
    """
    do, strengths = CORRUPTIONS[name]
    seed = int(hashlib.sha256(f"{name} {severity}".encode()).hexdigest()[:8], 16)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        return do(pixels, strengths[severity - 1])
