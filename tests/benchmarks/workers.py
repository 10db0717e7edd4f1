"""What recorded laptop studies would take side by side on 1, 8 and 64 workers, on paper, as studies/README.md says."""

from __future__ import annotations

from functools import reduce
from pathlib import Path

from bench.records import Records
from bench.study import load
from bench.study.plan import hours_minutes
from bench.study.schedule import schedule
from bench.study.simulation import Schedule, simulate

ROOT = Path(__file__).parents[2]
NAMES = ("placement", "learning-rate", "low-data", "forgetting")
"""Those whose committed records are of the study as it is declared."""


def run() -> list[tuple[str, str, str]]:
    """Rows of (what, makespan and share of idle time, speed-up)."""
    parts = [
        schedule(part, Records(ROOT / "results" / name / "laptop").all())
        for name in NAMES
        for part in load(ROOT / "studies" / f"{name.replace('-', '_')}.py", "laptop")
    ]
    every = reduce(Schedule.beside, parts)
    rows = [(f"{len(every.seconds)} runs, {every.recorded} of them recorded", "", "")]
    for workers in (1, 8, 64):
        found = simulate(every, workers)
        per_thousand = found.makespan * 1000 / len(every.seconds)
        rows.append(
            (
                f"{workers} workers, 1,000 runs",
                f"{hours_minutes(per_thousand)}, idle {found.idle:.1%}",
                f"{found.busy / found.makespan:.1f}",
            )
        )
    return rows
