"""Pictures decoded and resized once, and kept in the user's cache, so that epochs and runs cost no decoding."""

from __future__ import annotations

import hashlib

import numpy as np
from PIL import Image
from tqdm import tqdm

from bench.errors import BadInput, say_once
from bench.tasks.caches import Arrays, cached
from bench.tasks.pictures import flattened
from bench.tasks.pools import Pool

TOO_MANY = 0.1
"""Share of unreadable pictures from which a set is refused."""


def decoded(pool: Pool, indices: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pictures at `indices` as bytes: shorter side resized to `size` (bicubic, antialiased), centre cropped.

    Args:
        pool: where they come from.
        indices: which ones.
        size: side of the square, in pixels.

    Returns:
        pixels (n, 3, size, size) uint8, labels (n,) int64 and which they are of `indices` (n,), without the pictures
        that cannot be read.

    Raises:
        BadInput: more than a tenth of them cannot be read.
    """
    found = cached("pictures", cache_name(pool, indices, size, "v1"), lambda: _decode_all(pool, indices, size))
    pixels, kept = found["pixels"], found["kept"]
    bad = [pool.title(i) for i in indices[~kept]]
    if len(bad) > TOO_MANY * len(indices):
        raise BadInput(
            f"{pool.name}: {len(bad)} of {len(indices)} pictures cannot be read, e.g. {bad[0]}: mend the set"
        )
    if bad:
        named = ", ".join(bad[:3]) + (", …" if len(bad) > 3 else "")
        say_once(f"{pool.name}: skipped {len(bad)} of {len(indices)} pictures that cannot be read: {named}")
    return pixels, pool.labels[indices][kept], indices[kept]


def cache_name(pool: Pool, indices: np.ndarray, size: int, recipe: str) -> str:
    """What those pictures are kept as, decoded: another where `recipe`, all else that the bytes depend on, differs."""
    digest = hashlib.sha256(f"{pool.sha256} {size} {recipe}".encode())
    digest.update(np.ascontiguousarray(indices, np.int64).tobytes())
    return f"{pool.name}-{size}px-{digest.hexdigest()[:16]}"


def _decode_all(pool: Pool, indices: np.ndarray, size: int) -> Arrays:
    pixels = np.empty((len(indices), 3, size, size), np.uint8)
    kept = np.zeros(len(indices), bool)
    for row, i in enumerate(
        tqdm(indices, desc=f"decode {pool.name}", unit="picture", leave=False, delay=1, disable=None)
    ):
        try:
            picture = flattened(pool.read(int(i)), pool.title(int(i)))
        except Exception:  # PIL has a dozen ways to say that a file is broken, or a bomb
            continue
        pixels[row] = square(picture, size)
        kept[row] = True
    return {"pixels": pixels[kept], "kept": kept}


def square(picture: Image.Image, size: int) -> np.ndarray:
    """(3, size, size), uint8: shorter side resized to `size`, centre cut out."""
    width, height = picture.size
    ratio = size / min(width, height)
    resized = (max(size, round(width * ratio)), max(size, round(height * ratio)))
    if resized != picture.size:
        picture = picture.resize(resized, Image.Resampling.BICUBIC)
    left, top = (resized[0] - size) // 2, (resized[1] - size) // 2
    return np.asarray(picture.crop((left, top, left + size, top + size))).transpose(2, 0, 1)
