"""What search, records, MLflow and figures cost the laptop rank sweep, as a share of its wall time.

The committed records are played back through the study runner: Optuna asks, hears every epoch and is told, each run is
recorded and logged to MLflow, the figures are drawn, all for real; only the training is left out, and its seconds are
those recorded. Figures of a growing study are drawn for at most `DRAWING` of its time, which a playback of a minute
cannot show: that share is added in full.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import defaultdict
from dataclasses import fields
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.execution import callbacks, launch
from bench.execution.executor import Ended, InProcess
from bench.execution.runner import Runner
from bench.records import Records
from bench.study import load
from bench.study.recording import Record, describe
from bench.training.loop import Outcome

NAME, SCALE = "rank-sweep", "laptop"


class Playback(InProcess):
    """A worker that finds what recorded runs found: those of the same task and method, in turn."""

    recorded: dict[tuple[Any, ...], Any]

    def start(self, job: Any) -> None:
        """Tells the epochs of a recorded run, as far as tuning lets it go."""
        record = next(self.recorded[kind(describe(job.run), job.phase == "tune")])
        outcome, scores = outcome_of(record), []
        for row in record["curve"]:
            scores.append(row["val"])
            if reason := self.told(job, row["epoch"], scores):
                outcome.status, outcome.reason, outcome.curve = "pruned", reason, record["curve"][: row["epoch"]]
                break
        self.over.append(Ended(job, outcome, datetime.now(UTC)))


class Player(Runner):
    """The study runner, with a playback in the place of training."""

    def trained_by(self) -> InProcess:
        return Playback(self.device, self.epoch)

    def baselines(self) -> None:
        """They are measured, not searched for: no part of what is timed here."""


def kind(about: Record, trial: bool) -> tuple[Any, ...]:
    """What a run that is played back has in common with the recorded one."""
    return about["task"]["spec"], about["method"]["name"], trial


def outcome_of(record: Record) -> Outcome:
    """What a run found, from its record; pictures stay out."""
    known = {field.name: record[field.name] for field in fields(Outcome) if field.name in record}
    known |= {"examples": [], "precision": record["training"]["precision"], "curve": list(record["curve"])}
    return Outcome(**known)


def run() -> list[tuple[str, str, str]]:
    """Rows of (what, time, ratio)."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)  # a benchmark's runs are nobody's results
    parts = load(Path(f"studies/{NAME.replace('-', '_')}.py"), SCALE)
    records = [r for r in Records(Path("results") / NAME / SCALE).all() if r["phase"] != "reference"]
    pools: dict[tuple[Any, ...], list[Record]] = defaultdict(list)
    for record in records:
        if record["status"] in ("ok", "pruned"):
            pools[kind(record, record["phase"] == "tune")].append(record)
    Playback.recorded = {key: cycle(pool) for key, pool in pools.items()}
    for part in parts:
        for task in part.tasks:
            task.fingerprint()  # neither is the first reading of the data
    with tempfile.TemporaryDirectory() as folder, patch.object(launch, "Runner", Player):
        target = Records(Path(folder) / "results" / NAME / SCALE)
        target.prepare()
        start = time.perf_counter()
        launch.carry_out(parts, SCALE, target, device="cpu", mlflow=True)
        ours = time.perf_counter() - start
        made = len(target.all())
    jobs = max(record["environment"].get("jobs", 1) for record in records)
    trained = sum(record["time"]["total"] for record in records) / jobs
    share = ours / (ours + trained) + callbacks.DRAWING
    return [
        (f"laptop sweep, {len(records)} runs as recorded, {jobs} at once: training", f"{trained / 60:.1f} min", ""),
        (f"search, records, MLflow, figures of {made} runs played back", f"{ours:.1f} s", f"{share:.1%} of the whole"),
    ]
