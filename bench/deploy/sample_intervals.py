"""Intervals of one run's scores over the samples that it was judged on: the percentile bootstrap (Efron 1979)."""

from __future__ import annotations

import numpy as np

from bench.records.outcomes import Outcomes

DRAWS = 1000
OF_BOXES = 200
"""Draws where a metric is of boxes, which takes longer."""


def between(found: Outcomes | None, metric: str) -> tuple[float, float] | None:
    """A 95 % interval of a metric over samples; None where single samples do not tell it, or there are too few.

    Args:
        found: what became of every sample.
        metric: by its name in a record.
    """
    if found is None or len(found) < 2 or found.score(metric) is None:
        return None
    dice, n = np.random.default_rng(0), len(found)
    scores = [found.score(metric, dice.integers(0, n, n)) for _ in range(OF_BOXES if found.kind == "boxes" else DRAWS)]
    known = [score for score in scores if score is not None]
    low, high = np.quantile(known, (0.025, 0.975)) if known else (np.nan, np.nan)
    return (float(low), float(high)) if known else None
