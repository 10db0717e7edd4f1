"""Baselines without a network: computed by the suite and recorded like everything else."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from bench.errors import scrubbed
from bench.records import PROTOCOL, Records, run_id
from bench.records.environment import commit
from bench.records.outcomes import encode
from bench.study import Study
from bench.study.recording import Record
from bench.tasks import Baseline, Found, Task, description
from bench.training.device import of_this_machine


def identity(task: Task, baseline: Baseline, seed: int) -> str:
    """The id of a baseline's record."""
    return run_id({"task": repr(task), "reference": repr(baseline), "seed": seed})


def measure(
    study: Study, scale: str, records: Records, task: Task, baseline: Baseline, seed: int
) -> tuple[Record, bool]:
    """Fits, tests and records a baseline on one seed's split, unless that is done for these data.

    Returns:
        The record, and whether it is new. What goes wrong becomes its status and reason.
    """
    known = records.read(identity(task, baseline, seed))
    there = known is not None and (known.get("provenance") or {}).get("data_sha256") == task.fingerprint()
    if known is not None and there and known["status"] == "ok":
        return known, False
    start, started, status, reason = time.perf_counter(), datetime.now(UTC), "ok", None
    try:
        found = baseline.evaluate(task, seed=seed)
    except Exception as error:  # a baseline that does not fit these data must not end the study
        found, status = Found({}, {}), "failed"
        reason = scrubbed(f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}")
    record = {
        **{"protocol": PROTOCOL, "run_id": identity(task, baseline, seed), "study": study.name, "scale": scale},
        **{"phase": "reference", "task": description(task), "model": {"spec": "none", "name": "none"}},
        "method": {
            **{"spec": repr(baseline), "name": type(baseline).__name__, "config": baseline.config},
            "label": baseline.label(task),
        },
        **{"training": {}, "seed": seed, "status": status, "reason": reason, "curve": [], "parameters": {}},
        **{"metrics": found.metrics, "tuning": found.tuning},
        "outcomes": {part: encode(each) for part, each in found.outcomes.items()},
        "time": {"total": time.perf_counter() - start},
        "environment": of_this_machine("cpu"),
        "provenance": {
            **{**commit(), "data_sha256": task.fingerprint(), **found.provenance},
            **{"started": started.isoformat(), "ended": datetime.now(UTC).isoformat()},
        },
    }
    records.write(record)
    return record, True


def retire(records: Records, task: Task) -> None:
    """Moves aside the task's baselines that it no longer has. Those of other seeds may be another part's."""
    current = {repr(baseline) for baseline in task.baselines}
    records.retire(
        record["run_id"]
        for record in records.all()
        if record["phase"] == "reference"
        if record["protocol"] == PROTOCOL  # older ones go with the runs that they stand beside
        if record["task"].get("spec") == repr(task) and record["method"]["spec"] not in current
    )
