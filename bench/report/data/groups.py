"""What may stand in one figure: runs of one task, model, device, precision and protocol, by configuration.

Baselines (they train no network) are never configurations: every group of their task has them beside its own.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.records.environment import portable
from bench.report.data.details import told
from bench.report.data.display import displayed
from bench.report.data.measured import Baseline, Configuration, Record, label_of, samples, searched


@dataclass(frozen=True, eq=False)
class Group:
    """Runs that may be compared: one task, model, device, precision and protocol; no baseline among them.

    Args:
        records: all of them, tuning and failures included.
        configurations: what was tested, with a score.
        baselines: what needs no network, on the same task.
        undefined: what was tested, but for which the headline metric does not exist (no correlation where all
            predictions are alike).
        twin: whether another group of the study has the same task and model by name.
        older: whether the same task and model have been tested under a later protocol too: then this group stands
            apart, below, and in no figure, answer or table over tasks.
    """

    records: tuple[Record, ...]
    configurations: tuple[Configuration, ...]
    baselines: tuple[Baseline, ...] = ()
    undefined: tuple[Configuration, ...] = ()
    twin: bool = False
    older: bool = False

    @property
    def protocol(self) -> int:
        """Of its records."""
        return int(self.records[0]["protocol"])

    @property
    def metric(self) -> str:
        """The task's headline metric."""
        return _metric(self.records[0])

    @property
    def costs(self) -> bool:
        """Whether it is only known what the configurations cost: they have no score."""
        return bool(self.records[0]["phase"] == "costs")

    @property
    def task(self) -> str:
        """The task's name."""
        return str(self.records[0]["task"]["name"])

    @property
    def variant(self) -> str:
        """The task's name with what its specification says more: "elpv, train=20, val=200"."""
        _, _, rest = str(self.records[0]["task"].get("spec") or "").partition(", ")
        return f"{self.task}, {rest.removesuffix(')')}" if rest else self.task

    @property
    def subject(self) -> str:
        """Task and model."""
        return f"{self.task}, {self.model}"

    @property
    def title(self) -> str:
        """Task and model over a figure of this group; with more of the task where it has a twin."""
        return f"{self.variant}, {self.model}" if self.twin else self.subject

    @property
    def model(self) -> str:
        """The model's name, and how its base is stored where that is not fp32."""
        return f"{self.records[0]['model']['name']}{self.base and ' in ' + self.base}"

    @property
    def base(self) -> str:
        """How the frozen base is stored; "" for fp32."""
        return str(self.records[0]["model"].get("spec")).partition(", base='")[2].partition("'")[0]

    @property
    def samples(self) -> int | None:
        """Of the training part; None where no record says."""
        return next((known for record in self.records if (known := samples(record)) is not None), None)

    @property
    def device(self) -> str:
        """Device, threads and precision in words; scores of fp32 may be of several machines."""
        machines = sorted({_machine(record["environment"]) for record in self.records})
        words = [machines[0] if len(machines) == 1 else f"{len(machines)} machines ({'; '.join(machines)})"]
        words.append(self.records[0]["training"].get("precision") or "")
        return ", ".join(word for word in words if word)

    @property
    def digest(self) -> str:
        """Six hex digits that no other group of the study has."""
        return hashlib.sha256(repr(_key(self.records[0])).encode()).hexdigest()[:6]

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
    """The records apart by what must never be averaged, in the order in which their first runs started; older last.

    Baselines are no group: each is attached to every group of its task and protocol, whatever model and device.
    """
    parts: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    known: dict[tuple[str, int], list[Record]] = defaultdict(list)
    for record in map(displayed, records):
        if record["phase"] == "reference":
            known[_task(record), record["protocol"]].append(record)
        else:
            parts[_key(record)].append(record)
    ordered = [parts[key] for key in sorted(parts, key=lambda key: (_first_start(parts[key]), key))]
    numbers: dict[str, int] = {}
    made = [_group(alike, _baselines(known[_task(alike[0]), alike[0]["protocol"]], numbers)) for alike in ordered]
    latest: dict[tuple[str, ...], int] = defaultdict(int)
    for group in made:
        latest[what(group)] = max(latest[what(group)], group.protocol * bool(group.configurations))
    made = [replace(group, older=group.protocol < latest[what(group)]) for group in made]
    made.sort(key=lambda group: group.older)  # the others keep their order
    times = Counter(group.subject for group in made)
    return [replace(group, twin=times[group.subject] > 1) for group in made]


def current(groups: Iterable[Group]) -> list[Group]:
    """Those that no later protocol has replaced."""
    return [group for group in groups if not group.older]


def what(group: Group) -> tuple[str, ...]:
    """Task and model as specified, and whether costs are measured: what a later protocol measures again."""
    record = group.records[0]
    return _task(record), str(record["model"].get("spec") or record["model"]["name"]), str(group.costs)


def methods(groups: Iterable[Group]) -> set[str]:
    """The class names of all methods that any record of these is of, tested or not."""
    return {str(record["method"]["name"]) for group in groups for record in group.records}


def scored(groups: Iterable[Group]) -> list[Group]:
    """Those in which something was tested, by the latest protocol: neither of costs alone, nor without a score."""
    return [group for group in current(groups) if group.configurations and not group.costs]


def _group(records: Sequence[Record], baselines: tuple[Baseline, ...]) -> Group:
    if records[0]["phase"] == "costs":
        return Group(tuple(records), _configurations(records, _costed), baselines)
    scored = _configurations(records, measured)
    known = {_trained(c.runs[0]) for c in scored}
    undefined = [c for c in _configurations(records, _undefined) if _trained(c.runs[0]) not in known]
    return Group(tuple(records), scored, baselines, tuple(undefined))


def _machine(environment: Mapping[str, Any]) -> str:
    threads = environment.get("threads")
    name = environment.get("device_name") or environment.get("device") or "unknown device"
    return f"{name}, {threads} thread{'s' * (threads != 1)}" if threads else str(name)


def _first_start(records: Sequence[Record]) -> tuple[bool, str]:
    """When the first of them began; those that do not say come last."""
    known = [start for record in records if (start := (record.get("provenance") or {}).get("started"))]
    return not known, min(known, default="")


def pooled(record: Record) -> bool:
    """Whether a run's scores stand beside those of other processors; costs never do."""
    return record["phase"] != "costs" and portable(record["environment"], record["training"].get("precision"))


def _key(record: Record) -> tuple[str, ...]:
    """What must be alike for two runs to be compared."""
    environment, precision = record["environment"], record["training"].get("precision")
    parts = (
        _task(record),
        record["model"].get("spec") or record["model"]["name"],
        *(("cpu", "any") if pooled(record) else (environment.get("device_name"), environment.get("threads"))),
        precision,
        record["protocol"],
        *(["costs"] if record["phase"] == "costs" else []),
    )
    return tuple(map(str, parts))


def _task(record: Record) -> str:
    return str(record["task"].get("spec") or record["task"]["name"])


def _metric(record: Record) -> str:
    return str(record["task"].get("metric") or "top1")


def measured(record: Record, metric: str) -> bool:
    """Whether a run counts in the results: final, ended well, with the headline metric on test."""
    return record["phase"] == "final" and bool(record.get("parameters")) and _tested(record, metric)


def _tested(record: Record, metric: str) -> bool:
    return record["status"] == "ok" and (record["metrics"].get("test") or {}).get(metric) is not None


def _undefined(record: Record, metric: str) -> bool:
    """Whether a final run ended well and was tested, but the headline metric is not among what was found."""
    ended = record["phase"] == "final" and record["status"] == "ok" and bool(record.get("parameters"))
    return ended and bool(record["metrics"].get("test")) and not _tested(record, metric)


def _costed(record: Record, _: str) -> bool:
    """Whether the costs of a run are known, of its memory at least."""
    return record["status"] in ("ok", "out_of_memory") and bool(record.get("parameters"))


def _baselines(records: Sequence[Record], numbers: dict[str, int]) -> tuple[Baseline, ...]:
    """Runs of baselines by specification (a label may differ from seed to seed); new labels get the next number."""
    parts: dict[str, dict[int, Record]] = defaultdict(dict)
    for record in sorted(records, key=_ended):
        if _tested(record, _metric(record)):
            parts[record["method"]["spec"]][record["seed"]] = record
    runs = [tuple(seeds[seed] for seed in sorted(seeds)) for seeds in parts.values()]
    return tuple(
        Baseline(numbers.setdefault(label_of(alike[0]), len(numbers)), _metric(alike[0]), alike)
        for alike in sorted(runs, key=lambda alike: label_of(alike[0]))
    )


def _configurations(records: Sequence[Record], wanted: Callable[[Record, str], bool]) -> tuple[Configuration, ...]:
    """Runs by method and training, ordered by size, each method's configurations side by side.

    Args:
        records: of one group.
        wanted: whether a run counts, by the headline metric: as `measured`.
    """
    metric = _metric(records[0])
    parts: dict[tuple[str, str], dict[int, Record]] = defaultdict(dict)
    for record in sorted(records, key=_ended):  # of two runs alike with one seed, the later one counts
        if wanted(record, metric):
            parts[_trained(record)][record["seed"]] = record
    runs = [tuple(seeds[seed] for seed in sorted(seeds)) for seeds in parts.values()]
    details = _details([alike[0] for alike in runs])
    made = [
        Configuration(alike[0]["method"]["name"], detail, metric, alike)
        for alike, detail in zip(runs, details, strict=True)
    ]
    smallest = {c.name: min(other.backbone for other in made if other.name == c.name) for c in made}
    return tuple(sorted(made, key=lambda c: (smallest[c.name], c.name, c.backbone, c.detail)))


def _trained(record: Record) -> tuple[str, str]:
    """What a configuration's runs have in common: the method with all its fields, and how it was trained."""
    config = json.dumps(record["method"].get("config"), sort_keys=True)
    training = {key: value for key, value in record["training"].items() if value}  # older records lack newer options
    return record["method"]["spec"] + config, json.dumps(training, sort_keys=True)


def _ended(record: Record) -> tuple[str, str]:
    return str((record.get("provenance") or {}).get("ended") or ""), record["run_id"]


def _details(runs: Sequence[Record]) -> list[str]:
    """For each configuration, its rank and the fields in which it differs from others of the same method.

    What tuning chose differs by itself: it is told only where nothing else tells two configurations apart.
    """
    fields = [{**(run["method"].get("config") or {})} for run in runs]
    specs = Counter(run["method"]["spec"] for run in runs)
    for run, own in zip(runs, fields, strict=True):
        if specs[run["method"]["spec"]] > 1:  # the same method trained in two ways: say how
            own.update(run["training"])
    names = [str(run["method"]["name"]) for run in runs]
    asked = [{k: v for k, v in own.items() if k not in searched(run)} for run, own in zip(runs, fields, strict=True)]
    brief = [_told(names, asked, at) for at in range(len(runs))]
    times = Counter(zip(names, brief, strict=True))
    return [brief[at] if times[names[at], brief[at]] == 1 else _told(names, fields, at) for at in range(len(runs))]


def _told(names: Sequence[str], fields: Sequence[Mapping[str, Any]], at: int) -> str:
    return told(fields[at], [other for other, name in zip(fields, names, strict=True) if name == names[at]])
