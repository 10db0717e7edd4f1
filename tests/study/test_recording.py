"""Ids of runs: the committed records keep theirs while they hold; where what a run computes has changed, others."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from bench.methods import METHODS
from bench.models import MODELS
from bench.records.protocol import HISTORY, PROTOCOL, changed
from bench.spec import parse
from bench.study.recording import identity
from bench.tasks import TASKS
from bench.training.recipe import Training
from bench.training.run import Run
from bench.training.shifts import Shifts
from tests.support.tiny_study import STUDY

RESULTS = Path(__file__).parents[2] / "results"
IN_FP32 = ("methods", "initialisation", "quantised")
STUDIES = sorted(runs.parents[1].name for runs in RESULTS.glob("*/laptop/runs") if runs.parents[1].name != "costs")


def run_of(record: dict, precision: str = "auto") -> Run:
    """The run that a record is of: its specifications, read again; of the precision that its study asked for."""
    task, model, method = (
        parse(record[kind]["spec"], known=known, kind=kind)
        for kind, known in (("task", TASKS), ("model", MODELS), ("method", METHODS))
    )
    known = {field.name for field in fields(Training)}
    said = {key: value for key, value in record["training"].items() if key in known} | {"precision": precision}
    retained = record.get("retained") and parse(record["retained"]["spec"], known=TASKS, kind="task")
    shifts = record.get("shifts") and parse(record["shifts"], known={"Shifts": Shifts}, kind="shifts")
    return Run(task, model, method, Training(**said), record["seed"], retained=retained or None, shifts=shifts or None)


@pytest.mark.parametrize("study", STUDIES)
def test_committed_records_keep_their_ids(study: str) -> None:
    found = [json.loads(path.read_text()) for path in sorted((RESULTS / study / "laptop" / "runs").glob("*.json"))]
    finals = [record for record in found if record["phase"] in ("final", "default")]
    asked = "fp32" if study in IN_FP32 else "auto"
    assert finals and all(identity(run_of(r, asked), protocol=r["protocol"]) == r["run_id"] for r in finals)


def test_another_protocol_is_another_run() -> None:
    run = Run(STUDY.tasks[0], STUDY.models[0], STUDY.methods[0], STUDY.training, 0)
    assert identity(run) == identity(run, protocol=PROTOCOL) != identity(run, protocol=1)
    assert identity(run) != identity(replace(run, training=replace(run.training, activation_checkpointing=True)))
    assert max(HISTORY) == PROTOCOL and sorted(HISTORY) == list(range(1, PROTOCOL + 1))
    assert changed(PROTOCOL) == "" and all(said in changed(1) for said in HISTORY[2])
