"""MLflow's client for a tracking URI, opened so that what cannot work says so at once."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import BaseFileLock, FileLock

from bench.errors import scrubbed, shown

if TYPE_CHECKING:
    from mlflow import MlflowClient

DEFAULTS = {  # of MLflow's own settings, where the user made no choice
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}
LOCKED = 15.0
"""Seconds to wait for another process that writes into the same file."""
_CHECKED = 500e6
"""Bytes up to which a database is looked through before it is used: a second at most."""


def uri(results: Path = Path("results")) -> str:
    """Where MLflow keeps its runs: $MLFLOW_TRACKING_URI, or the SQLite file mlflow.db in the results folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path(results).resolve()}/mlflow.db"


def brief(error: BaseException, *urls: str) -> str:
    """The gist of an error whose text may run over pages and quote passwords: scrubbed first, then shortened."""
    text = shown(scrubbed(" ".join(str(error).split()) or type(error).__name__, *urls), 10_000)
    known = re.search(r"Connection refused|timed out|Name or service not known|Failed to resolve", text)
    return known[0].lower() if known else text if len(text) < 120 else text[:117] + "..."


def database(uri: str) -> Path | None:
    """The SQLite file behind `uri`; None for anything else."""
    return Path(uri.removeprefix("sqlite:///").partition("?")[0]).absolute() if uri.startswith("sqlite:///") else None


def artefact_root(uri: str) -> Path | None:
    """The folder for artefacts beside a SQLite file; None where a server or another database decides."""
    file = database(uri)
    return file.with_name("mlartifacts") if file else None


def connect(uri: str) -> MlflowClient:
    """MLflow's client.

    Raises:
        OSError: `uri` is a file that is no database, which MLflow would try ten times, a minute and a half in all.
        Exception: what MLflow raises, of SQLAlchemy, requests, a missing driver.
    """
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    if file := database(uri):
        _sound(file)
    from mlflow import MlflowClient

    for logger in ("mlflow", "alembic"):  # the first start would print a page of migrations
        logging.getLogger(logger).setLevel(os.environ["MLFLOW_LOGGING_LEVEL"].upper())
    if file and not os.environ.get("MLFLOW_TRACKING_URI"):
        _hurry(file)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def lock(uri: str) -> BaseFileLock | contextlib.nullcontext[None]:
    """Held while something is looked up and then written, so that two processes do not write it twice."""
    file = database(uri)
    return FileLock(f"{file}.lock", timeout=LOCKED) if file else contextlib.nullcontext()


def _sound(file: Path) -> None:
    """Nothing, if `file` is an SQLite database or is not there yet."""
    if not os.path.lexists(file):
        return
    try:
        with contextlib.closing(sqlite3.connect(file, timeout=5)) as connection:
            check = "PRAGMA quick_check(1)" if file.stat().st_size < _CHECKED else "SELECT count(*) FROM sqlite_master"
            (found,) = connection.execute(check).fetchone()
    except (sqlite3.Error, OSError) as error:
        found = str(error)
    if found != "ok" and not isinstance(found, int):
        advice = "move it away, and it is made again from the records"
        raise OSError(f"{file.name} cannot be used ({' '.join(str(found).split())}): {advice}")


def _hurry(file: Path) -> None:
    """Spare `file` SQLite's ten disk syncs a run: `sync` rebuilds it, should a power cut ever break it."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    @event.listens_for(Engine, "connect")
    def ease(connection: Any, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            (_, _, path), *_ = connection.execute("PRAGMA database_list").fetchall()
            if path == str(file.resolve()):
                connection.execute("PRAGMA synchronous = OFF")
