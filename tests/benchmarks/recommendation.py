"""How often what is recommended is within a point of the best, and said to be: the figures in
bench/stats/recommendation.py. A CPU minute."""

from __future__ import annotations

from tests.support.simulated_methods import tally

TRUTHS = {
    "anything": None,
    "all alike": [0.85] * 5,
    "the dearest best by five points": [0.80, 0.84, 0.84, 0.85, 0.90],
    "a ladder": [0.79, 0.82, 0.835, 0.845, 0.85],
    "all but the dearest 1.5 points below": [0.835] * 4 + [0.85],
}
SIZES = ((3, 200), (3, 500), (3, 1_000), (5, 1_000), (5, 4_000))
DRAWS = 500


def run() -> list[tuple[str, str, str]]:
    """A row for every truth and size, in percent: within a point of the best, as the best mean is; undecided;
    misled."""
    rows = []
    for name, truth in TRUTHS.items():
        for seeds, samples in SIZES:
            found = tally(truth, seeds=seeds, samples=samples, draws=DRAWS)
            known = (found.within, found.ceiling, found.undecided, found.misled)
            shares = " / ".join(f"{100 * share:.1f}" for share in known)
            rows.append((f"{name}, {seeds} seeds × {samples:,}", shares, "%"))
            print(*rows[-1], flush=True)
    return rows
