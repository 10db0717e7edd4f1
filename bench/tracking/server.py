"""MLflow's web page over what is in the results folder."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping

from bench.errors import BadInput, masked
from bench.tracking import browser_defaults, columns
from bench.tracking.client import DEFAULTS, artefact_root

PATIENCE = 120.0  # seconds for the server to answer: it imports half of MLflow, on a cold disk slowly


def serve(uri: str, *, host: str = "127.0.0.1", port: int = 5000, studies: Mapping[str, str] | None = None) -> None:
    """Serve MLflow's page until Ctrl-C.

    Args:
        uri: as `bench.tracking.uri()` gives it; of a server that runs already, only the address is said.
        host: the interface to listen on.
        port: the first one to try; if it is taken, one of the next twenty is used.
        studies: MLflow's number of each study's experiment, for links: else MLflow opens on pages for agents.

    Raises:
        BadInput: no port is free, or the server does not start.
    """
    if uri.startswith(("http://", "https://")):
        _say(masked(uri), "", studies or {})
        return
    port = free_port(host, port)
    # The database's address may hold a password: in the environment, not on the command line, which all can read.
    address = {"MLFLOW_BACKEND_STORE_URI": uri, "MLFLOW_REGISTRY_STORE_URI": uri}
    own = {browser_defaults.EXPERIMENTS: ",".join((studies or {}).values())}
    environment = {"PYTHONWARNINGS": "ignore", **DEFAULTS, **os.environ, **address, **own}
    nothing = subprocess.DEVNULL  # MLflow says what goes wrong on stderr
    with contextlib.suppress(ValueError):  # only the main thread may, and only there Ctrl-C arrives
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = subprocess.Popen(command(uri, host, port), env=environment, stdin=nothing, stdout=nothing)
    try:
        _await(server, host, port)
        _say(f"http://{host}:{port}", " (Ctrl-C ends it)", studies or {})
        server.wait()
    except KeyboardInterrupt:
        print("\nMLflow has ended; the same command opens it again", flush=True)
    finally:
        _end(server)


def command(uri: str, host: str, port: int) -> list[str]:
    """The command line of the server over the database and artefacts that `sync` wrote."""
    root = artefact_root(uri)
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *(("--default-artifact-root", root.as_uri()) if root else ()),
        *(("--app-name", browser_defaults.NAME) if browser_defaults.registered() else ()),
        *("--host", host, "--port", str(port), "--workers", "1", "--uvicorn-opts", "--log-level warning"),
    ]


def _say(site: str, end: str, studies: Mapping[str, str]) -> None:
    """Where the page is, and for each study a link to the list of its runs with the columns that matter."""
    links = [f"  {study}: {columns.link(site, number)}" for study, number in studies.items()]
    print("\n".join([f"MLflow runs at {site}{end}", *links]), flush=True)


def free_port(host: str, first: int) -> int:
    """The first port from `first` on that nothing listens on."""
    for port in range(first, min(first + 20, 65536)):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except PermissionError:
                raise BadInput(f"port {port} needs more rights: choose one above 1023 with --port") from None
            except socket.gaierror:
                raise BadInput(f"unknown host {host!r}: try --host 127.0.0.1") from None
            except OSError:
                continue
            return port
    raise BadInput(f"no free port from {first} on {host}: choose another with --port")


def _await(server: subprocess.Popen[bytes], host: str, port: int) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
            return
        time.sleep(0.2)
    raise BadInput("the MLflow server did not start: what it said stands above")


def _end(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
