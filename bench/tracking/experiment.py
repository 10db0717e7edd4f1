"""One study's experiment in MLflow: parents, runs and the report. Writing twice changes nothing."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import os
import re
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import BaseFileLock, FileLock

from bench.tracking import chosen, entries

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

PARENT = "mlflow.parentRunId"
ENDS = {"ok": "FINISHED", "pruned": "KILLED"}
"""MLflow's word for how a run ended; FAILED for all others."""
COMPLETE = ("FINISHED", "FAILED", "KILLED")
REPORT = (".csv", ".png", ".svg", ".md")
DEFAULTS = {  # of MLflow's own settings, where the user made no choice
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


def uri(results: Path = Path("results")) -> str:
    """Where MLflow keeps its runs: $MLFLOW_TRACKING_URI, or the SQLite file mlflow.db in the results folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path(results).resolve()}/mlflow.db"


def shown(uri: str) -> str:
    """`uri` for a message, without its password."""
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", uri)


def brief(error: Exception) -> str:
    """The gist of an error whose text may run over pages."""
    text = " ".join(str(error).split()) or type(error).__name__
    known = re.search(r"Connection refused|timed out|Name or service not known|Failed to resolve", text)
    return known[0].lower() if known else shown(text if len(text) < 120 else text[:117] + "...")


def database(uri: str) -> Path | None:
    """The SQLite file behind `uri`; None for anything else."""
    return Path(uri.removeprefix("sqlite:///")).absolute() if uri.startswith("sqlite:///") else None


def artefact_root(uri: str) -> Path | None:
    """The folder for artefacts beside a SQLite file; None where a server or another database decides."""
    file = database(uri)
    return file.with_name("mlartifacts") if file else None


class Experiment:
    """The MLflow experiment of one study. Its methods raise what MLflow raises.

    Args:
        study: name of the study, and of the experiment.
        uri: an MLflow tracking URI; `number` is the experiment's id there.
    """

    def __init__(self, study: str, uri: str) -> None:
        self._uri = uri
        self._client = _client(uri)
        self._lock = _lock(uri)
        with self._lock:
            self.number = _experiment_id(self._client, study, artefact_root(uri))
        self._digests: dict[str, str] = {}  # scale and run_id -> digest of the record shown in full
        self._parents: dict[str, str] = {}  # digest of the group -> MLflow's id of the parent
        for run in self._search():
            tags = run.data.tags
            if tags.get("kind") == "parent":
                self._parents[tags["group"]] = run.info.run_id
            elif "record" in tags and run.info.status in COMPLETE:
                self._digests[f"{tags['scale']} {tags['run_id']}"] = tags["record"]

    def log(self, record: Mapping[str, Any]) -> bool:
        """Show one run, anew if its record changed or an earlier attempt was cut short.

        Returns:
            Whether there was anything to do.
        """
        run_id, scale = record["run_id"], record["scale"]
        key, digest = f"{scale} {run_id}", _digest(json.dumps(record, sort_keys=True).encode())
        if self._digests.get(key) == digest:
            return False
        with self._lock:  # a study and `bench mlflow ui` may log the same record at once
            there = False
            for run in self._search(f"tags.run_id = '{run_id}' and tags.scale = '{scale}'"):
                same = run.info.status in COMPLETE and run.data.tags.get("record") == digest
                if there or not same:
                    self._client.delete_run(run.info.run_id)
                there = there or same
            if not there:
                self._write(record, digest)
        self._digests[key] = digest
        return not there

    def artefacts(self, folder: Path) -> bool:
        """Put the table, figures and page of results/<study>/<scale> into the run "report · <scale>".

        Returns:
            Whether there was anything to do.
        """
        files, scale = _report(Path(folder)), Path(folder).name
        digest = _digest(*(part for name in files for part in (name.encode(), files[name].read_bytes())))
        with self._lock:
            found = self._search(f"tags.kind = 'report' and tags.scale = '{scale}'")
            if not files or (found and found[0].data.tags.get("files") == digest):
                return False
            tags = {"kind": "report", "scale": scale}
            run = found[0] if found else self._client.create_run(self.number, None, tags, f"report · {scale}")
            self._clear(run)
            for name, path in files.items():
                self._client.log_artifact(run.info.run_id, str(path), str(Path(name).parent).strip("."))
            self._client.set_tag(run.info.run_id, "files", digest)
            self._client.set_terminated(run.info.run_id)
        return True

    def _write(self, record: Mapping[str, Any], digest: str) -> None:
        from mlflow.entities import Metric

        begin, end = entries.span(record)
        parent = self._parent(record, begin)
        tags = {**entries.tags(record), "record": digest, PARENT: parent}
        run_id = self._client.create_run(self.number, begin, tags, entries.run_name(record)).info.run_id
        metrics = [Metric(*point) for point in entries.metrics(record)]
        self._params(run_id, entries.params(record), metrics[:800])
        for first in range(800, len(metrics), 800):  # one request takes 1,000 things
            self._client.log_batch(run_id, metrics=metrics[first : first + 800])
        self._update(parent, record, end)
        # Last: a run that was never ended is one to write anew.
        self._client.set_terminated(run_id, ENDS.get(record["status"], "FAILED"), end)

    def _update(self, parent: str, record: Mapping[str, Any], end: int | None) -> None:
        """Has the parent span its children, which come in any order, and show what was chosen for them."""
        run = self._client.get_run(parent)
        info, tags = run.info, run.data.tags
        self._client.set_terminated(
            parent, "FINISHED", max(t for t in (end, info.end_time, info.start_time, 0) if t is not None)
        )
        if not (new := chosen.choice(record)):
            return
        choices = chosen.read(tags) | new
        shown = chosen.write(choices)
        self._tags(parent, {key: value for key, value in shown.items() if tags.get(key) != value})
        for key in tags:
            if key.startswith(chosen.PREFIX) and key not in shown:
                self._client.delete_tag(parent, key)
        on = record["tuning"]["on"]
        key, score = chosen.metric(on), chosen.best(choices, on)
        if run.data.metrics.get(key) != score:
            before = self._client.get_metric_history(parent, key)  # MLflow shows the one with the latest moment
            at = max([end or 0, *(point.timestamp + 1 for point in before)])
            self._client.log_metric(parent, key, math.nan if score is None else score, at)

    def _tags(self, run_id: str, values: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        tags = [RunTag(key, value[:5000]) for key, value in values.items()]
        for first in range(0, len(tags), 100):  # one request takes 100
            self._client.log_batch(run_id, tags=tags[first : first + 100])

    def _parent(self, record: Mapping[str, Any], begin: int | None) -> str:
        """MLflow's id of the run under which this one stands, made if there is none."""
        group = entries.group(record)
        key = _digest(json.dumps(group, sort_keys=True).encode())
        if key in self._parents:
            return self._parents[key]
        if found := self._search(f"tags.kind = 'parent' and tags.group = '{key}'"):
            run = found[0]  # another process made it since
        else:
            named = {name: group[name] for name in ("task", "model", "method", "scale")}
            tags = {"kind": "parent", "group": key, "study": str(record["study"]), **named}
            run = self._client.create_run(self.number, begin, tags, entries.group_name(record))
            self._params(run.info.run_id, group)
        self._parents[key] = run.info.run_id
        return self._parents[key]

    def _params(self, run_id: str, values: Mapping[str, str], metrics: Sequence[Metric] = ()) -> None:
        from mlflow.entities import Param

        params = [Param(key, value[:6000]) for key, value in values.items()]
        self._client.log_batch(run_id, metrics=metrics, params=params[:100])
        for first in range(100, len(params), 100):  # one request takes 100
            self._client.log_batch(run_id, params=params[first : first + 100])

    def _search(self, query: str = "") -> list[Run]:
        runs: list[Run] = []
        token: str | None = None
        while True:
            page = self._client.search_runs([self.number], query, max_results=1000, page_token=token)
            runs += page
            token = page.token
            if not token:
                return runs

    def _clear(self, run: Run) -> None:
        """Remove what the report held, so that a figure that is no longer drawn does not stay."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        with contextlib.suppress(Exception):  # nothing is there yet, or the store deletes nothing
            get_artifact_repository(run.info.artifact_uri, tracking_uri=self._uri).delete_artifacts()


def _client(uri: str) -> MlflowClient:
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    for logger in ("mlflow", "alembic"):  # the first start would print a page of migrations
        logging.getLogger(logger).setLevel(os.environ["MLFLOW_LOGGING_LEVEL"].upper())
    if (file := database(uri)) and not os.environ.get("MLFLOW_TRACKING_URI"):
        _hurry(file)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


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


def _lock(uri: str) -> BaseFileLock | contextlib.nullcontext[None]:
    file = database(uri)
    return FileLock(f"{file}.lock", timeout=60) if file else contextlib.nullcontext()


def _experiment_id(client: MlflowClient, study: str, root: Path | None) -> str:
    found = client.get_experiment_by_name(study)
    if found is None:
        # The kind spares the reader a dialogue; without it MLflow 3 guesses between training and agents.
        tags = {"mlflow.experimentKind": "custom_model_development"}
        location = (root / study).as_uri() if root else None
        return str(client.create_experiment(study, artifact_location=location, tags=tags))
    if found.lifecycle_stage != "active":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _report(folder: Path) -> dict[str, Path]:
    """What to show of results/<study>/<scale>, by name: table, figures, and the study's page."""
    inside = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.suffix in REPORT}
    files = {str(name): path for name, path in inside.items() if name.parts[0] != "runs" and name.name[0] != "."}
    page = folder.parent / "README.md"
    return files if "README.md" in files or not page.is_file() else {**files, "README.md": page}


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
