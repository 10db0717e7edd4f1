"""Made pictures for detection: digits of random size and tint pasted on crops of two photographs.

They test that detection works without a download. No figure on them says how a method fares on photographs.
"""

from __future__ import annotations

import hashlib
from functools import partial

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images
from sklearn.model_selection import train_test_split

from bench.tasks.detection.box_pools import Mark, Part, Picture, Source, source
from bench.tasks.detection.pixels import fitted

SIZE = 128
"""Side of the pictures, in pixels."""
PICTURES = {"train": 400, "test": 100}
MOST_DIGITS = 5
SMALLEST, LARGEST = 18, 56
"""Longer side of a digit, in pixels."""
OVERLAP = 0.1
"""Share of the smaller of two boxes that the other may cover."""
TRIES = 20
CONTRAST = 80
"""Least difference in lightness, 0..255, between a digit and what it covers."""
GREY = np.array([0.299, 0.587, 0.114])
INK = 64
"""Of a digit's 0..255: what its box goes by."""
LEFT = 0.6
"""Share of a photograph, from the left, that the training pictures are cut from; those of the test lie right of it."""


def composited(name: str, digits: np.ndarray, labels: np.ndarray, *, seed: int = 0) -> Source:
    """400 pictures to train and validate on, and 100 to test, of other digits on other regions of the photographs.

    Args:
        name: of the set.
        digits: (N, h, w) uint8, bright on black.
        labels: (N,), 0..9.
        seed: what all is drawn from.
    """
    parts = train_test_split(np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=seed)
    photos = [Image.fromarray(photo) for photo in load_sample_images().images]
    digest, made = hashlib.sha256(), {}
    for number, ((part, count), those) in enumerate(zip(PICTURES.items(), parts, strict=True)):
        random = np.random.default_rng([seed, number])
        made[part] = Part()
        for i in range(count):
            canvas = _background(photos[random.integers(len(photos))], random, left=part == "train")
            for box, label in _pasted(canvas, digits[those], labels[those], random):
                made[part].marks.append(Mark(i, box, label))
            picture = Image.fromarray(canvas.round().astype(np.uint8))
            digest.update(picture.tobytes())
            made[part].pictures.append(Picture(f"composited {part} {i}", SIZE, SIZE, partial(picture.copy)))
    classes = [str(digit) for digit in range(10)]
    return source(name, classes, made, stamp=digest.hexdigest(), flip=False)


def _background(photo: Image.Image, random: np.random.Generator, *, left: bool) -> np.ndarray:
    """A square of the photograph's own part, (SIZE, SIZE, 3) float."""
    border = round(LEFT * photo.width)
    start, end = (0, border) if left else (border, photo.width)
    side = int(random.integers(SIZE, min(end - start, photo.height) + 1))
    x, y = int(random.integers(start, end - side + 1)), int(random.integers(photo.height - side + 1))
    return np.asarray(photo.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=(x, y, x + side, y + side)), np.float64)


def _pasted(
    canvas: np.ndarray, digits: np.ndarray, labels: np.ndarray, random: np.random.Generator
) -> list[tuple[tuple[float, float, float, float], int]]:
    """Pastes 1 to 5 digits, as far as there is room for them. Returns their boxes and labels."""
    marks: list[tuple[tuple[float, float, float, float], int]] = []
    for _ in range(random.integers(1, MOST_DIGITS + 1)):
        chosen = random.integers(len(digits))
        ink = _tight(digits[chosen], round(SMALLEST * (LARGEST / SMALLEST) ** random.random()))
        height, width = ink.shape
        for _ in range(TRIES):
            x, y = int(random.integers(SIZE - width + 1)), int(random.integers(SIZE - height + 1))
            box = (float(x), float(y), float(x + width), float(y + height))
            if all(_covered(box, other) <= OVERLAP for other, _ in marks):
                under = canvas[y : y + height, x : x + width]
                under += ink[:, :, None] / 255 * (_tint(under, random) - under)
                marks.append((box, int(labels[chosen])))
                break
    return marks


def _tight(digit: np.ndarray, side: int) -> np.ndarray:
    """The digit without its margin, its longer side resized to `side`, again without the margin that this made."""
    for resize in (True, False):
        rows, columns = (np.flatnonzero((digit >= INK).any(axis)) for axis in (1, 0))
        digit = digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        if resize:
            size = fitted(digit.shape[1], digit.shape[0], side)
            digit = np.asarray(Image.fromarray(digit).resize(size, Image.Resampling.BICUBIC))
    return digit


def _tint(under: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A colour that can be told from what it covers by its lightness."""
    light = (under @ GREY).mean()
    while True:
        tint = random.uniform(0, 255, 3)
        if abs(tint @ GREY - light) >= CONTRAST:
            return tint


def _covered(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Share of the smaller box that lies in the other."""
    width, height = (min(one[i + 2], other[i + 2]) - max(one[i], other[i]) for i in (0, 1))
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return max(0.0, width) * max(0.0, height) / smaller
