"""sha256 of files, each read once for as long as it does not change."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from bench.assets.download import sha256

TICK = 50_000_000
"""Nanoseconds within which a second change of a file may leave it the same time."""

_known: dict[tuple[str, tuple[int, ...]], str] = {}


def digest(path: Path) -> str:
    """The sha256 of a file as it is now. Within a process a file is read again only where its state has changed."""
    key = (os.path.realpath(path), state(path))
    if key in _known:
        return _known[key]
    settled, found = is_settled(key[1]), sha256(path)
    if settled:
        _known[key] = found
    return found


def known(path: Path) -> bool:
    """Whether the file's sha256 is known without reading it."""
    return (os.path.realpath(path), state(path)) in _known


def remember(path: Path, then: list[int], sha: str) -> None:
    """Takes the sha256 from where it was written down, if the file's state is still the one of then."""
    if (now := state(path)) == tuple(then):
        _known[os.path.realpath(path), now] = sha


def state(path: Path) -> tuple[int, ...]:
    """What changes with a file, also where its size and times are put back: the last one is the system's own."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns


def is_settled(now: Sequence[int]) -> bool:
    """Whether whoever changes the file from here on gives it another state: it is older than a tick of the clock."""
    return abs(time.time_ns() - now[-1]) > TICK
