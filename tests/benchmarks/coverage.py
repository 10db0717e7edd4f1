"""How often crossed intervals hold the true difference: the table of bench/stats/COVERAGE.md. A few CPU minutes."""

from __future__ import annotations

from itertools import product

from tests.support.crossed_outcomes import coverage

SAMPLES = (30, 200, 2_000)
DRAWS = 2_000


def run() -> list[tuple[str, str, str]]:
    """A row for every number of tasks and seeds: coverage in percent at each number of samples."""
    rows = []
    for tasks, seeds in product((1, 2, 6), (3, 5, 10, 20)):
        shares = [coverage(seeds=seeds, samples=samples, tasks=tasks, draws=DRAWS) for samples in SAMPLES]
        rows.append((f"{tasks} tasks, {seeds} seeds", " / ".join(f"{100 * share:.1f}" for share in shares), "%"))
        print(*rows[-1], flush=True)
    return rows
