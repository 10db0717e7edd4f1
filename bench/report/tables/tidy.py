"""The tidy table: one row a run, split and metric."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.records import write_atomically
from bench.report.data.display import uncalculated

if TYPE_CHECKING:
    import pandas as pd

_TEXT = ("run_id", "study", "scale", "phase", "family", "task", "model", "method", "spec")
_TYPES = {
    "search": "str", "trial": "Int64", "seed": "Int64", "lr": "float64", "status": "str", "reason": "str",
    "device_name": "str", "threads": "Int64", "precision": "str", "protocol": "Int64", "params_backbone": "Int64",
    "params_start": "Int64", "params_head": "Int64", "train_seconds": "float64", "total_seconds": "float64",
    "peak_memory": "Int64", "memory_kind": "str", "step_seconds": "float64", "step_flops": "float64",
    "train_joules": "float64", "latency_base": "float64", "latency_unmerged": "float64", "latency_merged": "float64",
    "checkpoint_bytes": "Int64", "best_epoch": "Int64",
    "split": "str", "metric": "str", "value": "float64",
}  # fmt: skip


def tidy(records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """The records as a tidy table: one row a run, split and metric; a failed run has one without value, a pruned
    one what it had reached.

    Args:
        records: as `Records.all` gives them.

    Returns:
        Columns: what was run (`run_id` … `spec`), the method's configuration (`method.rank` …), what was tuned of
        the training beside the learning rate (`weight_decay`), then search and number of the trial, seed, lr, status,
        device, parameters (`params_start` where some are removed in training), seconds, memory and the other costs,
        and `split`, `metric`, `value`. Rows in a fixed order.
    """
    import pandas as pd  # here, so that `bench --help` need not wait for it

    records = list(records)
    tuned = sorted({name for record in records for name in _tuned(record)})
    rows = sorted((row for record in records for row in _rows(record, tuned)), key=_order)
    config = sorted({key for row in rows for key in row if key.startswith("method.")})
    types: dict[str, str | None] = {
        **dict.fromkeys(_TEXT, "str"),
        **dict.fromkeys(config),
        **dict.fromkeys(tuned),
        **{name: kind for name, kind in _TYPES.items() if name != "params_start" or any(name in row for row in rows)},
    }
    columns: dict[str, pd.Series] = {}
    for name, kind in types.items():
        values = [row.get(name) for row in rows]
        kind = kind or _kind(values)
        if kind == "object":  # of several types, which Parquet has no column for
            kind, values = "str", [None if value is None else str(value) for value in values]
        columns[name] = pd.Series(values, dtype=kind)
    return pd.DataFrame(columns)


def write_table(folder: Path, frame: pd.DataFrame) -> Path:
    """Write a `tidy` table to folder/table.csv, the same bytes for the same records; no cell is a formula.

    Raises:
        BadInput: the folder cannot be written.
    """
    texts = {name: frame[name].map(uncalculated, na_action="ignore") for name in frame.select_dtypes("str")}
    text = frame.assign(**texts).to_csv(index=False, lineterminator="\n")
    return write_atomically(Path(folder) / "table.csv", text)


def _kind(values: list[Any]) -> str:
    """The column type that shows a method's field as written: rank 8, not 8.0 beside methods without."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int}:
        return "Int64"
    return "float64" if kinds and kinds <= {int, float} else "object"


def _tuned(record: Mapping[str, Any]) -> set[str]:
    """What was searched of the training and has no column yet."""
    space, params = (record.get("tuning") or {}).get("space"), (record.get("trial") or {}).get("params")
    names = {*(space or ()), *(params or ())}
    return {name for name in names & set(record["training"]) if name not in (*_TEXT, *_TYPES)}


def _rows(record: Mapping[str, Any], tuned: Iterable[str]) -> Iterator[dict[str, Any]]:
    task, model, method, training = (record[part] for part in ("task", "model", "method", "training"))
    environment, time = record["environment"], record.get("time") or {}
    parameters, trial = (record.get(part) or {} for part in ("parameters", "trial"))
    base = {
        **{key: record.get(key) for key in (*_TEXT, *_TYPES) if key not in ("task", "model", "method")},
        "family": task.get("family"), "task": task["name"], "model": model["name"], "method": method["name"],
        "spec": method["spec"], "lr": training.get("lr"), "precision": training.get("precision"),
        "device_name": environment.get("device_name"), "threads": environment.get("threads"),
        "params_backbone": parameters.get("backbone"), "params_head": parameters.get("head"),
        **({"params_start": parameters["start"]} if "start" in parameters else {}),
        "train_seconds": time.get("train"), "total_seconds": time.get("total"),
        **_costs(record),
        "search": trial.get("search") or (record.get("tuning") or {}).get("search"), "trial": trial.get("number"),
        **{key: training.get(key) for key in tuned},
        **{f"method.{key}": _cell(value) for key, value in (method.get("config") or {}).items()},
    }  # fmt: skip
    measured = record["metrics"] if record["status"] in ("ok", "pruned") else {}
    measured = {**measured, **_shifted(record.get("robustness") or {})}
    cells = [(split, name, value) for split, values in measured.items() for name, value in values.items()]
    for split, name, value in cells or [(None, None, None)]:
        yield {**base, "split": split, "metric": name, "value": value}


def _shifted(found: Mapping[str, Any]) -> dict[str, Mapping[str, float]]:
    """What was measured where data shift, as splits: "test noise 3", "test calibrated", "test weights 0.5"."""
    by = {
        f"test {name} {s}": each
        for name, levels in (found.get("corruptions") or {}).items()
        for s, each in levels.items()
    }
    when = found.get("calibration") or {}
    by |= {
        f"test {name}": when[key] for key, name in (("before", "as trained"), ("after", "calibrated")) if key in when
    }
    means = found.get("interpolation") or {}
    by |= {f"test weights {alpha}, {kind}": one for alpha, each in means.items() for kind, one in each.items()}
    return by | ({"test some": found["clean"]} if "clean" in found else {})


def _costs(record: Mapping[str, Any]) -> dict[str, Any]:
    """Bytes, seconds, floating-point operations and joules; latencies in seconds of one sample."""
    memory, step, energy, stored = (record.get(part) or {} for part in ("memory", "step", "energy", "checkpoint"))
    latency = (record.get("inference") or {}).get("latency") or {}
    return {
        "peak_memory": memory.get("peak"), "memory_kind": memory.get("kind"),
        "step_seconds": step.get("seconds"), "step_flops": step.get("flops"), "train_joules": energy.get("train"),
        **{f"latency_{form}": latency.get(form) for form in ("base", "unmerged", "merged")},
        "checkpoint_bytes": stored.get("backbone"),
    }  # fmt: skip


def _cell(value: Any) -> Any:
    """A method's field as one cell: ["q", "v"] as `q v`, other structures as JSON."""
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return " ".join(value)
    return json.dumps(value, sort_keys=True) if isinstance(value, list | tuple | dict) else value


def _order(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Sorts as a reader expects (ranks by size, not 1, 16, 2), and never leaves two rows tied."""
    texts = ("phase", "task", "model", "method")
    numbers = ("params_backbone", "trial", "lr", "seed")
    first = [str(row[key]) for key in texts] + [-1 if row[key] is None else row[key] for key in numbers]
    return (*first, *(str(row[key]) for key in ("spec", "run_id", "split", "metric")))
