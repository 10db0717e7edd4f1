"""The files of a study that MLflow shows: on disk, in parents, in the run of the report."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from bench.tracking.client import database

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

REPORT = (".csv", ".png", ".svg", ".md")


def report(folder: Path) -> dict[str, Path]:
    """What to show of results/<study>/<scale>, by name: table, figures, and the study's page."""
    inside = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.suffix in REPORT}
    files = {str(name): path for name, path in inside.items() if name.parts[0] != "runs" and name.name[0] != "."}
    page = folder.parent / "README.md"
    return files if "README.md" in files or not page.is_file() else {**files, "README.md": page}


def figures(files: Mapping[str, Path], slug: str) -> dict[str, Path]:
    """Those of a report that a parent shows: of its own task and model ("overview.elpv.png"), and of all together."""
    return {
        name: path
        for name, path in files.items()
        if name.startswith("figures/") and name.endswith(".png") and name.split(".")[1:-1] in ([], [slug])
    }


def digest(files: Mapping[str, Path]) -> str:
    """Sixteen hex digits of names and contents."""
    whole = hashlib.sha256()
    for name, path in files.items():
        whole.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return whole.hexdigest()[:16]


def put(client: MlflowClient, run: Run, files: Mapping[str, Path], uri: str) -> None:
    """Show `files` in place of what the run showed: linked on this disk, which costs no space, else uploaded."""
    clear(run, uri)
    here = urlsplit(run.info.artifact_uri) if database(uri) else None
    for name, path in files.items():
        if here and here.scheme == "file":
            _link(path, Path(url2pathname(here.path)) / name)
        else:
            client.log_artifact(run.info.run_id, str(path), str(Path(name).parent).strip("."))


def clear(run: Run, uri: str) -> None:
    """Remove what the run shows, so that a figure that is no longer drawn does not stay."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    with contextlib.suppress(Exception):  # nothing is there yet, or the store deletes nothing
        get_artifact_repository(run.info.artifact_uri, tracking_uri=uri).delete_artifacts()


def _link(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(path, target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(path, target)
