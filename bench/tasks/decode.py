"""Pictures decoded and resized once, and kept in the user's cache, so that epochs and runs cost no decoding."""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from PIL import Image
from tqdm import tqdm

from bench.assets import cache_folder
from bench.errors import BadInput
from bench.tasks.pool import Pool

TOO_MANY = 0.1
"""Share of unreadable pictures from which a set is refused."""


def decoded(pool: Pool, indices: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The pictures at `indices` as bytes: shorter side resized to `size` (bicubic, antialiased), centre cropped.

    Args:
        pool: where they come from.
        indices: which ones.
        size: side of the square, in pixels.

    Returns:
        pixels (n, 3, size, size) uint8 and labels (n,) int64, without the pictures that cannot be read.

    Raises:
        BadInput: more than a tenth of them cannot be read.
    """
    path = _cache_path(pool, indices, size)
    cached = _read_cache(path)
    if cached is None:
        cached = _decode_all(pool, indices, size)
        _write_cache(path, *cached)
    pixels, kept = cached
    bad = [pool.title(i) for i in indices[~kept]]
    if len(bad) > TOO_MANY * len(indices):
        raise BadInput(
            f"{pool.name}: {len(bad)} of {len(indices)} pictures cannot be read, e.g. {bad[0]}: mend the set"
        )
    if bad:
        named = ", ".join(bad[:3]) + (", …" if len(bad) > 3 else "")
        warnings.warn(
            f"{pool.name}: skipped {len(bad)} of {len(indices)} pictures that cannot be read: {named}", stacklevel=2
        )
    return pixels, pool.labels[indices][kept]


def _decode_all(pool: Pool, indices: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    pixels = np.empty((len(indices), 3, size, size), np.uint8)
    kept = np.zeros(len(indices), bool)
    for row, i in enumerate(
        tqdm(indices, desc=f"decode {pool.name}", unit="picture", leave=False, delay=1, disable=None)
    ):
        try:
            picture = pool.read(int(i)).convert("RGB")
        except Exception:  # PIL has a dozen ways to say that a file is broken, or a bomb
            continue
        pixels[row] = _square(picture, size)
        kept[row] = True
    return pixels[kept], kept


def _square(picture: Image.Image, size: int) -> np.ndarray:
    """(3, size, size), uint8."""
    width, height = picture.size
    ratio = size / min(width, height)
    resized = (max(size, round(width * ratio)), max(size, round(height * ratio)))
    if resized != picture.size:
        picture = picture.resize(resized, Image.Resampling.BICUBIC)
    left, top = (resized[0] - size) // 2, (resized[1] - size) // 2
    return np.asarray(picture.crop((left, top, left + size, top + size))).transpose(2, 0, 1)


def _cache_path(pool: Pool, indices: np.ndarray, size: int) -> Path:
    digest = hashlib.sha256(f"{pool.sha256} {size} v1".encode())
    digest.update(np.ascontiguousarray(indices, np.int64).tobytes())
    return cache_folder() / "pictures" / f"{pool.name}-{size}px-{digest.hexdigest()[:16]}.npz"


def _read_cache(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    try:
        with np.load(path) as stored:
            return stored["pixels"], stored["kept"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None


def _write_cache(path: Path, pixels: np.ndarray, kept: np.ndarray) -> None:
    """Whole or not at all, so that a killed process or a second one leaves no half file. A full disk is no error."""
    name = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            name = file.name
            np.savez(file, pixels=pixels, kept=kept)
        os.replace(name, path)
    except OSError as error:
        warnings.warn(f"decoded pictures are not cached: {error}", stacklevel=2)
        if name:
            Path(name).unlink(missing_ok=True)
