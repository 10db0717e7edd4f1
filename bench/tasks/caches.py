"""Arrays that are dear to make and lie in the user's cache: decoded pictures, token ids."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from bench.assets import cache_folder
from bench.assets.digests import state

Arrays = dict[str, np.ndarray]


def cached(folder: str, name: str, make: Callable[[], Arrays]) -> Arrays:
    """The arrays kept under `<cache>/folder/name.npz`, made and kept if they are not there or not whole.

    Args:
        folder: kind of content.
        name: must change with whatever the arrays depend on.
        make: makes them.
    """
    path = cache_folder() / folder / f"{name}.npz"
    found = _read(path)
    if found is None:
        found = make()
        _write(path, found)
    return found


def stamps(files: Iterable[Path]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """What tells whether files changed: name, size and times of each. With `lru_cache` they are read once."""
    return tuple((str(file), state(file)) for file in files)


def _read(path: Path) -> Arrays | None:
    try:
        with np.load(path) as stored:
            return {key: stored[key] for key in stored.files}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None


def _write(path: Path, arrays: Arrays) -> None:
    """Whole or not at all, so that a killed process or a second one leaves no half file. A full disk is no error."""
    name = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            name = file.name
            np.savez(file, **arrays)  # type: ignore[arg-type]
        os.replace(name, path)
    except OSError as error:
        warnings.warn(f"{path.parent.name} are not cached: {error}", stacklevel=2)
        if name:
            Path(name).unlink(missing_ok=True)
