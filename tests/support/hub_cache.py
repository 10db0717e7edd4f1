"""The hub's cache as its library lays it: blobs by their hash, and snapshots of links to them."""

from __future__ import annotations

import hashlib
from pathlib import Path

COMMIT = "c" * 40


def lay(hub: Path, repository: str, folder: Path, *, large: tuple[str, ...] = ("*.safetensors", "*.bin")) -> Path:
    """Puts a folder's files there as a repository; those that match `large` by their sha256, others by git's sha1.

    Returns the snapshot.
    """
    home = hub / f"models--{repository.replace('/', '--')}"
    blobs, snapshot = home / "blobs", home / "snapshots" / COMMIT
    for each in (blobs, snapshot, home / "refs"):
        each.mkdir(parents=True)
    (home / "refs" / "main").write_text(COMMIT)
    for file in folder.iterdir():
        if file.is_file():
            raw = file.read_bytes()
            is_large = any(file.match(pattern) for pattern in large)
            name = hashlib.sha256(raw) if is_large else hashlib.sha1(b"blob %d\0" % len(raw) + raw)
            (blobs / name.hexdigest()).write_bytes(raw)
            (snapshot / file.name).symlink_to(blobs / name.hexdigest())
    return snapshot


def spoil(file: Path) -> None:
    """Changes a byte in the middle of a file, which keeps its size and its time."""
    import os

    real, times = file.resolve(), file.stat()
    raw = bytearray(real.read_bytes())
    raw[len(raw) // 2] ^= 1
    real.write_bytes(raw)
    os.utime(real, ns=(times.st_atime_ns, times.st_mtime_ns))
