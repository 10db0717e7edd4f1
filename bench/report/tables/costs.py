"""What a study of costs found, network by network: the groups that one figure shows side by side, and their table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bench.report import style
from bench.report.data.groups import Group, current
from bench.report.data.measured import Configuration
from bench.report.data.wording import memory_how
from bench.report.style import count
from bench.report.tables.markdown import table

GPU = "cuda"
"""The device that records estimate memory for, beside the one that they were made on."""
TYPICAL = 32
"""The batch size of figures that show one; the nearest that was estimated otherwise."""
Groups = Sequence[Group]


def gathered(groups: Groups) -> list[tuple[Group, ...]]:
    """Groups of costs by what is alike but the network (task, device, precision), from small networks to large."""
    parts: dict[tuple[Any, ...], list[Group]] = defaultdict(list)
    for group in current(groups):
        if group.costs and group.configurations:
            record = group.records[0]
            parts[record["task"].get("spec"), group.device, record["protocol"]].append(group)
    return [tuple(sorted(alike, key=size)) for alike in parts.values()]


def size(group: Group) -> int:
    """Parameters of the network: those that full fine-tuning trains, or the most that any method does."""
    whole = group.of("FullFineTuning") or group.configurations
    return max(configuration.backbone for configuration in whole)


def network(group: Group) -> str:
    """The network with its size: "vit_base_patch16_224 (86M)"."""
    return f"{group.records[0]['model']['name']} ({count(size(group))})"


def estimated(configuration: Configuration) -> dict[int, Mapping[str, Any]]:
    """Memory on a GPU by batch size, where it could be estimated."""
    found = (configuration.runs[0].get("memory") or {}).get(GPU) or {}
    return {int(n): each for n, each in found.items() if each.get("peak") is not None}


def batches(groups: Groups) -> list[int]:
    """Batch sizes whose memory was estimated, from small to large."""
    return sorted({n for group in groups for c in group.configurations for n in estimated(c)})


def typical(groups: Groups) -> int:
    """The batch size of figures that show one."""
    return min(batches(groups), key=lambda n: abs(n - TYPICAL))


def has_memory(groups: Groups) -> bool:
    """Whether memory on a GPU was estimated for any configuration."""
    return bool(batches(groups))


def steps(configuration: Configuration) -> Mapping[str, float]:
    """Seconds and operations of a step; empty where none was done."""
    return configuration.runs[0].get("step") or {}


def latency(configuration: Configuration) -> Mapping[str, float]:
    """Seconds of one sample by form; empty where it was not measured."""
    return _inference(configuration, "latency")


def _inference(configuration: Configuration, what: str) -> Mapping[str, float]:
    """Of the first run that has it: it is measured once for all seeds."""
    found = ((run.get("inference") or {}).get(what) for run in configuration.runs)
    return next((each for each in found if each), {})


def stepped(groups: Groups) -> list[Group]:
    """The groups of which steps were done."""
    return [group for group in groups if any(steps(c) for c in group.configurations)]


def precisions(groups: Groups) -> str:
    """The precision that memory was estimated for."""
    found = {each["precision"] for group in groups for c in group.configurations for each in estimated(c).values()}
    return " or ".join(sorted(found))


def how(groups: Groups) -> str:
    """A footnote: where the memory comes from."""
    kinds = {each["kind"] for group in groups for c in group.configurations for each in estimated(c).values()}
    return (
        f"For a GPU in {precisions(groups)}, not measured on one: live bytes of tensors, {memory_how(kinds)}. "
        "CUDA itself and the allocator's gaps come on top."
    )


def rows_of(groups: Groups) -> list[tuple[str, str]]:
    """Configurations of all groups by label, with their method, in one order."""
    found: dict[str, str] = {}
    for group in sorted(groups, key=lambda group: -len(group.configurations)):
        found |= {c.label: c.name for c in group.configurations if c.label not in found}
    return list(found.items())


def colours(groups: Groups) -> dict[str, Any]:
    """A colour for each label: its method's, from light to dark where there are several of a method."""
    rows = rows_of(groups)
    return dict(zip([label for label, _ in rows], style.searched([name for _, name in rows]), strict=True))


def cost_table(group: Group) -> str:
    """One row a configuration: what trains, memory on a GPU, time of a step, latency, checkpoint."""
    n = typical([group]) if has_memory([group]) else 0
    whole = [estimated(c)[n]["peak"] for c in group.of("FullFineTuning") if n in estimated(c)]
    columns: list[tuple[str, Callable[[Configuration], str]]] = [
        ("backbone parameters", lambda c: c.size),
        (f"GPU memory, batch {n}", lambda c: _bytes(_at(c, n).get("peak"))),
        ("of full fine-tuning", lambda c: _share(_at(c, n).get("peak"), whole)),
        ("of it activations", lambda c: _bytes((_at(c, n).get("breakdown") or {}).get("activations"))),
        ("step", lambda c: _ms(steps(c).get("seconds"))),
        ("frozen part, once", lambda c: _ms(steps(c).get("prefix"))),
        ("latency unmerged", lambda c: _ratio(c, "unmerged")),
        ("merged", lambda c: _ratio(c, "merged")),
        ("throughput unmerged", lambda c: _throughput(c, "unmerged")),
        ("merged ", lambda c: _throughput(c, "merged")),
        ("checkpoint", lambda c: _bytes((c.runs[0].get("checkpoint") or {}).get("backbone"))),
    ]
    rows = [(c.label, *(value(c) for _, value in columns)) for c in group.configurations]
    kept = [i for i in range(len(columns) + 1) if any(row[i] for row in rows)]
    heads = ("method", *(name for name, _ in columns))
    return table([heads[i] for i in kept], [[row[i] for i in kept] for row in rows])


def reading(group: Group) -> str:
    """What the table's columns are."""
    batch = group.records[0]["training"].get("batch_size")
    if not stepped([group]):
        return "Too large for steps on this machine: only its memory is estimated."
    return (
        f"Steps in batches of {batch}, median; the frozen part of a network runs once per sample, before training, and "
        "is not in the step. Latency of one sample and throughput in batches, as multiples of the untouched network's, "
        "which took turns with them. Checkpoint: what is stored beside the untouched weights, the head not counted."
    )


def _at(configuration: Configuration, n: int) -> Mapping[str, Any]:
    return estimated(configuration).get(n) or {}


def _bytes(value: float | None) -> str:
    return "" if value is None else style.size(value)


def _share(value: float | None, whole: Sequence[float]) -> str:
    return f"{value / whole[0]:.0%}" if value is not None and whole else ""


def _ms(value: float | None) -> str:
    return "" if value is None else milliseconds(value)


def milliseconds(seconds: float) -> str:
    """A short time: "12.3 ms", "480 ms", "2.31 s"."""
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"


def _throughput(configuration: Configuration, form: str) -> str:
    """In batches, as a multiple of the untouched network's."""
    found = _inference(configuration, "throughput")
    return f"{found[form] / found['base']:.2f}" if form in found and found.get("base") else ""


def _ratio(configuration: Configuration, form: str) -> str:
    found = latency(configuration)
    return f"{found[form] / found['base']:.2f}" if form in found and found.get("base") else ""


def costs_section(groups: Groups, figures: Sequence[str]) -> Iterator[str]:
    """The blocks of a page: one heading for networks that are compared, the figures, a table each."""
    record = groups[0].records[0]
    yield f"## {record['task'].get('family') or record['task']['name']}: {', '.join(map(network, groups))}"
    yield (
        f"{', '.join(str(g.records[0]['model'].get('spec')) for g in groups)}; head of {record['task'].get('spec')}; "
        f"{groups[0].device}; protocol {record['protocol']}. Weights and inputs are random: nothing was learned."
    )
    yield from figures
    for group in groups:
        yield f"### {network(group)}"
        yield cost_table(group)
        yield reading(group)
