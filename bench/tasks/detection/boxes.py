"""Pictures with boxes on them: what is true of each, and what a detector is given of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from bench.tasks.contract import shuffled
from bench.tasks.detection.augment import Placement, placed
from bench.tasks.detection.pixels import fitted

EVERY_VIEW = 2**31 - 1
"""Views where pictures are augmented at random: the number of a view is its seed."""


@dataclass(frozen=True, eq=False)
class Truth:
    """What is marked on one picture, in its own pixels.

    Args:
        boxes: (n, 4), float64: x1, y1, x2, y2.
        labels: (n,), int64: class indices 0..K-1.
        crowd: (n,), bool: boxes that are neither trained on nor counted (COCO's iscrowd, VOC's difficult).
        area: (n,), float64: what COCO's small, medium and large go by; that of the outline where one is given.
        width, height: of the picture.
        title: the picture's name, for messages and figures.
        number: the picture's index in its pool.
        scale: pixels of the network's input for one of the picture, to the right and down. The two differ by the
            rounding of the resized picture to whole pixels.
    """

    boxes: np.ndarray
    labels: np.ndarray
    crowd: np.ndarray
    area: np.ndarray
    width: int
    height: int
    title: str = ""
    number: int = 0
    scale: tuple[float, float] = (1.0, 1.0)

    def inside(self, size: int) -> Truth:
        """The same of a picture whose longer side is resized to `size`."""
        width, height = fitted(self.width, self.height, size)
        return replace(self, scale=(width / self.width, height / self.height))


@dataclass(frozen=True, eq=False)
class Boxes:
    """The boxes to be found on a batch of inputs: the targets of a detector's loss.

    Args:
        boxes: of each picture, (n_i, 4) float32: x1, y1, x2, y2 in pixels of the network's input. n_i may be 0.
        labels: of each picture, (n_i,) int64: class indices 0..K-1.
        truths: all that is marked on each picture, for the metrics.
    """

    boxes: tuple[Tensor, ...]
    labels: tuple[Tensor, ...]
    truths: tuple[Truth, ...]

    def __len__(self) -> int:
        return len(self.boxes)

    def to(self, device: Any, non_blocking: bool = False) -> Boxes:
        """The same on another device: one copy for all boxes and one for all labels."""
        sizes = [len(boxes) for boxes in self.boxes]
        boxes, labels = (torch.cat(all).to(device, non_blocking=non_blocking) for all in (self.boxes, self.labels))
        return Boxes(boxes.split(sizes), labels.split(sizes), self.truths)


class BoxSplit:
    """Pictures with their boxes, each in the top left corner of a square of the mean colour.

    Args:
        pixels: gives those at some rows: (n, 3, size, size), uint8.
        truths: of every row.
        size: side of the square: what the longer side of every picture is resized to.
        mean, std: per channel, for values in 0..1.
        augment: whether pictures are resized and cut at random.
        mirrored: whether left to right and top to bottom too; needs `augment`.
    """

    def __init__(
        self, pixels: Callable[[np.ndarray], np.ndarray], truths: Sequence[Truth], *, size: int, mean: Any, std: Any,
        augment: bool = False, mirrored: tuple[bool, bool] = (False, False),
    ) -> None:  # fmt: skip
        self.pixels, self.size, self.mirrored, self.views = pixels, size, mirrored, EVERY_VIEW if augment else 1
        self.truths = [truth.inside(size) for truth in truths]
        self.ids = np.array([truth.number for truth in truths], np.int64)
        self.extents = np.array([fitted(truth.width, truth.height, size) for truth in truths], float)
        self.scale = 1 / (255 * torch.tensor(std)).view(1, 3, 1, 1)
        self.shift = (torch.tensor(mean) / torch.tensor(std)).view(1, 3, 1, 1)

    def __len__(self) -> int:
        return len(self.truths)

    def inputs(self, index: Tensor, view: Tensor | None = None) -> Tensor:
        """(n, 3, size, size), float32, normalised."""
        x = torch.from_numpy(self.pixels(index.numpy())).float() * self.scale - self.shift
        placement = self._placement(index, view)
        return placement.pictures(x) if placement else x

    def targets(self, index: Tensor, view: Tensor | None = None) -> Boxes:
        """The boxes on them where they are in that view, without crowds."""
        placement = self._placement(index, view)
        truths = tuple(self.truths[i] for i in index.tolist())
        boxes, labels = [], []
        for i, truth in enumerate(truths):
            mine, named = truth.boxes[~truth.crowd] * (truth.scale * 2), truth.labels[~truth.crowd]
            if placement:
                mine, kept = placement.boxes(i, mine, self.size)
                named = named[kept]
            boxes.append(torch.from_numpy(mine).float())
            labels.append(torch.from_numpy(named))
        return Boxes(tuple(boxes), tuple(labels), truths)

    def batches(self, size: int, order: Generator) -> list[Tensor]:
        """Any picture with any other."""
        return shuffled(len(self), size, order)

    def _placement(self, index: Tensor, view: Tensor | None) -> Placement | None:
        if view is None or self.views == 1:
            return None
        rows = index.numpy()
        return placed(self.extents[rows], self.size, samples=rows, views=view.numpy(), mirrored=self.mirrored)
