"""Forms of sentences that several documents use: means in their order, what differs significantly, how long it took."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

from bench.report.data.differences import BETTER, WORSE
from bench.report.queries import FULL, Facts, listed, of, ordered, points, short
from bench.report.statements import Statement


def against_full(where: str, study: str, task: str, lead: str) -> Statement:
    """The means of a task in their order, and what differs significantly from full fine-tuning."""
    return Statement(
        where,
        study,
        lead + ": {order}. Significantly above full fine-tuning: {above}; below: {below}.",
        lambda facts: {
            "order": ordered(facts, task),
            "above": of(facts, task, BETTER, FULL),
            "below": of(facts, task, WORSE, FULL),
        },
    )


def changes(where: str, study: str, task: str, lead: str, than: str) -> Statement:
    """What each other configuration has more than one, in points with its interval, the most first."""

    def said(facts: Facts) -> str:
        others = [c.label for c in facts.group(task).configurations if c.label != than]
        found = sorted(((facts.difference(task, label, than), label) for label in others), key=lambda one: -one[0].mean)
        return ", ".join(f"{label} {points(difference)}" for difference, label in found)

    return Statement(
        where,
        study,
        lead + ": {mean}; more than that, in points: {changes}. Significantly above it: {above}; below: {below}.",
        lambda facts: {
            "mean": f"{than} {short(facts.mean(task, than))}",
            "changes": said(facts),
            "above": of(facts, task, BETTER, than),
            "below": of(facts, task, WORSE, than),
        },
    )


def scatter(where: str, study: str, families: Mapping[str, str]) -> Statement:
    """How far seeds scatter, and how many runs had not converged.

    Args:
        where, study: as of a `Statement`.
        families: how each task is called in the sentence → its name.
    """
    runs = "In {last} runs the last epoch was the best: speed is compared as much as reach."
    return Statement(
        where,
        study,
        "Seeds scatter by {noise} within a configuration. " + runs,
        lambda facts: {
            "noise": listed(f"{short(facts.noise(task))} on {name}" for name, task in families.items()),
            "last": listed("{} of {}".format(*facts.last(task)) for task in families.values()),
        },
    )


def at_ends(where: str, study: str, families: Mapping[str, str], about: str) -> Statement:
    """For how many configurations the chosen value lay at an end of its search space, and where for one of them.

    Args:
        where, study, families: as of `scatter`.
        about: the label of the one.
    """

    def counted(facts: Facts, task: str) -> str:
        known = facts.group(task).configurations
        return f"{sum(c.at_edge for c in known)} of {len(known)}"

    def of_one(facts: Facts) -> str:
        return listed(name for name, task in families.items() if facts.one(task, about).at_edge)

    return Statement(
        where,
        study,
        "The chosen rate lay at an end of its grid for {counts} (that of " + about + " on {one}): better ones may lie "
        "outside.",
        lambda facts: {
            "counts": listed(f"{counted(facts, task)} configurations on {name}" for name, task in families.items()),
            "one": of_one(facts),
        },
    )


def minutes(study: str, question: str) -> Statement:
    """A row of the table of studies: its question, and how long its recorded runs took together."""

    def time(facts: Facts) -> str:
        return f"{facts.minutes:.0f} min" if facts.minutes < 120 else f"{facts.minutes / 60:.1f} h"

    text = f"| {study} | {question} | {{time}} |"
    return Statement("studies/README.md", study, text, lambda facts: {"time": time(facts)})


def against_best(task: str, lead: str) -> Statement:
    """The means of placements in their order, and which are significantly below the best."""
    return Statement(
        "studies/placement.py",
        "placement",
        lead + ": {order}. Significantly below the best mean: {below}.",
        lambda facts: {"order": ordered(facts, task), "below": of(facts, task, WORSE, facts.best(task))},
    )


def chosen_rates(task: str, lead: str) -> Statement:
    """The rates that were chosen; all ranks have the same."""

    def rates(facts: Facts) -> dict[str, float]:
        labels = [*facts.labels(task, "LoRA"), FULL]
        return {label: float(facts.one(task, label).runs[0]["training"]["lr"]) for label in labels}

    return Statement(
        "studies/learning_rate.py",
        "learning-rate",
        lead + ": {rates}.",
        lambda facts: {"rates": ", ".join(f"{label} {rate:.2g}" for label, rate in rates(facts).items())},
        lambda facts: len(set(rates(facts).values()) - {rates(facts)[FULL]}) == 1,
    )


def drifted(task: str, lead: str) -> Statement:
    """Accuracy on the old task under its old head, before and after each method."""

    def said(facts: Facts) -> str:
        found = {c.label: fmean(c.retained.values()) for c in facts.group(task).configurations}
        before = fmean(facts.group(task).configurations[0].untouched.values())
        order = sorted(found.items(), key=lambda one: -one[1])
        return f"{short(before)} before; {', '.join(f'{label} {short(value)}' for label, value in order)}"

    return Statement("studies/forgetting.py", "forgetting", lead + ": {drift}.", lambda facts: {"drift": said(facts)})
