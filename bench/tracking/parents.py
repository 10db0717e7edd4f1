"""What a parent run shows: one configuration on one task, as the study's page has it. Plain data, no MLflow."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from bench.report.data.groups import groups
from bench.report.data.measured import Baseline, Configuration, Estimate
from bench.report.data.names import slugs
from bench.report.data.wording import memory_kind
from bench.tracking import entries
from bench.tracking.names import allowed, text


@dataclass(frozen=True)
class Summary:
    """What is known of a parent's runs together.

    Args:
        group: the parameters that its runs share.
        slug: what figures of its task and model have in their names.
        seeds: how many final runs it is made from.
        metrics: "score" (the mean on test), "score low" and "score high" (its 95% interval), parameters, memory, time.
        params: the same for a reader, and what was chosen.
        begin, end: of all its runs, in ms since 1970; None where no record says.
    """

    group: Mapping[str, str]
    slug: str = ""
    seeds: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    begin: int | None = None
    end: int | None = None

    @property
    def digest(self) -> str:
        """Sixteen hex digits that change with any of it."""
        return digest([self.group, self.slug, self.seeds, self.metrics, self.params, self.begin, self.end])


def digest(value: Any) -> str:
    """Sixteen hex digits of plain data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=dict).encode()).hexdigest()[:16]


def key(record: Mapping[str, Any]) -> str:
    """The parent that a run belongs to."""
    return digest(entries.group(record))


def summaries(records: Iterable[Mapping[str, Any]]) -> dict[str, Summary]:
    """Of each parent, by its `key`, the summary of its runs.

    Scores, intervals and memory are those of the study's page: they are computed in one place, `bench.report.data`.
    """
    family: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for record in records:
        family[key(record)].append(record)
    try:
        return _together(family)
    except Exception:  # of a record with fields that the page cannot read: it costs its own parent's summary
        made = {parent: _spanning(runs) for parent, runs in family.items()}
        for parent, runs in family.items():
            with suppress(Exception):
                made |= _together({parent: runs})
        return made


def _together(family: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Summary]:
    made = {parent: _spanning(runs) for parent, runs in family.items()}
    for parent, runs in family.items():
        if baseline := _baseline(runs):
            made[parent] = replace(made[parent], **_known(baseline))
    parts = groups([record for runs in family.values() for record in runs])
    for part, slug in zip(parts, slugs(parts), strict=True):
        made |= {parent: replace(made[parent], slug=slug) for parent in {key(record) for record in part.records}}
        for configuration in (*part.undefined, *part.configurations):
            parent = key(configuration.runs[0])
            if len(configuration.runs) >= made[parent].seeds:
                made[parent] = replace(made[parent], **_known(configuration))
    return made


def _baseline(runs: Sequence[Mapping[str, Any]]) -> Baseline | None:
    """The runs of a baseline, of which there is one a seed; None if they are of something else, or none was tested."""
    tested = {run["seed"]: run for run in sorted(runs, key=entries.started) if run["status"] == "ok" and _tested(run)}
    if runs[0]["phase"] != "reference" or not tested:
        return None
    return Baseline(0, entries.metric(runs[0]), tuple(tested[seed] for seed in sorted(tested)))


def _known(one: Configuration | Baseline) -> dict[str, Any]:
    """The fields of a summary that come from a configuration."""
    last = max(one.runs, key=entries.started)
    numbers: dict[str, float | None] = {"seeds": len(one.runs)}
    words: dict[str, Any] = {"seeds": sorted(run["seed"] for run in one.runs)}
    if all(_tested(run) for run in one.runs):
        numbers |= _scores(one.score)
        words["score"] = _said(one.score)
    for name in ("backbone", "head"):
        if (count := (last.get("parameters") or {}).get(name)) is not None:
            numbers[f"parameters/{name}"] = count
            words[f"parameters.{name}"] = f"{count:,}"
    if isinstance(one, Configuration):
        if one.memory is not None:
            numbers["memory MiB"] = round(one.memory / 2**20, 1)
            words["memory"] = f"{numbers['memory MiB']:,} MiB, {memory_kind(one.memory_kind)}"
        numbers["time/train"] = round(one.seconds.mean, 1) if one.seconds else None
    chosen, score = _chosen(last)
    numbers["validation score"] = score
    return {
        "seeds": len(one.runs),
        "metrics": {allowed(name): float(value) for name, value in numbers.items() if value is not None},
        "params": {allowed(name): text(value) for name, value in (words | chosen).items()},
    }


def _tested(run: Mapping[str, Any]) -> bool:
    return (run["metrics"].get("test") or {}).get(entries.metric(run)) is not None


def _scores(score: Estimate) -> dict[str, float | None]:
    low, high = score.interval or (None, None)
    numbers = {"score": score.mean, "score low": low, "score high": high}
    return {name: value if value is None else round(value, 6) for name, value in numbers.items()}  # as wide as a column


def _said(score: Estimate) -> str:
    """Such as "0.822 (0.801 to 0.843)"."""
    interval = (
        f" ({score.interval[0]:.3f} to {score.interval[1]:.3f})" if score.interval else " (one seed: no interval)"
    )
    return f"{score.mean:.3f}{interval}"


def _chosen(record: Mapping[str, Any]) -> tuple[dict[str, Any], float | None]:
    """What the search behind a final run chose, and its score on validation; nothing where none was made."""
    tuning = record.get("tuning") or {}
    chosen = tuning.get("chosen") or {}
    if "search" not in tuning:
        return {f"chosen.{name}": value for name, value in chosen.items()}, None
    score = next((t.get("score") for t in tuning.get("trials") or [] if t["number"] == chosen.get("number")), None)
    shown = {
        "trial": chosen.get("number", "none"),
        "edge": " ".join(tuning.get("edge") or []) or None,
        "on": tuning.get("on"),
        "of": tuning.get("method"),
        **(chosen.get("params") or {}),
    }
    return {f"chosen.{name}": value for name, value in shown.items() if value is not None}, score


def _spanning(runs: Sequence[Mapping[str, Any]]) -> Summary:
    """What is known without a score: when the first of the runs began and the last one ended."""
    moments = [moment for run in runs for moment in entries.span(run) if moment is not None]
    return Summary(entries.group(runs[0]), begin=min(moments, default=None), end=max(moments, default=None))
