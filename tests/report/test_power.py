"""Power of the claims' rules at a planned size."""

from __future__ import annotations

from pathlib import Path

import pytest
from scipy import stats

from bench.report.claims import Evidence, load
from bench.report.power import Components, Size, lines, needed, power
from bench.report.rules import beats, within

ROOT = Path(__file__).parents[2]
OF = Components(0.0001, 0.02, "assumed")


def test_power_is_that_of_students_test_and_grows_with_seeds() -> None:
    size = Size(seeds=400, samples=10**9, tasks=1)
    z = 0.0014 / (0.01 / 20)
    assert power(beats, 0.0014, size, OF) == pytest.approx(stats.norm.sf(1.966 - z), abs=0.01)
    few, many = (power(beats, 0.02, Size(n, 2000, 1), OF) for n in (3, 20))
    assert few < many
    assert power(beats, 0.0, Size(20, 2000, 2), OF) == pytest.approx(0.025, abs=0.005)


def test_what_eight_in_ten_takes() -> None:
    found = needed(within(0.01), 0.0, Size(3, 2000, 4), OF)
    assert found is not None
    assert power(within(0.01), 0.0, found, OF) >= 0.8
    assert needed(within(0.01), 0.01, Size(3, 2000, 4), OF) is None


def test_every_claim_says_its_power(tmp_path: Path) -> None:
    planned = {study: Size(5, 2000, 4) for study in ("rank-sweep", "placement", "low-data", "forgetting", "robustness")}
    for claim in load(ROOT / "studies" / "claims.py"):
        said = lines(claim, planned, Evidence(tmp_path, "overnight"))
        assert all("to decide" in line or "no power" in line for line in said)
