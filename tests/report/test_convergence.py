"""What still improved when it stopped: the last quarter of a run's epochs against the noise floor."""

from __future__ import annotations

from typing import Any

import pytest

from bench.report.data import flags
from bench.report.data.convergence import convergence, floor, last_quarter
from bench.report.data.groups import groups
from bench.report.tables.dataframes import results
from tests.support.report_records import FULL, LORAS, PROBE, record


def curve(*scores: float | None, metric: str = "top1") -> list[dict[str, Any]]:
    return [{"epoch": epoch, "val": {metric: score}} for epoch, score in enumerate(scores, 1)]


@pytest.mark.parametrize(
    ("scores", "gain"),
    [
        ((0.5, 0.6, 0.7, 0.75), 0.05),
        ((0.5, 0.6, 0.7, 0.65), 0.0),
        ((0.8, 0.6, 0.7, 0.75), 0.0),
        ((0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8), 0.2),
        ((0.5, 0.6, 0.7), 0.1),
        ((0.5, 0.6), 0.1),
        ((0.5,), None),
        ((), None),
        ((0.5, None), None),
    ],
)
def test_the_gain_of_the_last_quarter(scores: tuple[float | None, ...], gain: float | None) -> None:
    found = last_quarter(record(PROBE, 0, curve=curve(*scores)), "top1")
    assert found == (None if gain is None else pytest.approx(gain))


def test_of_a_loss_less_is_better() -> None:
    assert last_quarter(record(PROBE, 0, curve=curve(0.5, 0.4, 0.3, metric="loss")), "loss") == pytest.approx(0.1)


def test_a_page_says_which_methods_still_improved() -> None:
    flat, rising = curve(0.7, 0.8, 0.8, 0.8), curve(0.7, 0.75, 0.78, 0.8)
    runs = [record(case, seed, curve=flat) for case in (PROBE, FULL) for seed in (0, 1, 2)]
    runs += [record(LORAS[3], seed, curve=rising if seed else flat) for seed in (0, 1, 2)]
    (group,) = groups(runs)
    assert floor(group) == pytest.approx(0.006)
    found = {c.label: (each.improving, each.runs) for c, each in convergence(group).items()}
    assert found == {"linear probe": (0, 3), "LoRA r=8": (2, 3), "full fine-tuning": (0, 3)}
    (said,) = (text for text in flags.of_study(runs, [group]) if "still improving" in text)
    assert said.startswith("elpv: still improving when it stopped: 2 of 9 runs, LoRA r=8 (2 of 3).") and "0.006" in said
    rows = results([group]).set_index("method")["flags"]
    assert "still improving when it stopped: 2 of 3 runs" in rows["LoRA r=8"] and "still" not in rows["linear probe"]


def test_with_one_seed_it_cannot_be_told() -> None:
    (group,) = groups([record(PROBE, 0, curve=curve(0.1, 0.9))])
    assert convergence(group) == {}
