"""Random flips, scales and crops of pictures together with their boxes: one affine map a picture and axis."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SMALLEST, LARGEST = 0.7, 1.4
KEPT = 0.5
"""Share of its area that a box keeps inside, or it is dropped."""


@dataclass(frozen=True)
class Placement:
    """Where pictures are put on their canvases: x' = scale · x + shift on each axis.

    Args:
        scale: (n, 2), of x and y; negative where mirrored.
        shift: (n, 2), in pixels.
    """

    scale: np.ndarray
    shift: np.ndarray

    def pictures(self, x: Tensor) -> Tensor:
        """The pictures put there, 0 (the mean colour) around them.

        Args:
            x: (n, 3, size, size), normalised.
        """
        size = x.shape[-1]
        # affine_grid asks where in x each place of the result comes from, with both axes as -1..1.
        theta = torch.zeros(len(x), 2, 3)
        for axis in (0, 1):
            theta[:, axis, axis] = torch.from_numpy(1 / self.scale[:, axis])
            centre = (size / 2 - self.shift[:, axis]) / self.scale[:, axis]
            theta[:, axis, 2] = torch.from_numpy(2 * centre / size - 1)
        return F.grid_sample(x, F.affine_grid(theta, list(x.shape), align_corners=False), align_corners=False)

    def boxes(self, i: int, boxes: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        """The boxes of picture `i` where they are then, clipped, and which were kept.

        Args:
            i: which picture.
            boxes: (m, 4): x1, y1, x2, y2.
            size: side of the canvas, in pixels.

        Returns:
            (k, 4) boxes and (m,) bool.
        """
        ends = (boxes.reshape(-1, 2, 2) * self.scale[i] + self.shift[i]).reshape(-1, 2, 2)
        whole = np.concatenate([ends.min(1), ends.max(1)], 1)
        inside = np.clip(whole, 0, size)
        kept = _area(inside) >= KEPT * _area(whole)
        return inside[kept], kept


def placed(
    extent: np.ndarray, size: int, *, samples: np.ndarray, views: np.ndarray, mirrored: tuple[bool, bool]
) -> Placement:
    """Mirrors at random, resizes by exp(U(log 0.7, log 1.4)), and puts what is smaller than the canvas anywhere on it,
    or cuts out any part of what is larger.

    Args:
        extent: (n, 2), width and height of each picture on its canvas, in whose top left corner it lies.
        size: side of the canvas.
        samples, views: (n,): they alone decide what is drawn.
        mirrored: whether left to right and top to bottom.
    """
    chance = np.stack([np.random.default_rng(pair).random(5) for pair in zip(views, samples, strict=True)])
    scale = np.exp(math.log(SMALLEST) + chance[:, :1] * math.log(LARGEST / SMALLEST))
    shift = chance[:, 1:3] * (size - scale * extent)
    flip = (chance[:, 3:] < 0.5) & np.array(mirrored)
    # Mirrored within its own extent: x' = scale · (extent - x) + shift.
    return Placement(np.where(flip, -scale, scale), shift + flip * scale * extent)


def _area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2:] - boxes[:, :2]).prod(1)
