"""How a run becomes a record, and when a record spares a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from bench.records import PROTOCOL, Records, run_id
from bench.records.environment import commit, portable
from bench.study.plugins import fingerprint
from bench.study.study import Cell, Study
from bench.tasks import description
from bench.training.device import environment
from bench.training.loop import Outcome
from bench.training.memory_forecast import forecast_once
from bench.training.run import Run

Record = dict[str, Any]
DONE = ("ok", "pruned", "diverged")
"""Statuses that a second try on the same device would only repeat; the others are tried again."""


_RARE = ("retention", "update", "robustness", "weights")
"""What few studies measure: left out of the records of the others. Weights stand in a file of their own."""


def identity(run: Run, *, protocol: int = PROTOCOL) -> str:
    """The run's id: a hash of all that determines its result, as specifications, and of the protocol.

    They leave out what is at its default, so an option added later, off by default, does not disown old records;
    who changes a default, or what an option means, raises `PROTOCOL`.
    """
    parts = {"task": run.task, "model": run.model, "method": run.method, "training": run.training}
    said = {**({"trial": run.trial} if run.trial else {}), **({"retained": repr(run.retained)} if run.retained else {})}
    said |= {"shifts": repr(run.shifts)} if run.shifts else {}
    spec = {**{kind: repr(part) for kind, part in parts.items()}, "seed": run.seed, "test": run.test, **said}
    return run_id({"protocol": protocol, **spec})


def usable(record: Record, run: Run, device: str) -> bool:
    """Whether a record spares the run: it ended, on this kind of device, with the data and weights that are there.

    Where fp32 is asked for, every CPU is of one kind.
    """
    here, there = environment(device), record["environment"]
    known, weights = record.get("provenance") or {}, run.model.fingerprint() or run.model.cached()
    anywhere = portable(here, run.training.precision) and portable(there, record["training"].get("precision"))
    same = anywhere or all(here[key] == there.get(key) for key in ("device_name", "threads"))
    same = same and (weights is None or weights in (known.get("model_sha256"), known.get("weights_sha256")))
    same = same and known.get("method_sha256") == fingerprint(run.method)
    same = same and (run.retained is None or known.get("retained_sha256") == run.retained.fingerprint())
    return same and record["status"] in DONE and known.get("data_sha256") == run.task.fingerprint()


def keep(records: Records, record: Record) -> None:
    """Writes a record. A sound one in its place, of another device or other data, is moved aside, not lost."""
    there = records.read(record["run_id"])
    if there is not None and there["status"] in DONE:
        records.retire([there["run_id"]])
    records.write(record)


def retire_older(records: Records, cells: Iterable[Cell]) -> None:
    """Moves aside what older protocols measured of the tasks and models of some cells, now that these are done again.

    Not before: until then the older records are all that is known of the other methods.
    """
    whole = {(repr(cell.task), repr(cell.model)) for cell in cells}
    tasks = {task for task, _ in whole}
    records.retire(
        record["run_id"]
        for record in records.all()
        if record["protocol"] < PROTOCOL
        if (record["task"].get("spec"), record["model"].get("spec")) in whole
        or (record["phase"] == "reference" and record["task"].get("spec") in tasks)
    )


def describe(run: Run) -> Record:
    """Task, model, method and, if any, the old task and the shifts, as a record names them."""
    return {
        **({"retained": description(run.retained)} if run.retained else {}),
        **({"shifts": repr(run.shifts)} if run.shifts else {}),
        "task": description(run.task),
        "model": {"spec": repr(run.model), "name": run.model.name},
        "method": {"spec": repr(run.method), "name": type(run.method).__name__, "config": run.method.config},
    }


def of_method(record: Record) -> str:
    """The method as the study names it, before values were chosen, or as it was tuned."""
    said = record.get("trial") or record.get("tuning") or {}
    return str(said.get("of") or record["method"]["spec"])


def memory(run: Run, allocated: Mapping[str, Mapping[str, int]], *, device: str) -> Record:
    """What a run's training takes, in bytes: as measured on CUDA, and as estimated for any device.

    Args:
        run: what was trained.
        allocated: peaks of CUDA's allocator ("train", "eval"); empty elsewhere.
        device: what it was trained on.

    Returns:
        "peak" and what "kind" of figure that is: "measured", or a forecast's; "allocator" with all that was measured;
        "forecast". Where there is neither, "reason".
    """
    try:
        estimated = forecast_once(run, device=device).data
    except Exception as error:  # whatever a network does on tensors without bytes: the run itself went well
        estimated = {"peak": None, "kind": "unknown", "reason": f"{type(error).__name__}: {error}".splitlines()[0]}
    if not allocated:
        return {"peak": estimated["peak"], "kind": estimated["kind"], "forecast": estimated}
    peak = allocated["train"]["allocated"]
    return {"peak": peak, "kind": "measured", "allocator": dict(allocated), "forecast": estimated}


def made(
    study: Study,
    scale: str,
    records: Records,
    run: Run,
    outcome: Outcome,
    *,
    phase: str,
    started: datetime,
    device: str,
    jobs: int = 1,
    where: Record | None = None,
) -> Record:
    """Everything that is kept of a run; `bench/records/store.py` says what each field means.

    Its times are of a machine that `jobs` runs shared; the pictures of its examples go to `records`. `where` is the
    `environment` of the machine that it ran on, if that is another one.
    """
    found = {name: value for name, value in asdict(replace(outcome, weights=b"")).items() if value or name not in _RARE}
    found["memory"] = memory(run, outcome.memory, device=device) if phase != "tune" and outcome.status == "ok" else None
    resolved = found.pop("precision") or run.training.precision
    used = {"retained_sha256": run.retained and run.retained.fingerprint(), "method_sha256": fingerprint(run.method)}
    provenance = {**commit(), **found.pop("provenance"), **{key: value for key, value in used.items() if value}}
    provenance |= {"started": started.isoformat(), "ended": datetime.now(UTC).isoformat()}
    shown = [each | {"picture": records.keep_picture(each["picture"])} for each in found.pop("examples")]
    return {
        "protocol": PROTOCOL,
        "run_id": identity(run),
        "study": study.name,
        "scale": scale,
        "phase": phase,
        **describe(run),
        "training": run.training.config | {"precision": resolved},
        "seed": run.seed,
        **found,
        **({"examples": shown} if shown else {}),
        "environment": {"jobs": jobs} | (where or environment(device)),
        "provenance": provenance,
    }
