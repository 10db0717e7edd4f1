"""The old task on a page: before and after, in three ways; at matched score on the new one; the update's spectra."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean
from typing import Any

from bench.report.data import differences, retention
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration
from bench.report.tables.markdown import MISSING, table
from bench.stats import Difference


def old_task_section(group: Group) -> Iterator[str]:
    """Blocks of Markdown; none where the old task was read under its old head alone (older records)."""
    ways = retention.ways(group)
    if len(ways) < 2:
        return
    name = group.configurations[0].old_task
    yield f"### The old task: {name}"
    yield _lines(group, name)
    heading = ["method", "learning rate", *(f"{retention.WAYS[way]} (macro F1)" for way in ways), "CKA"]
    yield table(heading, [_row(c, ways) for c in group.configurations])
    yield from _matched(group, ways)
    yield from _spectra(group)


def _lines(group: Group, name: str) -> str:
    facts = retention.facts(group)
    before = mean(group.configurations[0].untouched.values())
    said = [f"before training {before:.3f}"]
    if "chance" in facts:
        said.append(f"chance {facts['chance']:.3f}")
    if "majority" in facts:
        macro = f" (macro F1 {facts['majority_f1']:.3f})" if "majority_f1" in facts else ""
        said.append(f"majority class {facts['majority']:.3f}{macro}")
    return (
        f"Accuracy on {name}'s test part: {', '.join(said)}. Every head is a logistic regression (L2, C = 1) on "
        f"standardised features of its training part{_fit(group)}. Under the old head, what falls is drift of the "
        "features; with their mean and scale fitted again, without labels, drift beyond that; under a head fitted "
        "again, what a linear head can no longer read. CKA: linear, of the features before and after (1: alike up to "
        "rotation and scale)."
    )


def _fit(group: Group) -> str:
    fits = [run["retention"]["fit"] for c in group.configurations for run in c.runs if run.get("retention")]
    if not fits:
        return ""
    ended = sum(bool(fit.get("converged")) for fit in fits)
    return f", {fits[0]['samples']:,} samples ({ended} of {len(fits)} fits converged)"


def _row(c: Configuration, ways: list[str]) -> list[str]:
    found = [_mean(c, way) for way in ways]
    alike = [(run.get("retention") or {}).get("cka") for run in c.runs]
    rate = c.runs[0]["training"].get("lr")
    return [c.label, f"{rate:.3g}" if rate else "", *found, _of(alike)]


def _mean(c: Configuration, way: str) -> str:
    macro = [value for run in c.runs if (value := (run["metrics"].get(way) or {}).get("macro_f1")) is not None]
    return _of(list(c.on_old_task(way).values())) + (f" ({mean(macro):.3f})" if macro else "")


def _of(values: list[Any]) -> str:
    known = [float(value) for value in values if value is not None]
    return f"{mean(known):.3f}" if known else MISSING


def _matched(group: Group, ways: list[str]) -> Iterator[str]:
    """Read at one score on the new task."""
    curves = retention.adapting(group)
    if len(curves) < 2:
        return
    read = {way: retention.matched(list(curves.values()), way) for way in ways}
    level = next(iter(read.values()))[0]
    yield (
        f"**At matched score on {group.task}**, {level:.3f}, the highest that every method that adapts the backbone "
        "reaches at one of its rates: the old task where each curve first rises past it, on a straight line "
        "between neighbouring rates; – where even the lowest rate lies above it."
    )
    rows = [
        [c.label, *(MISSING if value is None else f"{value:.3f}" for value in values)]
        for c, *values in zip(curves, *(found for _, found in read.values()), strict=True)
    ]
    yield table(["method", *(retention.WAYS[way] for way in ways)], rows)
    yield from _less_full(group, list(curves), ways)


def _less_full(group: Group, adapting: list[Configuration], ways: list[str]) -> Iterator[str]:
    """Differences from full fine-tuning, each pair at a score of its own."""
    full = differences.full(group)
    if full is None or full not in adapting:
        return
    yield (
        "**Less full fine-tuning**, each seed at the highest score on the new task that both reach: the mean "
        "difference on the old task with its 95% interval, paired by seed, over the seeds on which both curves rise "
        "past that score."
    )
    rows = [
        [c.label, *(_difference(retention.beyond(group, c, full, way)) for way in ways)]
        for c in adapting if c is not full
    ]  # fmt: skip
    yield table(["method", *(retention.WAYS[way] for way in ways)], rows)


def _difference(found: Difference | None) -> str:
    if found is None:
        return MISSING
    interval = f"{found.interval[0]:+.3f} to {found.interval[1]:+.3f}, " if found.interval else ""
    return f"{found.mean:+.3f} ({interval}{found.pairs} seed{'s' * (found.pairs > 1)})"


_SPECTRA = {
    "relative_norm": "‖ΔW‖ / ‖W‖",
    "stable_rank": "stable rank of ΔW",
    "effective_rank": "effective rank of ΔW",
    "intruders": "intruder dimensions a layer",
}


def _spectra(group: Group) -> Iterator[str]:
    """Means over adapted layers and seeds."""
    known = {c: [run["update"] for run in c.runs if run.get("update")] for c in group.configurations}
    found = {c: updates for c, updates in known.items() if updates}
    if not found:
        return
    first = next(iter(found.values()))[0]
    rows = []
    for c, updates in found.items():
        layers = [figures for update in updates for figures in update["roles"].values()]
        means = [mean(value for figures in layers for value in figures[key]) for key in _SPECTRA]
        count = sum(len(figures["stable_rank"]) for figures in updates[0]["roles"].values())
        rows.append([c.label, count, *(f"{value:.3g}" for value in means)])
    yield (
        "**The update of the weights**, means over adapted layers and seeds. Stable rank: ‖ΔW‖²_F / ‖ΔW‖²₂. Effective "
        "rank: the exponential of the entropy of the singular values (Roy and Vetterli 2007). Intruder dimensions "
        f"(arXiv:2410.21228): of the {first['top']} largest left singular vectors of the tuned matrix those whose "
        f"cosine with every one before is below ε = {first['epsilon']:g}."
    )
    yield table(["method", "layers", *_SPECTRA.values()], rows)
