"""Weights of a run that were not kept: trained again from its record alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench.errors import BadInput
from bench.execution.keeping import LIMIT, Keeping
from bench.records import Records
from bench.records.weights import find
from bench.study.again import run_of
from bench.training.device import choose_device
from bench.training.loop import train


def keep_again(name: str, *, results: Path, device: str | None = None, limit: str = LIMIT) -> tuple[Path, str]:
    """Trains a recorded run again and keeps its weights, with the scores that they have now.

    Args:
        name: of the run (`bench.records.weights.find`).
        results: folder of the records.
        device: torch device.
        limit: disk that the study's weights may take.

    Returns:
        The file, and how its validation score compares with the record's.

    Raises:
        BadInput: no such run, other data than then, a run that fails, or weights that cannot be written.
    """
    folder, run_id = find(results, name)
    record = Records(folder).read(run_id)
    if record is None or record["status"] != "ok" or "training" not in record or record["phase"] == "reference":
        raise BadInput(f"run {run_id} of {folder} was not trained to its end: there are no weights to keep")
    run = run_of(record, keep=True)
    if (was := (record.get("provenance") or {}).get("data_sha256")) not in (None, run.task.fingerprint()):
        raise BadInput(f"run {run_id}: the data of {run.task!r} have changed since ({was[:12]} then): train anew")
    outcome = train(run, device=choose_device(device))
    if outcome.status != "ok":
        raise BadInput(f"run {run_id}: trained again, it {outcome.status}: {outcome.reason}")
    said: list[str] = []
    metric, metrics = run.task.metric, outcome.metrics
    kept = replace(Keeping.asked(folder, "all", limit), said=said.append).write(
        record | {"metrics": metrics}, outcome.weights
    )
    if kept is None:
        raise BadInput(said[0])
    now, then = metrics["val"][metric], record["metrics"]["val"].get(metric)
    same = "as in its record" if now == then else f"{then:.4g} in its record: other hardware or versions"
    return kept, f"validation {metric} {now:.4g}, {same}"
