"""Sentences about how the numbers came about, the same under a figure and on the page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from bench.report.data.groups import Group
from bench.report.data.measured import Baseline, Configuration
from bench.report.data.names import headings
from bench.report.style import look
from bench.stats import has_width, noise_floor

UNDEFINED = "not defined"
PARTS = {"lr": "learning rate", "head_lr": "the head's learning rate"}
MEMORY = {
    "measured": ("measured", "reported by the device's allocator"),
    "foretold": ("estimated", "estimated from the shapes of all tensors of a step"),
    "tracked": ("tracked", "counted over a real step on the CPU"),
    "extended": (
        "extrapolated",
        "counted over real steps of smaller batches on the CPU, and extended in a straight line",
    ),
}
"""How memory is known: what records call it, in a word and in a sentence's end. Whoever says it takes it from here."""
_HOW = {
    "sampler": {
        "tpe": "TPE",
        "random": "random search",
        "grid": "grid",
        "bracket": "bracketing",
        "qmc": "quasi-random search",
        "cmaes": "CMA-ES",
    },
    "pruner": {
        "median": "median pruning",
        "hyperband": "Hyperband pruning",
        "halving": "successive halving on seconds",
        "none": "no pruning",
    },
}


def seeds(group: Group) -> str:
    """How many seeds, and what the interval over them is worth."""
    numbers = sorted({len(configuration.runs) for configuration in group.configurations})
    if numbers == [1]:
        return "One seed: no interval can be drawn, and differences may be chance."
    text = f"Mean over {span(numbers)} seeds with 95% interval (Student's)"
    return text + ("; none for a single seed." if numbers[0] == 1 else ".")


def noise(group: Group) -> str:
    """The noise floor: by how much the same configuration differs from seed to seed."""
    floor = noise_floor([c.score.values for c in group.configurations])
    return "" if floor is None else f"Noise floor (pooled standard deviation from seed to seed): {floor:.3f}."


def tuning(group: Group) -> str:
    """The budget that every method was allowed, what was searched, and what was tuned once and shared."""
    trails: dict[str, Mapping[str, Any]] = {}
    for configuration in group.configurations:
        for run in configuration.runs:
            if run.get("tuning"):
                trails[configuration.label] = run["tuning"]
    if not trails:
        return "Nothing was tuned."
    budgets = list(dict.fromkeys(map(budget, trails.values())))
    text = f"Tuned on validation, {' or '.join(budgets)}, over {_searched(list(trails.values()))}"
    text += " (unequal budgets)" if len(budgets) > 1 else ""
    untuned = sum(c.label not in trails for c in group.configurations)
    text += f"; {untuned} configuration{'s' * (untuned != 1)} not tuned" if untuned else ""
    return "; ".join([text, *_shared(group.configurations)]) + "."


def tunings(groups: Sequence[Group]) -> str:
    """The same for several groups: once where it holds for all, else by task."""
    return once(groups, tuning)


def several(names: Sequence[str]) -> str:
    """Names in a row: "elpv and tree-crowns"; those with commas of their own with semicolons between them."""
    if any("," in name for name in names):
        return "; ".join(names)
    return " and ".join([", ".join(names[:-1])] * (len(names) > 1) + list(names[-1:]))


def once(groups: Sequence[Group], sentence: Callable[[Group], str]) -> str:
    """A sentence that holds for all groups; where it differs, one for each after its task: "elpv: One seed. ..."."""
    said = [sentence(group) for group in groups]
    if len(set(said)) == 1:
        return said[0]
    return " ".join(f"{task}: {text}" for task, text in zip(headings(groups), said, strict=True))


def budget(trail: Mapping[str, Any]) -> str:
    """What one search was allowed: "6 trials each (TPE, median pruning) on 1 tuning seed"."""
    number, on = trail.get("budget") or len(trail.get("trials") or ()), len(trail.get("seeds") or ())
    how = [
        names[key] if (key := trail.get(part)) in names else str(key) for part, names in _HOW.items() if trail.get(part)
    ]
    text = f"{number} trial{'s' * (number != 1)} each" + (f" ({', '.join(how)})" if how else "")
    return text + (f" on {on} tuning seed{'s' * (on != 1)}" if on else "")


def _searched(trails: Sequence[Mapping[str, Any]]) -> str:
    """The hyper-parameters that all of these searched, and those that some did."""
    names = [list(trail.get("space") or trail.get("chosen") or ["lr"]) for trail in trails]
    every = [name for name in names[0] if all(name in other for other in names)]
    some = {name for own in names for name in own} - set(every)
    text = listed(every) if every else "a space of its own each"
    return f"{text} (some methods: {listed(some)})" if some else text


def listed(names: Iterable[str]) -> str:
    """Hyper-parameters in words: "learning rate, weight decay and alpha"."""
    known = [PARTS.get(name, name.replace("_", " ")) for name in (names if isinstance(names, list) else sorted(names))]
    return several(known)


def memory_kind(kind: str) -> str:
    """How memory is known, in a word: what records call "foretold" is estimated."""
    return MEMORY[kind][0] if kind in MEMORY else kind


def memory_how(kinds: Iterable[str]) -> str:
    """How it came about, to stand behind "Memory": "counted over a real step on the CPU"; "" where that is unknown."""
    here = set(kinds)
    return " or ".join(how for kind, (_, how) in MEMORY.items() if kind in here)


def part(name: str) -> str:
    """One hyper-parameter in words."""
    return listed([name])


def _shared(configurations: Iterable[Configuration]) -> list[str]:
    """One clause for every method whose tuning was done once and shared by its ranks."""
    clauses = {}
    for configuration in configurations:
        source = (configuration.runs[0].get("tuning") or {}).get("shared_from")
        if source:
            rank = re.search(r"rank=(\d+)", source)
            stabilised = any("stabili" in key and value for key, value in configuration.config.items())
            scale = "α/√r" if stabilised else "α/r"
            at = f"at r={rank[1]} for all its ranks, scaled by {scale}" if rank else f"for {source}, for all"
            clauses[configuration.name] = f"{look(configuration.name).name} tuned once, {at}"
    return list(clauses.values())


def baseline(of: Baseline) -> str:
    """A baseline in one line: its score, how sure it is, and how it was tuned."""
    interval, number = of.score.interval, len(of.runs)
    sure = "one seed"
    if interval:
        ends = f"{interval[0]:.3f} to {interval[1]:.3f}" if has_width(interval) else "the same"
        sure = f"{ends} over {number} seeds"
    text = f"{of.label}: {of.score.mean:.3f} ({sure})"
    trail = of.runs[0].get("tuning") or {}
    candidates = trail.get("candidates")
    if not candidates:
        return f"{text}, nothing tuned"
    what = listed(trail.get("chosen") or ()) or "settings"
    edges = sum(bool((run.get("tuning") or {}).get("edge")) for run in of.runs)
    edge = f" (the best at the edge of what was tried for {edges} of {number} seeds)" if edges else ""
    return f"{text}, {what} chosen on validation from {len(candidates)} candidates{edge}"


def span(numbers: Iterable[int]) -> str:
    """ "3", or "2–5" where there are several numbers."""
    known = sorted(set(numbers))
    return str(known[0]) if len(known) == 1 else f"{known[0]}–{known[-1]}"
