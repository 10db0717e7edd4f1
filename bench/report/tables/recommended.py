"""A recommendation as a table: a row a configuration, the cheapest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.report.data import differences
from bench.report.data.measured import Configuration
from bench.report.data.recommended import Recommendation, stored

if TYPE_CHECKING:
    import pandas as pd


def frame(found: Recommendation) -> pd.DataFrame:
    """One row a configuration within the limits.

    Returns:
        `method`, `specification`, `recommended`, `score` with `low` and `high`, `difference` (from the best, positive
        is better) with its `low` and `high`, `verdict`, `memory` (bytes), `backbone_parameters`, `stored` (bytes),
        `seconds` (of training), `latency` (seconds a sample).
    """
    import pandas as pd

    return pd.DataFrame([_row(found, c) for c in found.candidates])


def _row(found: Recommendation, c: Configuration) -> dict[str, Any]:
    low, high = c.score.interval or (None, None)
    less = None if c is found.best else differences.on_metric(c, found.best, found.metric)
    ends = (less.interval if less else None) or (None, None)
    return {
        **{"method": c.label, "specification": str(c.runs[0]["method"]["spec"])},
        **{"recommended": c is found.recommended, "score": c.score.mean, "low": low, "high": high},
        **{"difference": less.mean if less else 0.0 if c is found.best else None},
        **{"difference_low": ends[0], "difference_high": ends[1]},
        **{"verdict": "best mean" if c is found.best else differences.verdict(less)},
        **{"memory": c.memory, "backbone_parameters": c.backbone, "stored": stored(c)},
        **{"seconds": c.seconds.mean if c.seconds else None, "latency": found.latencies.get(c.label)},
    }
