"""A Ray cluster as a lab has it: a head that `ray start` has started, and that may end at any moment."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.support.local_cluster import MEMORY, QUIET

OPEN = {"RAY_AUTH_MODE": "disabled"}
"""Asks for no token, whatever is on this machine."""


def free_ports(n: int) -> list[int]:
    """Ports that nothing listens on."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(n)]
        return [each.getsockname()[1] for each in found]


@dataclass
class Head:
    """A head.

    Args:
        port: of the cluster.
        client: where its server for `ray://` listens.
        process: `ray start --block`.
    """

    port: int
    client: int
    process: Any

    def kill(self) -> None:
        """Ends all of its processes at once, as a power cut does."""
        each = [self.process, *self.process.children(recursive=True)]
        for process in each:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(each, timeout=30)


@contextlib.contextmanager
def head(cache: Path, *, ports: list[int], cpus: int = 2) -> Iterator[Head]:
    """A head with `cpus`, at these ports; `cache` is where its workers keep assets."""
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:  # short: sockets are in it
        line = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats"]
        line += ["--include-dashboard=false", f"--num-cpus={cpus}", f"--object-store-memory={MEMORY}"]
        line += [f"--port={ports[0]}", f"--ray-client-server-port={ports[1]}", f"--temp-dir={folder}"]
        own = os.environ | QUIET | OPEN | {"LORA_BENCH_CACHE": str(cache)}
        log = Path(folder) / "start.log"
        with log.open("w") as out:
            started = subprocess.Popen(line, env=own, stdout=out, stderr=subprocess.STDOUT)
        made = Head(ports[0], ports[1], psutil.Process(started.pid))
        try:
            _wait(made, started, log)
            yield made
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                made.kill()
            started.wait(timeout=30)


def _wait(made: Head, started: subprocess.Popen[bytes], log: Path) -> None:
    """Until both ports answer."""
    end = time.monotonic() + 120
    for port in (made.port, made.client):
        while True:
            assert started.poll() is None and time.monotonic() < end, log.read_text()
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.2)
