"""What ran: counts, budgets, sources, and what failed, as lists in Markdown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from bench.records import STATUSES
from bench.report import style
from bench.report.data.measured import Record, samples, searched
from bench.report.data.wording import span
from bench.report.tables.markdown import cell, listed, number, table

_FAILURES = 30  # rows; more would bury the results
_PHASES = {
    "final": "final",
    "tune": "for tuning",
    "default": "with the default configuration",
    "sweep": "at the other values of the grid",
    "reference": "of baselines without a network",
    "costs": "that measure costs alone",
}
_BUDGET = ("epochs", "batch_size", "optimizer", "weight_decay", "precision")
# Keys of provenance that count what was not used, or not whole.
_LEFT_OUT = re.compile(r"\w+_(removed|truncated|skipped|dropped|clipped|turned|flattened|computed)")


def what_ran(records: Sequence[Record]) -> Iterator[str]:
    """Counts, versions and sources as a list, then the runs that failed."""
    records = sorted(records, key=lambda r: (_provenance(r).get("started") or "~", r["run_id"]))
    trained = [record for record in records if record["phase"] != "reference"]
    seconds = sum((record.get("time") or {}).get("total") or 0.0 for record in records)
    final = _of(records, "final")
    lines = [
        ("Runs", _counts(records)),
        ("Seeds", listed(record["seed"] for record in final)),
        ("Hardware", listed(_hardware(record) for record in records)),
        ("Versions", _versions(records)),
        ("Budget", _budgets(final)),
        ("Training samples", _by_task(trained, _samples)),
        ("Left out or cut", _left_out(trained)),
        ("Weights", listed(_provenance(record).get("weights") for record in records)),
        ("Data sha256", _by_task(records, lambda r: f"`{sha[:12]}`" if (sha := _sha(r)) else "", mark=", ")),
        ("Code", _code(records)),
        ("Time", f"{style.seconds(seconds)} in all runs together"),
    ]
    yield "\n".join(f"- **{name}**: {text}" for name, text in lines if text)
    yield from _failures(records)


def _of(records: Iterable[Record], phase: str) -> list[Record]:
    return [record for record in records if record["phase"] == phase]


def _provenance(record: Record) -> dict[str, Any]:
    return record.get("provenance") or {}


def _counts(records: Sequence[Record]) -> str:
    """How many runs of each phase, and how they ended; some phases only where there are any."""
    parts = []
    for phase, what in _PHASES.items():
        of_phase = _of(records, phase)
        if of_phase or (phase in ("final", "tune") and not _of(records, "costs")):
            parts.append(f"{len(of_phase)} {what} ({_statuses(of_phase)})")
    return ", ".join(parts)


def _statuses(records: Iterable[Record]) -> str:
    counts = Counter(record["status"] for record in records)
    return ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status]) or "none"


def _by_task(records: Sequence[Record], value: Callable[[Record], str], *, mark: str = "; ") -> str:
    """A value of the records; said task by task, or task and model, where these differ."""
    choices = []
    for parts in (("task",), ("task", "model")):
        found: dict[str, set[str]] = {}
        for record in records:
            if text := value(record):
                found.setdefault(", ".join(record[part]["name"] for part in parts), set()).add(text)
        choices.append(found)
    if len({frozenset(values) for found in choices for values in found.values()}) <= 1:
        return mark.join(sorted({text for values in choices[0].values() for text in values}))
    clear = all(len(values) == 1 for values in choices[0].values())
    found = choices[0] if clear or len(choices[0]) == len(choices[1]) else choices[1]
    return "; ".join(f"{name}: {' and '.join(sorted(values))}" for name, values in found.items())


def _budgets(records: Sequence[Record]) -> str:
    """Epochs, batch size and so on, if not tuned; what all runs have in common is said once."""
    tuned = {name for record in records for name in searched(record)}
    used = [key for key in _BUDGET if key not in tuned and any(key in record["training"] for record in records)]
    common = [key for key in used if len({repr(record["training"].get(key)) for record in records}) == 1]
    if len(common) == len(used):
        return _budget(records[0], used) if records else ""
    apart = _by_task(records, lambda record: _budget(record, [key for key in used if key not in common]))
    return "; ".join([apart, f"all: {_budget(records[0], common)}"] if common else [apart])


def _budget(record: Record, keys: Sequence[str]) -> str:
    training = record["training"]
    return ", ".join(f"{key.replace('_', ' ')} {training[key]}" for key in keys if key in training)


def _samples(record: Record) -> str:
    known = samples(record)
    return "" if known is None else f"{known:,}"


def _sha(record: Record) -> str:
    return str(_provenance(record).get("data_sha256") or "")


def _left_out(records: Sequence[Record]) -> str:
    """What was removed, cut or skipped of each task's data, under the names of the records."""
    found: dict[str, dict[str, set[int]]] = {}
    for record in records:
        counts = found.setdefault(record["task"]["name"], {})
        for key, value in _provenance(record).items():
            if _LEFT_OUT.fullmatch(key) and isinstance(value, int) and not isinstance(value, bool):
                counts.setdefault(key, set()).add(value)
    parts = []
    for task, counts in found.items():
        said = [f"{key.replace('_', ' ')} {span(values)}" for key, values in sorted(counts.items()) if any(values)]
        if said:
            parts.append(", ".join(said) + f" ({task})" * (len(found) > 1))
    return "; ".join(parts)


def _hardware(record: Record) -> str:
    environment = record["environment"]
    device = environment.get("device_name") or environment.get("device") or "unknown device"
    return f"{device} ({environment['threads']} threads)" if environment.get("threads") else device


def _versions(records: Sequence[Record]) -> str:
    found = {f"Python {r['environment']['python']}" for r in records if r["environment"].get("python")}
    for record in records:
        versions = record["environment"].get("versions") or {}
        found |= {f"{name} {version}" for name, version in versions.items()}
    return listed(found)


def _code(records: Sequence[Record]) -> str:
    """The commits the runs were made with."""
    found = set()
    for record in records:
        provenance = _provenance(record)
        if provenance.get("git_sha"):
            changed = " with local changes" if provenance.get("git_dirty") else ""
            found.add(f"`{provenance['git_sha'][:10]}`{changed}")
    return listed(found)


def _failures(records: Sequence[Record]) -> Iterator[str]:
    """The runs that did not end well, and how; a pruned one is no failure, but how the budget was spent."""
    failed = [record for record in records if record["status"] not in ("ok", "pruned")]
    failed.sort(key=lambda r: str(r["run_id"]))
    if not failed:
        return
    yield f"### Runs that failed ({len(failed)})"
    several = len({record["task"]["name"] for record in records}) > 1
    rows = [
        (*([r["task"]["name"]] * several), f"`{r['method']['spec']}`", r["phase"], r["seed"],
         number(r["training"].get("lr")), r["status"].replace("_", " "), cell(r.get("reason") or ""))
        for r in failed[:_FAILURES]
    ]  # fmt: skip
    yield table((*(["task"] * several), "method", "phase", "seed", "lr", "status", "reason"), rows)
    if len(failed) > _FAILURES:
        yield f"… and {len(failed) - _FAILURES} more in `table.csv`."
