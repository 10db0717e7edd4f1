"""A local server of small fake wheels, for the tests of the asset store."""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bench.assets import cache as assets
from bench.assets import download

FILES = {
    "pkg/data/images/a.png": os.urandom(200_000),
    "pkg/data/images/b.png": b"second",
    "pkg/data/labels.csv": b"images/a.png 1.0\n",
    "pkg/__init__.py": b"raise SystemExit('a package must never be imported')\n",
    "pkg-1.0.dist-info/METADATA": b"Name: pkg\n",
}


class Server(ThreadingHTTPServer):
    """Serves one archive with ranges; notes each (Range header, bytes sent); may break off or stall."""

    daemon_threads = True

    def __init__(self, content: bytes, *, break_at: int | None = None, stall: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.break_at, self.stall = content, break_at, stall
        self.seen: list[tuple[str | None, int]] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/pkg-1.0-py3-none-any.whl"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        start = int(re.findall(r"bytes=(\d+)-", asked)[0]) if asked else 0
        whole = len(self.server.content)
        body = self.server.content[start:]
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        time.sleep(self.server.stall)
        if self.server.break_at is not None and not self.server.seen:
            body = body[: self.server.break_at]
        self.wfile.write(body)
        self.server.seen.append((asked, len(body)))

    def log_message(self, *_: object) -> None:
        pass


def wheel(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def declare(archive: bytes, **changes: object) -> assets.Asset:
    asset = assets.Asset(
        name="toy",
        kind="data",
        what="a toy",
        package="pkg==1.0",
        members=("pkg/data/images/*.png", "pkg/data/labels.csv"),
        sha256=hashlib.sha256(archive).hexdigest(),
        size=len(archive),
        unpacked=sum(len(content) for name, content in FILES.items() if "/data/" in name),
        licence="MIT",
    )
    return replace(asset, **changes)


def serve(monkeypatch: pytest.MonkeyPatch, url: str, asset: assets.Asset) -> None:
    """Make `asset` the only one there is, at `url`; pip is not asked for anything."""
    monkeypatch.setattr(assets, "ASSETS", {asset.name: asset})
    monkeypatch.setattr(download, "locate", lambda _: url)
    monkeypatch.setattr(download, "_pip_settings", dict)
    monkeypatch.setattr(download, "_pip", no_pip)
    monkeypatch.delenv("LORA_BENCH_OFFLINE", raising=False)


def no_pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess(arguments, 1, "", "WARNING: Retrying after connection broken")


@contextmanager
def servers() -> Iterator[Callable[..., Server]]:
    """Yields a function that starts a `Server`; all are stopped at the end."""
    started: list[Server] = []

    def start(content: bytes, **options: float) -> Server:
        started.append(Server(content, **options))
        return started[-1]

    yield start
    for one in started:
        one.shutdown()
        one.server_close()


def leftovers(cache: Path) -> list[str]:
    """Every file in the cache but the locks."""
    return sorted(
        str(path.relative_to(cache)) for path in cache.rglob("*") if path.suffix != ".lock" and path.is_file()
    )


WHOLE = [f"assets/toy/{name}" for name in ("images/a.png", "images/b.png", "labels.csv", "manifest.json")]
