"""What MLflow shows of a record: names, parameters, tags, metrics. Plain data, no MLflow."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

MEASURED = ("parameters", "time", "memory", "step", "energy", "inference", "checkpoint")


class Point(NamedTuple):
    """One value of a metric: `step` is the epoch of a curve, 0 of a result; `at` is in ms since 1970."""

    key: str
    value: float
    at: int
    step: int


def started(record: Mapping[str, Any]) -> str:
    """When the run began (ISO 8601, UTC), for sorting; "" if the record does not say."""
    return str((record.get("provenance") or {}).get("started") or "")


def span(record: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Begin and end of the run, in ms since 1970; None where the record does not say."""
    provenance = record.get("provenance") or {}
    begin, end = (_milliseconds(provenance.get(key)) for key in ("started", "ended"))
    return begin, end


def run_name(record: Mapping[str, Any]) -> str:
    """Such as "rank=8 trial 3 · lr 0.0021 · seed 1000 · LoRA(rank=8, at=('q', 'v'))", or "rank=8 seed 0 · LoRA(…)".

    MLflow's column shows the first 14 letters. Several methods may stand under one parent, so their first option
    leads; that of the method as the study names it, for the run's own may hold a searched value.
    """
    spec, trial, phase = str(record["method"]["spec"]), record.get("trial") or {}, record["phase"]
    named = (trial or record.get("tuning") or {}).get("of") or spec
    first = re.search(r"\((\w+=[\w.-]+)", str(named))
    head, seed = list(first.groups() if first else ()), f"seed {record['seed']}"
    if trial:
        head = [" ".join([*head, f"trial {trial['number']}"]), *map(_short, trial["params"].items()), seed]
    elif phase == "tune":
        head = [" ".join([*head, f"lr {record['training'].get('lr')} tuning", seed])]
    else:
        head = [" ".join([*head, *([phase] if phase != "final" else []), seed])]
    return " · ".join([*head, spec])[:250]


def group_name(record: Mapping[str, Any]) -> str:
    """Such as "LoRA · elpv · laptop · vit_small_patch14_dinov2"; a reference has no model and says so."""
    named = group(record)
    last = "reference" if record["phase"] == "reference" else named["model"]
    return " · ".join([*(named[key] for key in ("method", "task", "scale")), last])


def group(record: Mapping[str, Any]) -> dict[str, str]:
    """The parameters that the runs of one parent share. Children repeat them: MLflow's filters drop those
    that do not match, whatever their parent does."""
    named = {key: str(record[key]["name"]) for key in ("task", "model", "method")}
    specs = {f"{key}.spec": _text(record[key].get("spec")) for key in ("task", "model")}
    return {**named, **specs, "scale": str(record["scale"])}


def params(record: Mapping[str, Any]) -> dict[str, str]:
    """All parameters of a run: the group's, then the method's, the training's, the trial's and the tuning's."""
    training = record["training"]
    values = {
        "method.spec": record["method"]["spec"],
        "seed": record["seed"],
        "lr": training.get("lr"),
        **_flat("method", record["method"].get("config")),
        **_flat("training", training),
        **_flat("trial", record.get("trial")),
        **_flat("tuning", _summary(record.get("tuning") or {})),
    }
    return group(record) | {key: _text(value) for key, value in values.items() if value is not None}


def tags(record: Mapping[str, Any]) -> dict[str, str]:
    """What to filter and group runs by, and where they come from."""
    environment, provenance = record["environment"], record.get("provenance") or {}
    config, trial = record["method"].get("config") or {}, record.get("trial") or {}
    values = {
        **{key: record[key] for key in ("run_id", "study", "scale", "phase", "seed", "status", "protocol")},
        **{key: record[key]["name"] for key in ("task", "model", "method")},
        "kind": "run",
        "label": record["method"].get("label"),
        "reason": record.get("reason"),
        "trial": trial.get("number"),
        "search": (trial or record.get("tuning") or {}).get("search"),
        "family": record["task"].get("family"),
        "rank": config.get("rank"),
        "placement": _placement(config),
        "device": environment.get("device"),
        "device_name": environment.get("device_name"),
        "git_sha": provenance.get("git_sha"),
        "git_dirty": provenance.get("git_dirty"),
        "weights": provenance.get("weights"),
        "mlflow.source.name": f"bench run {record['study']} --scale {record['scale']}",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": provenance.get("git_sha"),
        "mlflow.note.content": record.get("reason") or record["method"].get("label"),
    }
    return {key: _text(value)[:5000] for key, value in values.items() if value is not None}


def metrics(record: Mapping[str, Any]) -> list[Point]:
    """Results as "test/top1" and "time/train"; the learning curve as "epoch/val_top1", epochs as steps."""
    begin, end = span(record)
    end = end or begin or 0
    results = _flat("", record["metrics"], "/")
    for part in MEASURED:
        results |= _flat(part, record.get(part), "/")
    if record.get("best_epoch") is not None:
        results["best_epoch"] = record["best_epoch"]
    points = [Point(key, float(value), end, 0) for key, value in results.items() if _finite(value)]
    return [*points, *_curve(record, begin or end, end)]


def _curve(record: Mapping[str, Any], begin: int, end: int) -> Iterator[Point]:
    """The learning curve; the moments of its epochs are spread evenly between those of the record."""
    curve = record.get("curve") or []
    for number, row in enumerate(curve, 1):
        at = begin + (end - begin) * number // len(curve)
        for key, value in _flat("", {key: row[key] for key in row if key != "epoch"}, "_").items():
            if _finite(value):
                yield Point(f"epoch/{key}", float(value), at, int(row.get("epoch", number)))


def _summary(tuning: Mapping[str, Any]) -> dict[str, Any]:
    """How a run's values came about, without the trials: those are runs of their own."""
    short = dict(tuning)
    if "candidates" in short:  # of a reference
        short["candidates"] = len(short["candidates"])
    if "search" not in short:
        return short
    ends = Counter(trial["status"] for trial in short.get("trials") or [])
    short["trials"] = ", ".join(f"{count} {status}" for status, count in sorted(ends.items(), key=_ok_first))
    short["space"] = ", ".join(_range(key, space) for key, space in (short.get("space") or {}).items())
    chosen = short.get("chosen")
    short["chosen"] = {"trial": chosen["number"], **chosen["params"]} if chosen else "none"
    short["edge"] = short.get("edge") or None
    return short


def _ok_first(end: tuple[str, int]) -> tuple[bool, str]:
    return end[0] != "ok", end[0]


def _range(key: str, space: Mapping[str, Any]) -> str:
    """Such as "lr 0.0001..0.01 log" or "rank_stabilised False or True"."""
    if "choices" in space:
        return f"{key} {' or '.join(map(str, space['choices']))}"
    return f"{key} {space['low']:g}..{space['high']:g}{' log' * bool(space.get('log'))}"


def _short(value: tuple[str, Any]) -> str:
    """Such as "lr 0.0021"."""
    key, number = value
    return f"{key} {number:.3g}" if isinstance(number, float) else f"{key} {number}"


def _placement(config: Mapping[str, Any]) -> str | None:
    """Such as "q v" or "q v · blocks -2"; None for a method without a place."""
    roles, blocks = config.get("at"), config.get("blocks")
    if not roles:
        return None
    return _text(roles) if blocks is None else f"{_text(roles)} · blocks {_text(blocks)}"


def _flat(prefix: str, value: Any, mark: str = ".") -> dict[str, Any]:
    """{"a": {"b": 1}} as {"prefix.a.b": 1}."""
    if not isinstance(value, Mapping):
        return {} if value is None else {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flat(f"{prefix}{mark}{key}" if prefix else str(key), inner, mark)
    return flat


def _text(value: Any) -> str:
    """A value as MLflow shows it: ["q", "v"] as "q v", as in the table."""
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _milliseconds(moment: str | None) -> int | None:
    return round(datetime.fromisoformat(moment).timestamp() * 1000) if moment else None
