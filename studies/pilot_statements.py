"""The pilot's criterion on its records, and what pilot.py says of them, as queries: a part of statements.py."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev

from bench.report.data.groups import Group
from bench.report.data.measured import Configuration
from bench.report.queries import PROBE, Facts, listed, short
from bench.report.statements import Statement

PILOT = "studies/pilot.py"
FLOORS = 3.0
"""Noise floors by which a method must be above the probe, and the probe above the majority class."""
NETWORKS = {
    "vit_small_patch14_dinov2": "DINOv2-S/14",
    "tf_efficientnet_lite0": "EfficientNet-Lite0",
    "minilm-l6": "MiniLM-L6",
    "bge-small": "bge-small",
}


@dataclass(frozen=True)
class Judged:
    """A task on a network, by the criterion.

    Args:
        task, network: which.
        floor: the noise floor.
        gain: of the best adapted method over the probe of the same seed, in floors.
        above: of the probe over the majority class, in floors.
        late: the most that the last quarter of the epochs raises the best validation score of an adapted method.
    """

    task: str
    network: str
    floor: float
    gain: float
    above: float
    late: float

    @property
    def enters(self) -> bool:
        """Whether it can tell methods apart."""
        return self.gain > FLOORS and self.above > FLOORS


def judged(facts: Facts) -> list[Judged]:
    """Every task on every network; boxes have a floor of their own, as box AP is another score."""
    probes = {id(group): scatter(group) for group in facts.groups}
    found = []
    for group in facts.groups:
        alike = [
            probes[id(other)] for other in facts.groups if (other.model, other.metric) == (group.model, group.metric)
        ]
        floor = max(probes[id(group)], sqrt(fmean(one**2 for one in alike)))
        (probe,), adapted = group.of("LinearProbe"), [c for c in group.configurations if c.label != PROBE]
        gains = [value - probe.by_seed[seed] for c in adapted for seed, value in c.by_seed.items()]
        least = next((b.score.mean for b in group.baselines if "majority" in b.label.lower()), 0.0)
        late = max(gained_late(c, group.metric) for c in adapted)
        found.append(
            Judged(group.task, group.model, floor, max(gains) / floor, (probe.score.mean - least) / floor, late)
        )
    return found


def scatter(group: Group) -> float:
    """Standard deviation of the probe over its seeds."""
    (probe,) = group.of("LinearProbe")
    return stdev(probe.score.values)


def gained_late(configuration: Configuration, metric: str) -> float:
    """By how much the last quarter of the epochs raises the best validation score."""
    scores = [row["val"][metric] for row in configuration.runs[0]["curve"]]
    return float(max(scores) - max(scores[: len(scores) * 3 // 4]))


def said(one: Judged) -> str:
    """A task with its floors."""
    return f"{one.task} {one.gain:.1f} on {NETWORKS[one.network]}"


def of_family(facts: Facts, family: str) -> list[Judged]:
    """Its tasks, each on the network where adapting gains most."""
    best: dict[str, Judged] = {}
    known = {g.task for g in facts.groups if g.records[0]["task"]["family"] == family}
    for one in sorted(judged(facts), key=lambda each: (each.enters, each.gain)):
        if one.task in known:
            best[one.task] = one
    return sorted(best.values(), key=lambda each: -each.gain)


def entered(family: str, lead: str) -> Statement:
    """Which tasks of a family the criterion lets in, and which not, in floors above the probe."""

    def parted(facts: Facts) -> dict[str, object]:
        found = of_family(facts, family)
        inside, outside = ([said(one) for one in found if one.enters is enters] for enters in (True, False))
        return {"inside": listed(inside), "outside": listed(outside)}

    text = lead + " that enter, with floors above the probe: {inside}. That do not: {outside}."
    return Statement(PILOT, "pilot", text, parted, scale="overnight")


def lengths(facts: Facts) -> dict[str, object]:
    """Where training was too short on a task that enters."""
    inside = {one.task for family in ("images", "text") for one in of_family(facts, family) if one.enters}
    both = [one for one in judged(facts) if one.task in inside]
    short_, long = ([one for one in both if (one.late >= one.floor) is late] for late in (True, False))

    def named(known: list[Judged]) -> str:
        networks = dict.fromkeys(one.network for one in known)
        return "; ".join(
            f"{listed(one.task for one in known if one.network == network)} on {NETWORKS[network]}"
            for network in networks
        )

    return {"short": named(short_), "long": named(long)}


OF_PILOT = (
    entered("images", "Pictures"),
    entered("text", "Texts"),
    entered("detection", "Boxes"),
    Statement(
        PILOT,
        "pilot",
        "Of the tasks that enter, these gained more than the floor in the last quarter of their epochs, so that "
        "`overnight` has twice as many: {short}. These did not: {long}.",
        lengths,
        scale="overnight",
    ),
    Statement(
        PILOT,
        "pilot",
        "Boxes, box AP on test: {crowns}; {digits}.",
        lambda facts: {
            name: f"{task} " + listed(
                f"{c.label} {short(c.score.mean)}" for c in facts.group(task).configurations
            )
            for name, task in (("crowns", "tree-crowns"), ("digits", "composited-mnist"))
        },
        scale="overnight",
    ),
    Statement(
        PILOT,
        "pilot",
        "Crowns fail by the second half of the criterion alone",
        holds=lambda facts: any(
            one.task == "tree-crowns" and one.above < FLOORS < one.gain for one in judged(facts)
        ),
        scale="overnight",
    ),
)  # fmt: skip
