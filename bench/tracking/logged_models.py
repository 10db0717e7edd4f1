"""An exported model in MLflow, under the run that trained it: `mlflow.pyfunc.load_model("models:/m-…")` loads it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.errors import BadInput, masked
from bench.tracking import tracker
from bench.tracking.client import brief, database
from bench.tracking.deadline import Worker
from bench.tracking.experiment import Experiment

UPLOAD = 600.0
"""Seconds for the files of a model."""


def log_model(folder: Path, study: str, run_id: str, record: Mapping[str, Any] | None, uri: str) -> str:
    """Logs a model that is written already, and first its run where MLflow does not have it yet.

    Args:
        folder: with MLflow's own files, signature and input example among them.
        study: whose experiment it goes to.
        run_id: of the run that trained it.
        record: of that run; None where there is none: then the model stands alone.
        uri: an MLflow tracking URI.

    Returns:
        Its address, "models:/m-…".

    Raises:
        BadInput: MLflow cannot be reached, or does not take it.
    """
    worker = Worker()
    try:
        experiment = worker.call(Experiment, study, uri, within=tracker.OPENING[database(uri) is not None])
        if record is not None:
            worker.call(experiment.log, record, within=tracker.CALL)
        number = worker.call(experiment.log_model, folder, run_id, within=UPLOAD)
    except Exception as error:  # of MLflow, SQLAlchemy, requests, a missing driver
        raise BadInput(f"{folder} is written, MLflow at {masked(uri)} did not take it: {brief(error, uri)}") from None
    return f"models:/{number}"
