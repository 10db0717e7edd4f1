"""All pictures of a set with their labels, decoded on demand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image


@dataclass(frozen=True, eq=False)
class Pool:
    """Pictures and labels before any split.

    Args:
        name: for messages.
        labels: class index of every picture, int64.
        classes: number of classes.
        read: picture i as a PIL image; raises OSError if it cannot be read.
        title: name of picture i, for messages.
        sha256: fingerprint of the bytes (or of the listing) that the pictures come from.
        flip: whether a mirrored picture is as good a sample.
        development: indices that train and validation are drawn from.
        official_val, official_test: indices of parts that are given; None where they are to be drawn.
        hold_out: pictures to hold out for testing where no test part is given.
        default_train, default_val: sizes of the low-data protocol for this set; train None for all that is left.
    """

    name: str
    labels: np.ndarray
    classes: int
    read: Callable[[int], Image.Image]
    title: Callable[[int], str]
    sha256: str
    flip: bool
    development: np.ndarray
    official_val: np.ndarray | None = None
    official_test: np.ndarray | None = None
    hold_out: int = 0
    default_train: int | None = 800
    default_val: int = 200
