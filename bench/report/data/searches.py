"""What was tuned: searches and their trials, as the records of the final runs tell them."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mean
from typing import Any

from bench.records import STATUSES
from bench.report.data.details import told
from bench.report.data.groups import Group
from bench.report.data.measured import Record
from bench.report.style import LOWER_IS_BETTER, label


@dataclass(frozen=True)
class Trial:
    """One configuration that a search tried.

    Args:
        number: from 0, in the order in which the trials began.
        params: what was searched, by name.
        status: how it ended; only an "ok" one can be chosen.
        score: mean over the tuning seeds of the best validation score; so far, where it was pruned.
        best_in: of draws with other validation samples and tuning seeds, the share in which it is best; None where
            that is not known.
    """

    number: int
    params: Mapping[str, Any]
    status: str
    score: float | None
    best_in: float | None = None

    @property
    def completed(self) -> bool:
        """Whether it ended well, with a score."""
        return self.status == "ok" and self.score is not None


@dataclass(frozen=True, eq=False)
class Search:
    """One search: the trials of one method on one task and model.

    Args:
        key: its name in the records.
        detail: what tells it from other searches of the same method, and its rank: "r=8".
        trail: as a record keeps it; of a search without final runs, what its trials tell.
        runs: final runs of what was tuned itself, one a seed.
        default_runs: the same with the default values.
    """

    key: str
    detail: str
    trail: Mapping[str, Any]
    runs: tuple[Record, ...] = ()
    default_runs: tuple[Record, ...] = ()

    @property
    def method(self) -> str:
        """The method's name."""
        return _name(str(self.trail["method"]))

    @property
    def label(self) -> str:
        """What readers see: "LoRA r=8"."""
        return label(self.method, str(self.trail["method"]), self.detail)

    @cached_property
    def trials(self) -> tuple[Trial, ...]:
        """In the order of their numbers."""
        made = [
            Trial(t["number"], t.get("params") or {}, t["status"], t.get("score"), t.get("best_in"))
            for t in self.trail["trials"]
        ]
        return tuple(sorted(made, key=lambda trial: trial.number))

    @property
    def completed(self) -> tuple[Trial, ...]:
        """The trials that ended well."""
        return tuple(trial for trial in self.trials if trial.completed)

    @property
    def metric(self) -> str:
        """What was tuned for: "top1" of "val/top1"."""
        return str(self.trail.get("on") or "").split("/")[-1]

    @property
    def lower(self) -> bool:
        """Whether lower scores are better."""
        return self.metric in LOWER_IS_BETTER

    @property
    def space(self) -> Mapping[str, Mapping[str, Any]]:
        """What was searched, between which ends; empty where only trials are known."""
        return self.trail.get("space") or {}

    @property
    def default(self) -> Mapping[str, Any]:
        """The values without tuning."""
        return self.trail.get("default") or {}

    @property
    def default_trial(self) -> Trial | None:
        """The trial of the default values; a grid need not have one."""
        alike = (trial for trial in self.trials if self.default and dict(trial.params) == dict(self.default))
        return next(alike, None)

    @property
    def chosen(self) -> Trial | None:
        """The trial whose values the final runs have; None where none ended well."""
        number = (self.trail.get("chosen") or {}).get("number")
        return next((trial for trial in self.trials if trial.number == number), None)


def searches(group: Group) -> list[Search]:
    """The searches of a group, in the order of its configurations, the ranks of one method side by side."""
    trails: dict[str, Mapping[str, Any]] = {}
    for record in sorted(
        group.records, key=lambda r: (str((r.get("provenance") or {}).get("ended") or ""), r["run_id"])
    ):
        trail = record.get("tuning")
        if isinstance(trail, Mapping) and trail.get("trials") and trail.get("search"):
            trails[trail["search"]] = trail
    for key, trail in _unfinished(group.records).items():
        trails.setdefault(key, trail)
    specs = {key: _fields(str(trail["method"])) for key, trail in trails.items()}
    names = {key: _name(str(trail["method"])) for key, trail in trails.items()}
    found = [
        Search(key, _detail(key, names, specs), trail, *_runs(group.records, key)) for key, trail in trails.items()
    ]
    methods = {name: place for place, name in reversed(list(enumerate(c.name for c in group.configurations)))}
    last = len(group.configurations)
    return sorted(found, key=lambda s: (methods.get(s.method, last), s.method, specs[s.key].get("rank") or 0, s.key))


def compared(group: Group) -> list[Search]:
    """The searches that were tuned for the same score as most of the group's: what may stand in one figure."""
    found = searches(group)
    most = Counter(search.metric for search in found).most_common(1)
    return [search for search in found if search.metric == most[0][0]]


def _unfinished(records: Iterable[Record]) -> dict[str, dict[str, Any]]:
    """What the trials' own records tell of their searches: all there is before a final run has ended."""
    trials: dict[str, dict[int, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        trial = record.get("trial") or {}
        if record["phase"] == "tune" and trial.get("search") and isinstance(trial.get("number"), int):
            trials[trial["search"]][trial["number"]].append(record)
    made = {}
    for key, own in trials.items():
        first = own[min(own)][0]
        metric = str(first["task"].get("metric") or "top1")
        rows = [_row(number, alike, metric) for number, alike in sorted(own.items())]
        method = first["trial"].get("of") or first["method"]["spec"]  # the latter has the trial's own values
        made[key] = {"search": key, "method": method, "on": f"val/{metric}", "trials": rows}
    return made


def _row(number: int, runs: Sequence[Record], metric: str) -> dict[str, Any]:
    """One trial over its tuning seeds: it ended as the worst of them did."""
    scores = [(run["metrics"].get("val") or {}).get(metric) for run in runs]
    known = [float(score) for score in scores if score is not None]
    status = max((run["status"] for run in runs), key=STATUSES.index)
    score = mean(known) if len(known) == len(runs) else None
    return {"number": number, "params": runs[0]["trial"].get("params") or {}, "status": status, "score": score}


def _runs(records: Iterable[Record], key: str) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """Final and default runs of what a search tuned itself, whatever became of them; the later of two alike."""
    found: dict[str, dict[int, Record]] = {"final": {}, "default": {}}
    for record in sorted(records, key=lambda r: str((r.get("provenance") or {}).get("ended") or "")):
        trail = record.get("tuning") or {}
        if record["phase"] in found and trail.get("search") == key and not trail.get("shared_from"):
            found[record["phase"]][record["seed"]] = record
    final, default = (tuple(runs[seed] for seed in sorted(runs)) for runs in found.values())
    return final, default


def _name(spec: str) -> str:
    return spec.split("(")[0]


def _fields(spec: str) -> dict[str, Any]:
    """The fields that a specification sets: {"rank": 8} of "LoRA(rank=8)"."""
    try:
        call = ast.parse(spec, mode="eval").body
        keywords = call.keywords if isinstance(call, ast.Call) else []
        return {word.arg: ast.literal_eval(word.value) for word in keywords if word.arg}
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return {}


def _detail(key: str, names: Mapping[str, str], specs: Mapping[str, Mapping[str, Any]]) -> str:
    """The rank, and the fields in which a search's method differs from others of its name (`told`)."""
    alike = [other for other in names if names[other] == names[key]]
    text = told(specs[key], [specs[other] for other in alike])
    clear = Counter(repr(specs[other]) for other in alike)[repr(specs[key])] == 1
    return text if clear else f"{text} [{key.split()[-1]}]".strip()
