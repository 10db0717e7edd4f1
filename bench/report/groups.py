"""What may stand in one figure: runs of one task, model, device, precision and protocol, by configuration."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mean
from typing import Any

import numpy as np

from bench.report.style import look, short
from bench.stats import bootstrap_interval

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its 95% interval; no interval for a single seed."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over seeds."""
        return mean(self.values)

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """Bootstrap over seeds, from a generator of its own: what else is drawn does not change it."""
        return bootstrap_interval(self.values, np.random.default_rng(0))


@dataclass(frozen=True, eq=False)
class Configuration:
    """One method with one set of fields, trained in one way: what a point in a figure stands for.

    Args:
        runs: its final runs that ended well, one a seed.
        metric: the task's headline metric.
        detail: what tells it from others of the same method, such as "r=8"; empty where nothing does.
    """

    name: str
    detail: str
    metric: str
    runs: tuple[Record, ...]

    @property
    def label(self) -> str:
        """What readers see: "LoRA r=8"."""
        return f"{look(self.name).name} {self.detail}".strip()

    @property
    def config(self) -> Mapping[str, Any]:
        """The method's fields."""
        return self.runs[0]["method"].get("config") or {}

    @property
    def rank(self) -> int | None:
        """The rank, where the method has one."""
        rank = self.config.get("rank")
        return rank if isinstance(rank, int) else None

    @property
    def backbone(self) -> int:
        """Trainable parameters of the backbone."""
        return int(self.runs[0]["parameters"]["backbone"])

    @property
    def head(self) -> int:
        """Trainable parameters of the head."""
        return int(self.runs[0]["parameters"]["head"])

    @cached_property
    def score(self) -> Estimate:
        """The headline metric on test, a value a seed."""
        return Estimate(tuple(float(run["metrics"]["test"][self.metric]) for run in self.runs))

    def beyond(self, other: Configuration) -> Estimate | None:
        """By how much it scores higher than another, paired by seed; None where they share no seed."""
        theirs = {run["seed"]: value for run, value in zip(other.runs, other.score.values, strict=True)}
        own = zip(self.runs, self.score.values, strict=True)
        differences = tuple(value - theirs[run["seed"]] for run, value in own if run["seed"] in theirs)
        return Estimate(differences) if differences else None

    @cached_property
    def seconds(self) -> Estimate | None:
        """Training time, a value a seed; None where none was recorded."""
        times = [(run.get("time") or {}).get("train") for run in self.runs]
        known = tuple(float(time) for time in times if time is not None)
        return Estimate(known) if known else None


@dataclass(frozen=True, eq=False)
class Group:
    """Runs that may be compared: one task, model, device, precision and protocol."""

    records: tuple[Record, ...]
    configurations: tuple[Configuration, ...]

    @property
    def metric(self) -> str:
        """The task's headline metric."""
        return str(self.records[0]["task"].get("metric") or "top1")

    @property
    def subject(self) -> str:
        """Task and model."""
        return f"{self.records[0]['task']['name']}, {self.records[0]['model']['name']}"

    @property
    def device(self) -> str:
        """Device, threads and precision in words."""
        record = self.records[0]
        environment = record["environment"]
        device = environment.get("device_name") or environment.get("device") or "unknown device"
        threads = environment.get("threads")
        words = [device, f"{threads} thread{'s' * (threads != 1)}" if threads else ""]
        words.append(record["training"].get("precision") or "")
        return ", ".join(word for word in words if word)

    @property
    def slug(self) -> str:
        """A file name's part that tells this group from others of the study."""
        text = re.sub(r"[^a-z0-9]+", "-", f"{self.subject} {self.device}".lower()).strip("-")
        return f"{text}-{hashlib.sha256(repr(_key(self.records[0])).encode()).hexdigest()[:6]}"

    @property
    def specs(self) -> str:
        """Task and model as specified, and the device: the last words under a figure."""
        record = self.records[0]
        specs = [record[part].get("spec") or record[part]["name"] for part in ("task", "model")]
        return f"{', '.join(specs)}; {self.device}; protocol {record['protocol']}."

    def of(self, method: str) -> list[Configuration]:
        """The configurations of one method."""
        return [configuration for configuration in self.configurations if configuration.name == method]


def groups(records: Iterable[Record]) -> list[Group]:
    """The records apart by what must never be averaged, in a fixed order."""
    parts: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    for record in records:
        parts[_key(record)].append(record)
    return [Group(tuple(parts[key]), _configurations(parts[key])) for key in sorted(parts)]


def _key(record: Record) -> tuple[str, ...]:
    """What must be alike for two runs to be compared."""
    environment = record["environment"]
    parts = (
        record["task"].get("spec") or record["task"]["name"],
        record["model"].get("spec") or record["model"]["name"],
        environment.get("device_name"),
        environment.get("threads"),
        record["training"].get("precision"),
        record["protocol"],
    )
    return tuple(map(str, parts))


def measured(record: Record, metric: str) -> bool:
    """Whether a run counts in the results: final, ended well, with the headline metric on test."""
    if record["phase"] != "final" or record["status"] != "ok" or not record.get("parameters"):
        return False
    return (record["metrics"].get("test") or {}).get(metric) is not None


def _configurations(records: Sequence[Record]) -> tuple[Configuration, ...]:
    """Final runs by method and training, ordered by size, each method's configurations side by side."""
    metric = str(records[0]["task"].get("metric") or "top1")
    parts: dict[tuple[str, str], dict[int, Record]] = defaultdict(dict)
    for record in sorted(records, key=_ended):  # of two runs alike with one seed, the later one counts
        if measured(record, metric):
            training = json.dumps(record["training"], sort_keys=True)
            config = json.dumps(record["method"].get("config"), sort_keys=True)
            parts[record["method"]["spec"] + config, training][record["seed"]] = record
    runs = [tuple(seeds[seed] for seed in sorted(seeds)) for seeds in parts.values()]
    details = _details([alike[0] for alike in runs])
    made = [
        Configuration(alike[0]["method"]["name"], detail, metric, alike)
        for alike, detail in zip(runs, details, strict=True)
    ]
    smallest = {c.name: min(other.backbone for other in made if other.name == c.name) for c in made}
    return tuple(sorted(made, key=lambda c: (smallest[c.name], c.name, c.backbone, c.detail)))


def _ended(record: Record) -> tuple[str, str]:
    return str((record.get("provenance") or {}).get("ended") or ""), record["run_id"]


def _details(runs: Sequence[Record]) -> list[str]:
    """For each configuration, its rank and the fields in which it differs from others of the same method."""
    fields = [{**(run["method"].get("config") or {})} for run in runs]
    specs = Counter(run["method"]["spec"] for run in runs)
    for run, own in zip(runs, fields, strict=True):
        if specs[run["method"]["spec"]] > 1:  # the same method trained in two ways: say how
            own.update(run["training"])
    details = []
    for run, own in zip(runs, fields, strict=True):
        alike = [
            other for other, where in zip(fields, runs, strict=True) if where["method"]["name"] == run["method"]["name"]
        ]
        told = [
            key for key, value in own.items()
            if value is not None and (key == "rank" or any(other.get(key) != value for other in alike))
        ]  # fmt: skip
        details.append(" ".join(short(key, own[key]) for key in told))
    return details
