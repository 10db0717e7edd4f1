"""How likely a claim's rule is to decide at a planned size, if the difference is as large as its source says."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from bench.report.claims import Claim, Contrast, Differences, Evidence
from bench.report.rules import Rule

SEED, SAMPLE = 0.012**2, 0.03
"""Assumed where no records are: variance of a difference between seeds, and between samples as far as seeds share it
(of 100 test samples, three on which the two methods differ whatever the seed)."""
ENOUGH, MOST = 0.8, 400


@dataclass(frozen=True)
class Size:
    """What is planned.

    Args:
        seeds: of each configuration.
        samples: of a task's test part.
        tasks: how many.
    """

    seeds: int
    samples: int
    tasks: int


@dataclass(frozen=True)
class Components:
    """Variances of a difference on one task.

    Args:
        seed: between seeds' means.
        sample: between samples, as far as seeds share it.
        source: where they are from.
    """

    seed: float
    sample: float
    source: str


def components(contrast: Contrast, evidence: Evidence) -> Components:
    """From the records of two methods, as far as these tell; else as assumed."""
    found = contrast.found(evidence).mean
    tasks = len(contrast.found(evidence).each)
    if found is None or not found.seed:
        return Components(SEED, SAMPLE, "assumed")
    seed = found.seed * tasks * found.seeds
    if not found.samples:
        return Components(seed, SAMPLE, f"seeds from {evidence.scale}, samples assumed")
    return Components(seed, found.sample * tasks * found.samples, f"from {evidence.scale}")


def power(rule: Rule, effect: float, size: Size, of: Components, *, verdict: str | None = "CONFIRMED") -> float:
    """The probability of a verdict, of any that decides with None, if the true difference is `effect`.

    The mean is normal about `effect` with the variance (seed / n + sample / m) / tasks, its interval t·√variance.
    """
    seed, sample = of.seed / size.seeds, of.sample / size.samples
    spread = math.sqrt((seed + sample) / size.tasks)
    freedom = size.tasks * (size.seeds - 1) * ((seed + sample) / seed) ** 2
    half = float(stats.t.ppf(0.975, freedom)) * spread
    at = np.linspace(-5, 5, 1001)
    weights = stats.norm.pdf(at) / stats.norm.pdf(at).sum()
    said = [rule((effect + spread * z - half, effect + spread * z + half)) for z in at]
    fits = [s != "INCONCLUSIVE" if verdict is None else s == verdict for s in said]
    return float(weights @ np.array(fits))


def needed(rule: Rule, effect: float, size: Size, of: Components) -> Size | None:
    """The fewest seeds with a power of .8 at the planned samples and tasks; with ten times the samples if need be."""
    for samples in (size.samples, 10 * size.samples):
        for seeds in (3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 100, 200, MOST):
            tried = replace(size, seeds=seeds, samples=samples)
            if power(rule, effect, tried, of) >= ENOUGH:
                return tried
    return None


def lines(claim: Claim, planned: dict[str, Size], evidence: Evidence) -> list[str]:
    """A line a contrast: power at the planned size, and what .8 takes.

    Args:
        planned: by study.
    """
    if not isinstance(claim.decide, Differences) or claim.effect is None:
        return ["its rule is not on a difference: no power"]
    found = []
    for contrast in claim.decide.contrasts:
        size = planned.get(contrast.study)
        if size is None:
            found.append(f"{contrast.study}: not declared at this scale")
            continue
        of = components(contrast, evidence)
        chance, any_verdict = (power(claim.decide.rule, claim.effect, size, of, verdict=v) for v in ("CONFIRMED", None))
        more = needed(claim.decide.rule, claim.effect, size, of)
        takes = f"{more.seeds} seeds × {more.samples:,} samples" if more else f"more than {MOST} seeds"
        assumed = " (assumed)" * claim.assumed
        found.append(
            f"{contrast.study}: {chance:.2f} to confirm, {any_verdict:.2f} to decide, if the difference is "
            f"{100 * claim.effect:+.1f} points{assumed}, with {size.seeds} seeds × {size.samples:,} samples × "
            f"{size.tasks} tasks; .8 takes {takes} (variances {of.source})"
        )
    return found
