"""What MLflow shows of a record: names, parameters, tags, metrics. Plain data, no MLflow."""

from __future__ import annotations

import ast
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from bench.report.style import short
from bench.tracking.names import LENGTH, allowed, text

MEASURED = ("parameters", "time", "memory", "step", "energy", "inference", "checkpoint")


class Point(NamedTuple):
    """One value of a metric: `step` is the epoch of a curve, 0 of a result; `at` is in ms since 1970."""

    key: str
    value: float
    at: int
    step: int


def started(record: Mapping[str, Any]) -> str:
    """When the run began (ISO 8601, UTC), for sorting; "" if the record does not say."""
    provenance = record.get("provenance")
    return str(provenance.get("started") or "") if isinstance(provenance, Mapping) else ""


def span(record: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Begin and end of the run, in ms since 1970; None where the record does not say."""
    provenance = record.get("provenance") or {}
    begin, end = (_milliseconds(provenance.get(key)) for key in ("started", "ended"))
    return begin, end


def run_name(record: Mapping[str, Any]) -> str:
    """Such as "r=8 q+v · seed 0 · LoRA · elpv" or "r=8 q+v · trial 3 lr 0.0021 seed 1000 · LoRA · elpv".

    MLflow's column shows the first words: so what tells runs apart leads, and what many share comes last.
    """
    trial, phase = record.get("trial") or {}, record["phase"]
    words = [f"seed {record['seed']}"]
    if trial:
        words = [f"trial {trial['number']}", *map(_short, trial["params"].items()), *words]
    elif phase == "tune":
        words = [f"lr {record['training'].get('lr')} tuning", *words]
    elif phase == "default":
        words = ["untuned", *words]
    elif phase == "sweep":
        words = [f"lr {record['training'].get('lr')} of the grid", *words]
    return " · ".join([*_leading(record)[:1], " ".join(words), *_leading(record)[1:], _variant(record)])[:LENGTH]


def group_name(record: Mapping[str, Any]) -> str:
    """Such as "r=8 q+v · LoRA · elpv, train=400 · vit_small_patch14_dinov2 · laptop"."""
    model = [] if record["phase"] == "reference" else [str(record["model"]["name"])]
    return " · ".join([*_leading(record), _variant(record), *model, str(record["scale"])])[:LENGTH]


def _leading(record: Mapping[str, Any]) -> list[str]:
    """What the configuration differs in, and the method; the method alone where it has no options."""
    name = str(record["method"]["name"])
    if record["phase"] == "reference":
        return [str(record["method"].get("label") or record["method"]["spec"]), "baseline"]
    return [*filter(None, [differs(record)]), name]


def _variant(record: Mapping[str, Any]) -> str:
    """The task's name with what its specification says more: "elpv, train=400"."""
    _, _, rest = str(record["task"].get("spec") or "").partition(", ")
    return f"{record['task']['name']}, {rest.removesuffix(')')}" if rest else str(record["task"]["name"])


def differs(record: Mapping[str, Any]) -> str:
    """Such as "r=8 q+v last 2 blocks": the options of the method as the study names it, its rank first."""
    options, config = _options(named(record)), record["method"].get("config") or {}
    searched = {*((record.get("trial") or {}).get("params") or ()), *((record.get("tuning") or {}).get("space") or ())}
    if "rank" in config and "rank" not in searched:
        options = {"rank": config["rank"], **options}
    return " ".join(short(key, value) for key, value in options.items() if value is not None)


def _options(spec: str) -> dict[str, Any]:
    """{"rank": 8, "at": ("q", "v")} of "LoRA(rank=8, at=('q', 'v'))"; none of what is no specification."""
    try:
        node = ast.parse(spec, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    options: dict[str, Any] = {}
    for keyword in node.keywords if isinstance(node, ast.Call) else []:
        try:
            options[str(keyword.arg)] = ast.literal_eval(keyword.value)
        except (ValueError, TypeError, RecursionError, MemoryError):  # a value that is a specification itself
            options[str(keyword.arg)] = ast.get_source_segment(spec, keyword.value) or ""
    return options


def named(record: Mapping[str, Any]) -> str:
    """The method as the study names it: the record's own specification may hold what was searched."""
    about = record.get("trial") or record.get("tuning") or {}
    return str(about.get("of") or record["method"]["spec"])


def group(record: Mapping[str, Any]) -> dict[str, str]:
    """The parameters that the runs of one parent share: all that must be alike in what is averaged.

    Children repeat them, since MLflow's filters drop those that do not match, whatever their parent does.
    """
    environment, about = record["environment"], record.get("trial") or record.get("tuning") or {}
    searched = {"lr", *(about.get("params") or ()), *(about.get("space") or ())}
    training = {key: value for key, value in record["training"].items() if value and key not in searched}
    threads = environment.get("threads")
    values = {
        **{key: record[key]["name"] for key in ("task", "model", "method")},
        **{f"{key}.spec": record[key].get("spec") for key in ("task", "model")},
        "configuration": named(record),
        "scale": record["scale"],
        "protocol": record["protocol"],
        "device": ", ".join(
            [str(environment.get("device_name") or environment.get("device")), *[f"{threads} threads"] * bool(threads)]
        ),
        "metric": metric(record),
        **({"costs alone": "yes"} if record["phase"] == "costs" else {}),
        **_flat("training", training),
    }
    return {allowed(key): text(value) for key, value in values.items() if value is not None}


def metric(record: Mapping[str, Any]) -> str:
    """The task's headline metric, of which "score" and "validation score" are."""
    return str(record["task"].get("metric") or "top1")


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
    return group(record) | {allowed(key): text(value) for key, value in values.items() if value is not None}


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
    return {allowed(key): text(value)[:5000] for key, value in values.items() if value is not None}


def metrics(record: Mapping[str, Any]) -> list[Point]:
    """Results as "test/top1" and "time/train"; the learning curve as "epoch/val_top1", epochs as steps."""
    begin, end = span(record)
    end = end or begin or 0
    results = _flat("", record["metrics"], "/")
    for part in MEASURED:
        results |= _flat(part, record.get(part), "/")
    if record.get("best_epoch") is not None:
        results["best_epoch"] = record["best_epoch"]
    results |= _columns(record)
    points = [Point(allowed(key), float(value), end, 0) for key, value in results.items() if _finite(value)]
    return [*points, *_curve(record, begin or end, end)]


def _columns(record: Mapping[str, Any]) -> dict[str, Any]:
    """Of what the list of runs has a column, under one name for every task: scores, and memory in MiB."""
    headline, peak = metric(record), (record.get("memory") or {}).get("peak")
    columns: dict[str, Any] = {}
    for split, name in (("test", "score"), ("val", "validation score")):
        columns[name] = (record["metrics"].get(split) or {}).get(headline)
    if peak is not None and _finite(peak):
        columns["memory MiB"] = round(peak / 2**20, 1)
    return columns


def _curve(record: Mapping[str, Any], begin: int, end: int) -> Iterator[Point]:
    """The learning curve; the moments of its epochs are spread evenly between those of the record."""
    curve = record.get("curve") or []
    for number, row in enumerate(curve, 1):
        at = begin + (end - begin) * number // len(curve)
        for key, value in _flat("", {key: row[key] for key in row if key != "epoch"}, "_").items():
            if _finite(value):
                yield Point(allowed(f"epoch/{key}"), float(value), at, int(row.get("epoch", number)))


def _summary(tuning: Mapping[str, Any]) -> dict[str, Any]:
    """How a run's values came about, without the trials: those are runs of their own."""
    short = dict(tuning)
    if short.get("candidates") is not None:  # of a reference
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
    return text(roles) if blocks is None else f"{text(roles)} · blocks {text(blocks)}"


def _flat(prefix: str, value: Any, mark: str = ".") -> dict[str, Any]:
    """{"a": {"b": 1}} as {"prefix.a.b": 1}."""
    if not isinstance(value, Mapping):
        return {} if value is None else {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flat(f"{prefix}{mark}{key}" if prefix else str(key), inner, mark)
    return flat


def _finite(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer beyond any float
        return False


def _milliseconds(moment: str | None) -> int | None:
    return round(datetime.fromisoformat(moment).timestamp() * 1000) if moment else None
