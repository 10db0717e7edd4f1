"""What a record is: every field with its type and range. Whatever reads records relies on it, and on nothing else.

A field that is not `needed` may be missing or null; fields that are not named here may hold any plain data.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from bench.errors import shown
from bench.records.outcomes import decode

PHASES = ("tune", "final", "default", "sweep", "reference", "costs")
"""Trials; runs with what was chosen; the same with the untuned values; with every other value of a grid. A reference is
a baseline without a network: one record a task, baseline and seed, apart from all methods. "costs" is no training: a
few steps on random weights."""
STATUSES = ("ok", "pruned", "diverged", "out_of_memory", "failed")
LARGEST = 1e150
"""Of all numbers: its square is a number too."""
DEEPEST = 40
"""Tables within tables: what JSON holds more of is no record, and would be too much for what reads it."""
HALF = re.compile("[\ud800-\udfff]")
RUN_ID = re.compile(r"[0-9a-f]{16}")

Rule = Callable[[Any, str], str | None]
"""What is wrong with a value, given its name; None where nothing is."""


def number(low: float = -LARGEST, high: float = LARGEST) -> Rule:
    """A finite number from `low` to `high`."""

    def rule(value: Any, where: str) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"{where!r} is no number"
        return None if low <= value <= high else f"{where!r} is {shown(value, 60)}, not from {low:g} to {high:g}"

    return rule


def whole(low: int = 0, high: int = 2**53) -> Rule:
    """A whole number."""
    within = number(low, high)
    return lambda value, where: within(value, where) or (None if value == int(value) else f"{where!r} is not whole")


def text(value: Any, where: str) -> str | None:
    """A text."""
    return None if isinstance(value, str) else f"{where!r} is no text"


def flag(value: Any, where: str) -> str | None:
    """True or false."""
    return None if isinstance(value, bool) else f"{where!r} is neither true nor false"


def plain(value: Any, where: str) -> str | None:
    """Any plain data; all of a record is held to `sane`."""
    return None


def one_of(*values: str) -> Rule:
    """One of some words."""
    return lambda value, where: None if value in values else f"unknown {where} {shown(value, 60)}"


def listed(item: Rule, length: int | None = None) -> Rule:
    """A list of alike values."""

    def rule(value: Any, where: str) -> str | None:
        if not isinstance(value, list) or (length is not None and len(value) < length):
            return f"{where!r} is no list{f' of {length} or more' if length else ''}"
        return next((wrong for at, one in enumerate(value) if (wrong := item(one, f"{where}[{at}]"))), None)

    return rule


def table(
    fields: Mapping[str, Rule] | None = None,
    *,
    needed: tuple[str, ...] = (),
    each: Rule = plain,
    empty: bool = False,
    nulls: bool = True,
) -> Rule:
    """A table: `fields` by name, every other one as `each`.

    Args:
        fields, each: what the values must be.
        needed: names that must be there.
        empty: whether it may have nothing at all instead.
        nulls: whether values that are not needed may be null.
    """
    known = fields or {}

    def rule(value: Any, where: str) -> str | None:
        if not isinstance(value, dict):
            return f"{where!r} is no table"
        for key in needed if value or not empty else ():
            if value.get(key) is None:
                return f"{_named(where, key)!r} is missing"
        for key, inner in value.items():
            asked = inner is not None or not nulls
            if asked and (wrong := known.get(key, each)(inner, _named(where, key))):
                return wrong
        return None

    return rule


def either(*rules: Rule) -> Rule:
    """What one of the rules allows."""

    def rule(value: Any, where: str) -> str | None:
        found = [each(value, where) for each in rules]
        return None if None in found else found[0]

    return rule


def counted(inner: Rule) -> Rule:
    """A table by whole numbers, as of batch sizes."""

    def rule(value: Any, where: str) -> str | None:
        if isinstance(value, dict) and not all(re.fullmatch(r"[0-9]{1,9}", key) for key in value):
            return f"{where!r} is not by whole numbers"
        return table(each=inner, nulls=False)(value, where)

    return rule


def _named(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def run_name(value: Any, where: str) -> str | None:
    """The id of a run."""
    named = isinstance(value, str) and RUN_ID.fullmatch(value)
    return None if named else f"{where} {shown(value, 60)} is not 16 hex digits"


def encoded(value: Any, where: str) -> str | None:
    """What became of samples, as `bench.records.outcomes` writes it."""
    if not isinstance(value, dict):
        return f"{where!r} is no table"
    try:
        decode(value)
    except ValueError as error:
        return f"{where!r} {error}"
    return None


COUNT, AMOUNT, SCORES = whole(), number(low=0), table(each=number())
BYTES = whole(-(2**53))  # what is extended in a straight line may lie below 0
SETTINGS = table({"lr": AMOUNT})
NAMES = {"spec": text, "name": text, "family": text, "metric": text, "label": text, "config": table()}
FORECAST = table(
    {"peak": COUNT, "kind": text, "batch": COUNT, "evaluation": COUNT, "reason": text, "phase": text}
    | {"precision": text, "device": text}
    | {"breakdown": table(each=BYTES), "phases": table(each=BYTES)}
)
EPOCH = table(
    {"epoch": COUNT, "val": SCORES, "steps": COUNT, "seconds": AMOUNT, "cpu": AMOUNT}
    | dict.fromkeys(("train_loss", "penalty", "lr"), number()),
    needed=("epoch",),
)
SPACE = either(
    table({"low": number(), "high": number(), "log": flag}, needed=("low", "high")),
    table({"choices": listed(plain, 1)}, needed=("choices",)),
)
TRIAL = {
    **{"number": whole(), "params": SETTINGS, "status": one_of(*STATUSES), "score": number(), "loss": number()},
    "best_in": number(0, 1),
}
TUNING = table(
    {
        **dict.fromkeys(("search", "of", "method", "shared_from", "sampler", "pruner", "on"), text),
        **dict.fromkeys(("budget", "epochs", "batch"), COUNT),
        "seeds": listed(whole(-(2**63), 2**63 - 1)),
        "space": table(each=SPACE, nulls=False),
        "default": SETTINGS,
        "trials": listed(table(TRIAL | {"epochs": COUNT, "seconds": AMOUNT}, needed=("number", "status"))),
        "chosen": table({"number": whole(), "params": SETTINGS}),
        "edge": either(flag, listed(text)),
        "candidates": listed(table({"score": number(), "loss": number(), "status": text})),
    }
)
EXAMPLE = table(
    {
        **{"title": text, "picture": text, "classes": listed(text)},
        **dict.fromkeys(("width", "height"), whole(1, 10**6)),
        **{"true": listed(listed(number(), 5)), "found": listed(listed(number(), 6))},
    },
    needed=("title", "picture", "width", "height", "classes", "true", "found"),
)
PROVENANCE = table(
    {
        **dict.fromkeys(
            ("git_sha", "data_sha256", "weights", "weights_sha256", "model_sha256", "started", "ended"), text
        ),
        **{"git_dirty": flag, "classes": COUNT, "majority": number(0, 1)},
        **{f"{part}_{what}": COUNT for part in ("train", "val", "test") for what in ("samples", "images", "boxes")},
    }
)
COSTS = {
    "memory": table(
        {"peak": COUNT, "kind": text, "reason": text, "forecast": FORECAST, "cuda": counted(FORECAST)}
        | {"allocator": table(each=table(each=COUNT))}
    ),
    "step": table(each=AMOUNT),
    "energy": table({"source": text}, each=either(AMOUNT, text)),
    "inference": table({"batch": COUNT, "latency": table(each=AMOUNT), "throughput": table(each=AMOUNT)}),
    "checkpoint": table(each=COUNT),
}
LAYERS = table(each=table(each=listed(number())))
FOUND = {
    "retention": table({"cka": number(), "classes": COUNT, "majority": SCORES, "fit": table(each=plain)}),
    "update": table({"epsilon": number(0, 1), "top": COUNT, "roles": LAYERS}),
    "robustness": table(
        {"samples": COUNT, "clean": SCORES, "corruptions": table(each=table(each=SCORES))}
        | {"calibration": table({"bins": COUNT, "temperature": AMOUNT, "before": SCORES, "after": SCORES})}
        | {"interpolation": table(each=table(each=SCORES))}
    ),
}
RECORD = table(
    {
        **{"protocol": whole(0, 10**6), "run_id": run_name, "study": text, "scale": text, "phase": one_of(*PHASES)},
        **{part: table(NAMES, needed=("name",)) for part in ("task", "model")},
        **{"retained": table(NAMES, needed=("name",)), "shifts": text},
        "method": table(NAMES, needed=("name", "spec")),
        "training": table({"lr": AMOUNT, "precision": text, "batch_size": COUNT, "epochs": COUNT}),
        "seed": whole(-(2**63), 2**63 - 1),
        **{"status": one_of(*STATUSES), "reason": text},
        "metrics": table(each=SCORES, nulls=False),
        "outcomes": table(each=encoded, nulls=False),
        "curve": listed(EPOCH),
        "best_epoch": COUNT,
        "parameters": table(each=COUNT, needed=("backbone", "head"), empty=True),
        "time": table(each=AMOUNT),
        "environment": table(
            {"device": text, "device_name": text, "threads": COUNT, "jobs": COUNT, "python": text}
            | {"instructions": listed(text), "versions": table(each=text)}
        ),
        "trial": table(
            {"search": text, "number": whole(), "params": SETTINGS, "drawn": SETTINGS, "of": text},
            needed=("search", "number", "params"),
        ),
        **{"provenance": PROVENANCE, "tuning": TUNING, "examples": listed(EXAMPLE)},
        **COSTS,
        **FOUND,
    },
    needed=(
        *("protocol", "run_id", "study", "scale", "phase", "task", "model", "method", "training", "seed", "status"),
        *("metrics", "environment"),
    ),
)  # fmt: skip


def problem(record: object) -> str | None:
    """What keeps `record`, as read from JSON, from being a record, in a few words; None where nothing does."""
    if not isinstance(record, dict):
        return "not a JSON object"
    wrong = sane(record) or RECORD(record, "")
    if wrong:
        return wrong
    if record["status"] == "ok" and not record["metrics"] and record["phase"] != "costs":
        return "status ok without metrics"
    tuning = record.get("tuning") or {}
    chosen = tuning.get("chosen") if tuning.get("search") else None
    if chosen is not None and (chosen.get("number") is None or chosen.get("params") is None):
        return "'tuning.chosen' is without 'number' or 'params'"
    return None


def sane(value: Any, depth: int = 0) -> str | None:
    """What no figure, table or file could hold: numbers that are none or too large, text that is none, too deep."""
    if depth > DEEPEST:
        return "nested too deep"
    if isinstance(value, str):
        return None if value.isascii() or not HALF.search(value) else "holds half a letter"
    if isinstance(value, float):
        return None if math.isfinite(value) and abs(value) <= LARGEST else f"holds the number {shown(value, 60)}"
    if isinstance(value, int):
        return None if -(2**63) <= value < 2**63 else f"holds {shown(value, 60)}"
    inner: Any = (*value, *value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((wrong for one in inner if (wrong := sane(one, depth + 1))), None)
