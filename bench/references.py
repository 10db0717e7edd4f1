"""References: what a task's figures are read against, computed by the suite and recorded like everything else."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from bench.environment import commit, environment
from bench.records import PROTOCOL, Records, run_id
from bench.study import Study
from bench.tasks import Reference, Task, description

Record = dict[str, Any]


def measure(study: Study, scale: str, records: Records, task: Task, reference: Reference, seed: int) -> Record | None:
    """Fits, tests and records a reference on one seed's split.

    Returns:
        The new record; None where there is one of these data already.
    """
    key = run_id({"task": repr(task), "reference": repr(reference), "seed": seed})
    known = records.read(key)
    if known is not None and known["provenance"].get("data_sha256") == task.fingerprint():
        return None
    start, started = time.perf_counter(), datetime.now(UTC).isoformat()
    found = reference.evaluate(task, seed=seed)
    provenance = {**commit(), "data_sha256": task.fingerprint(), "started": started}
    record = {
        **{"protocol": PROTOCOL, "run_id": key, "study": study.name, "scale": scale, "phase": "reference"},
        "task": description(task),
        "model": {"spec": "none", "name": "none"},
        "method": {
            **{"spec": repr(reference), "name": type(reference).__name__, "config": reference.config},
            "label": reference.label(task),
        },
        **{"training": {}, "seed": seed, "status": "ok", "reason": None, "curve": [], "parameters": {}},
        "metrics": found.metrics,
        "time": {"total": time.perf_counter() - start},
        "tuning": found.tuning,
        "environment": environment("cpu"),
        "provenance": {**provenance, "ended": datetime.now(UTC).isoformat()},
    }
    records.write(record)
    return record
