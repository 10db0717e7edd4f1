"""Sentences about how the numbers came about, the same under a figure and on the page."""

from __future__ import annotations

import re
from collections.abc import Iterable
from statistics import median, stdev
from typing import Any

from bench.report.groups import Group
from bench.report.measured import Configuration, Reference
from bench.report.style import look

UNDEFINED = "not defined"
_PARTS = {"lr": "learning rate", "weight_decay": "weight decay"}


def seeds(group: Group) -> str:
    """How many seeds, and what the interval over them is worth."""
    numbers = sorted({len(configuration.runs) for configuration in group.configurations})
    if numbers == [1]:
        return "One seed: no interval can be drawn, and differences may be chance."
    text = f"Mean over {span(numbers)} seeds with 95% bootstrap interval"
    small = [str(number) for number in numbers if 2 <= number <= 3]
    text += f" (with {' or '.join(small)} seeds: lowest to highest)" if small else ""
    return text + ("; none for a single seed." if numbers[0] == 1 else ".")


def noise(group: Group) -> str:
    """The noise floor: by how much the same configuration differs from seed to seed."""
    spreads = [stdev(c.score.values) for c in group.configurations if len(c.runs) > 1]
    if not spreads:
        return ""
    return f"Noise floor (median standard deviation from seed to seed): {median(spreads):.3f}."


def tuning(group: Group) -> str:
    """How many candidates every method was allowed, and what was tuned once and shared."""
    trails: dict[str, dict[str, Any]] = {}
    for configuration in group.configurations:
        for run in configuration.runs:
            if run.get("tuning"):
                trails[configuration.label] = run["tuning"]
    if not trails:
        return "Nothing was tuned."
    chosen = sorted({key for trail in trails.values() for key in trail.get("chosen") or {}}) or ["lr"]
    what = " and ".join(_PARTS.get(key, key) for key in chosen)
    numbers = sorted({len(trail.get("candidates") or ()) for trail in trails.values()})
    text = f"{what.capitalize()} chosen on validation from {span(numbers)} candidates per method"
    text += " (unequal budgets)" if len(numbers) > 1 else ""
    untuned = sum(c.label not in trails for c in group.configurations)
    text += f"; {untuned} configuration{'s' * (untuned != 1)} not tuned" if untuned else ""
    return "; ".join([text, *_shared(group.configurations)]) + "."


def _shared(configurations: Iterable[Configuration]) -> list[str]:
    """One clause for every method whose tuning was done once and shared by its ranks."""
    clauses = {}
    for configuration in configurations:
        source = (configuration.runs[0].get("tuning") or {}).get("shared_from")
        if source:
            rank = re.search(r"rank=(\d+)", source)
            stabilised = any("stabili" in key and value for key, value in configuration.config.items())
            scale = "α/√r" if stabilised else "α/r"
            at = f"at r={rank[1]} and shared over ranks under {scale}" if rank else f"for {source} and shared"
            clauses[configuration.name] = f"{look(configuration.name).name}'s tuned once {at}"
    return list(clauses.values())


def reference(of: Reference) -> str:
    """A reference in one line: its score, how sure it is, and how it was tuned."""
    interval, number = of.score.interval, len(of.runs)
    sure = "one seed"
    if interval:
        same = interval[0] == interval[1]
        sure = f"{'the same' if same else f'{interval[0]:.3f} to {interval[1]:.3f}'} over {number} seeds"
    text = f"{of.label}: {of.score.mean:.3f} ({sure})"
    trail = of.runs[0].get("tuning") or {}
    candidates = trail.get("candidates")
    if not candidates:
        return f"{text}, nothing tuned"
    what = " and ".join(_PARTS.get(key, key) for key in trail.get("chosen") or {}) or "settings"
    edges = sum(bool((run.get("tuning") or {}).get("edge")) for run in of.runs)
    edge = f" (the best at the edge of what was tried for {edges} of {number} seeds)" if edges else ""
    return f"{text}, {what} chosen on validation from {len(candidates)} candidates{edge}"


def span(numbers: Iterable[int]) -> str:
    """ "3", or "2–5" where there are several numbers."""
    known = sorted(set(numbers))
    return str(known[0]) if len(known) == 1 else f"{known[0]}–{known[-1]}"
