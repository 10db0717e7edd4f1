"""Whole pictures on squares, as bytes: decoded once and cached while they fit, else whenever they are asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image
from tqdm import tqdm

from bench.errors import BadInput
from bench.tasks.caches import Arrays, cached
from bench.tasks.images.decode import cache_name
from bench.tasks.pools import Pool

LARGEST = 2 << 30
"""Bytes of the decoded pictures of one part from which they are not kept, but decoded whenever asked for."""

Fetch = Callable[[np.ndarray], np.ndarray]


def fitted(width: int, height: int, size: int) -> tuple[int, int]:
    """Width and height of a picture whose longer side is made `size`, in whole pixels."""
    ratio = size / max(width, height)
    return max(1, round(width * ratio)), max(1, round(height * ratio))


def pixels(pool: Pool, indices: np.ndarray, *, size: int, mean: Sequence[float]) -> Fetch:
    """What gives the pictures at some rows of `indices`: (n, 3, size, size) uint8.

    The longer side is resized to `size` (bicubic, antialiased); the picture lies in the top left corner, the mean
    colour right of it or below.

    Args:
        pool: where they come from.
        indices: which ones.
        size: side of the square, in pixels.
        mean: colour of the padding, 0..1 a channel.

    Raises:
        BadInput: a picture cannot be read; where they are not kept, when it is asked for.
    """
    red, green, blue = (round(255 * value) for value in mean)

    def some(rows: np.ndarray) -> Iterator[np.ndarray]:
        with ThreadPoolExecutor(os.cpu_count()) as workers:
            yield from workers.map(lambda i: _square(pool, int(i), size, (red, green, blue)), indices[rows])

    def every() -> Arrays:
        bar = {"desc": f"decode {pool.name}", "unit": "picture", "leave": False, "delay": 1, "disable": None}
        found = np.empty((len(indices), 3, size, size), np.uint8)
        for row, picture in enumerate(tqdm(some(np.arange(len(indices))), total=len(indices), **bar)):
            found[row] = picture
        return {"pixels": found}

    if len(indices) * 3 * size**2 > LARGEST:
        return lambda rows: np.stack(list(some(rows)))
    name = cache_name(pool, indices, size, f"{red} {green} {blue} whole v1")
    kept = cached("pictures", name, every)["pixels"]
    return lambda rows: kept[rows]


def _square(pool: Pool, i: int, size: int, fill: tuple[int, int, int]) -> np.ndarray:
    """(3, size, size), uint8."""
    try:
        picture = pool.read(i)
    except BadInput:
        raise
    except Exception as error:  # PIL has a dozen ways to say that a file is broken, or a bomb
        raise BadInput(
            f"{pool.name}: {pool.title(i)} cannot be read ({error}): mend it, or take it out of the annotations"
        ) from None
    return padded(picture, size, fill)


def padded(picture: Image.Image, size: int, fill: tuple[int, int, int]) -> np.ndarray:
    """(3, size, size), uint8: longer side resized to `size`, in the top left corner of a square of `fill`."""
    resized = fitted(picture.width, picture.height, size)
    if resized != picture.size:
        picture = picture.resize(resized, Image.Resampling.BICUBIC)
    square = Image.new("RGB", (size, size), fill)
    square.paste(picture)
    return np.asarray(square).transpose(2, 0, 1)
