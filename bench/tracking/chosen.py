"""What a parent run shows of the values that were chosen. Plain data, no MLflow.

Parameters cannot be overwritten in MLflow, and a later record may know better: so these are tags, which hold all that
is needed to bring them up to date, and one metric. A parent of several searches, as of LoRA at several ranks, names
each: "chosen.lr" becomes "chosen.rank 8.lr" (MLflow allows no "=" in a name).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

PREFIX = "chosen."
Choices = dict[str, dict[str, str]]
"""By the specification of what was tuned: what is shown of the choice, by name."""


def choice(record: Mapping[str, Any]) -> Choices:
    """What a final record says of its search; nothing if it was not tuned, or long ago."""
    tuning = record.get("tuning") or {}
    if record["phase"] != "final" or "search" not in tuning:
        return {}
    chosen = tuning.get("chosen") or {}
    trials = {trial["number"]: trial for trial in tuning.get("trials") or []}
    score = (trials.get(chosen.get("number")) or {}).get("score")
    shown = {
        "method": tuning["method"],
        "trial": chosen.get("number", "none"),
        "edge": " ".join(tuning.get("edge") or []) or None,
        "on": tuning["on"],
        "score": score,
        **(chosen.get("params") or {}),
    }
    return {str(tuning["method"]): {key: str(value) for key, value in shown.items() if value is not None}}


def read(tags: Mapping[str, str]) -> Choices:
    """The choices that the tags of a parent show."""
    choices: Choices = {}
    ends = (key.removesuffix("method") for key in tags if key.startswith(PREFIX) and key.endswith(".method"))
    for prefix in ends:
        own = {key.removeprefix(prefix): tags[key] for key in tags if key.startswith(prefix)}
        choices[tags[f"{prefix}method"]] = {key: value for key, value in own.items() if "." not in key}
    return choices


def write(choices: Choices) -> dict[str, str]:
    """The tags that show `choices`: each named by its method's options where they differ."""
    options = {spec: _options(spec) for spec in choices}
    common = set.intersection(*(set(one.items()) for one in options.values())) if options else set()
    tags: dict[str, str] = {}
    for spec, shown in choices.items():
        own = [f"{key} {value}" for key, value in options[spec].items() if (key, value) not in common]
        name = re.sub(r"[^\w.\-]+", " ", " ".join(own)).strip()  # without what the name of a tag may not hold
        prefix = PREFIX if len(choices) == 1 else f"{PREFIX}{name[:120] or 'plain'}."
        tags |= {f"{prefix}{key}": value for key, value in shown.items()}
    return tags


def metric(on: str) -> str:
    """The parent's metric of the best validation score: "chosen/val_top1"."""
    return f"chosen/{on.replace('/', '_')}"


def best(choices: Choices, on: str) -> float | None:
    """The best validation score of what was chosen, among the searches that looked at `on`."""
    scores = [float(shown["score"]) for shown in choices.values() if shown.get("on") == on and "score" in shown]
    return (min if on.endswith("loss") else max)(scores) if scores else None


def _options(spec: str) -> dict[str, str]:
    """{"rank": "8", "at": "('q', 'v')"} of "LoRA(rank=8, at=('q', 'v'))"."""
    try:
        node = ast.parse(spec, mode="eval").body
    except SyntaxError:
        return {"of": spec}
    if not isinstance(node, ast.Call):
        return {"of": spec}
    places = {str(at): ast.unparse(value) for at, value in enumerate(node.args)}
    return places | {str(keyword.arg): ast.unparse(keyword.value) for keyword in node.keywords}
