"""What a reader must know before believing a number: edges, failures, single seeds, mixed devices and protocols."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from bench.records.environment import machine
from bench.records.protocol import PROTOCOL, changed
from bench.report.data.bases import alike
from bench.report.data.chance import one_class
from bench.report.data.convergence import Convergence, convergence, floor
from bench.report.data.differences import FULL, key, whole
from bench.report.data.groups import Group, current, pooled, scored, what
from bench.report.data.measured import Configuration, Record
from bench.report.data.names import headings

_BUSY = 0.85
_PHASES = {"tune": "tuning", "default": "default-configuration", "sweep": "grid", "reference": "baseline"}
_ENDS = {"diverged": "diverged", "out_of_memory": "ran out of memory", "failed": "failed"}


def of_configuration(configuration: Configuration, learned: Mapping[Configuration, Convergence]) -> list[str]:
    """Of one row: "edge" of the space, "shared" tuning, "one seed", "still improving when it stopped"."""
    tuning = configuration.runs[0].get("tuning") or {}
    edge = tuning.get("edge")
    names = [name for name in edge if isinstance(name, str)] if isinstance(edge, list) else []
    found = [f"edge: {', '.join(names)}"] if names else ["edge"] if edge is True else []
    found += ["shared tuning"] * bool(tuning.get("shared_from"))
    found += ["one seed"] * (len(configuration.runs) == 1)
    return found + [said for each in (learned.get(configuration),) if each and (said := each.said)]


def of_study(records: Sequence[Record], groups: Sequence[Group]) -> Iterator[str]:
    """Sentences, each with its place."""
    if not records:
        yield "No records yet."
        return
    taught = [group for group in groups if not group.costs]
    shown = scored(groups)
    if taught and not shown:
        yield "No final run has a score: nothing can be concluded."
    for group, name in zip(shown, headings(shown), strict=True):
        yield from (f"{name}: {text}" for text in _of_group(group, alone=len(alike(group, shown)) == 1))
    yield from _machines(records)
    yield from _protocols(records, groups)
    yield from _waited(records)
    ends = Counter((r["status"], r["phase"]) for r in records if r["status"] in _ENDS)
    for (status, phase), number in sorted(ends.items()):
        yield f"{number} {_PHASES.get(phase, phase)} run{'s' * (number > 1)} {_ENDS[status]}."


def _protocols(records: Sequence[Record], groups: Sequence[Group]) -> Iterator[str]:
    """Which protocols the records are of, where these are several or old ones; what has been measured again."""
    known = sorted({int(record["protocol"]) for record in records})
    if len(known) > 1:
        yield (
            f"The records are of several protocols ({', '.join(map(str, known))}). They are shown apart and never "
            "averaged; scores of two protocols are not to be compared."
        )
    elif known[0] < PROTOCOL:
        yield f"All records are of protocol {known[0]}; runs are now made by protocol {PROTOCOL}, and will stand apart."
    if known[0] < PROTOCOL:
        yield f"What has changed since protocol {known[0]}: {changed(known[0])}"
    older = [group for group in groups if group.older]
    for group, name in zip(older, headings(older), strict=True):
        again = max((g for g in current(groups) if what(g) == what(group)), key=lambda g: g.protocol)
        number = len(group.configurations)
        left = number - len({key(c) for c in group.configurations} & set(map(key, again.configurations)))
        yield (
            f"{name} is measured again by protocol {again.protocol}; what was measured before stands last"
            f"{f', and is all there is of {left} of its {number} configurations' if left else ''}."
        )


def _machines(records: Sequence[Record]) -> Iterator[str]:
    """Several devices are shown apart; several CPUs in fp32 are not, but for their times."""
    trained = [r for r in records if r["phase"] != "reference"]  # baselines are the same anywhere
    fixed = [r for r in trained if not pooled(r)]
    devices = sorted({str(r["environment"].get("device_name")) for r in fixed})
    if len(devices) > 1:
        yield f"The records are of several devices ({', '.join(devices)}). They are shown apart and never averaged."
    if len(machines := {machine(r["environment"]) for r in trained if r not in fixed}) > 1:
        yield (
            f"The scores are of fp32 on {len(machines)} CPUs together, which differ by rounding; a configuration's "
            "training time is of the one that most of its runs are of."
        )


def waited(records: Iterable[Record]) -> tuple[int, int]:
    """How many runs of one thread had the processor for less time than they took, and of how many that is known."""
    known = [r for r in records if r["environment"].get("threads") == 1 and _times(r)]
    return sum(r["time"]["cpu"] < _BUSY * r["time"]["total"] for r in known), len(known)


def _times(record: Record) -> bool:
    """Whether it is known how long a run took, and how much of that it had the processor."""
    time = record.get("time") or {}
    return bool(time.get("cpu")) and time.get("total") is not None


def _waited(records: Sequence[Record]) -> Iterator[str]:
    slow, known = waited(records)
    if slow:
        yield (
            f"{slow} of {known} runs had the processor for less than {_BUSY:.0%} of their time, because other work ran "
            "beside them. Their seconds are too long; scores and memory do not depend on it."
        )


def _of_group(group: Group, *, alone: bool) -> Iterator[str]:
    edges = [c.label for c in group.configurations if any(flag.startswith("edge") for flag in of_configuration(c, {}))]
    if edges:
        few = len(edges) < len(group.configurations) or len(edges) == 1
        who = ", ".join(edges) if few else f"all {len(edges)} configurations"
        yield f"chosen at the edge of the search space for {who}. A better value may lie outside it."
    single = [c.label for c in group.configurations if len(c.runs) == 1]
    if single:
        few = len(single) < len(group.configurations) or len(single) == 1
        yield f"one seed, so no interval, for {', '.join(single) if few else f'all {len(single)} configurations'}."
    full = whole(group.configurations)
    fewer = [f"{c.label} ({len(c.runs)})" for c in group.configurations if c not in full and len(c.runs) > 1]
    if fewer:
        yield f"fewer seeds than the others ({len(full[0].runs)}), so never called the best: {', '.join(fewer)}."
    if len(group.configurations) == 1:
        yield from ["one configuration alone, with nothing to compare it with."] * alone
    elif not group.of(FULL):
        yield "no full fine-tuning to compare with."
    yield from _unfinished(group)
    yield from (f"{said}." for c in group.configurations if (said := one_class(group, c)))
    if group.undefined:
        yield f"the score is not defined for {', '.join(c.label for c in group.undefined)}."


def _unfinished(group: Group) -> Iterator[str]:
    """Which configurations still improved when they stopped."""
    known = convergence(group)
    late = {c: each for c, each in known.items() if each.improving}
    if not late:
        return
    number, every = sum(each.improving for each in late.values()), sum(each.runs for each in known.values())
    named = ", ".join(f"{c.label} ({each.improving} of {each.runs})" for c, each in late.items())
    yield (
        f"still improving when it stopped: {number} of {every} runs, {named}. Their last quarter of epochs raised the "
        f"best validation score by more than the noise floor ({floor(group):.3f}): there methods are compared by how "
        "fast they learn, not by how far they get."
    )
