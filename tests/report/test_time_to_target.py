"""How soon a target is reached: the best mean on validation less the noise floor, by steps and by seconds."""

from __future__ import annotations

from typing import Any

import pytest

from bench.report.data.groups import groups
from bench.report.data.speed import arrivals, clock, has_curves, points, target
from bench.report.figures.time_to_target import said, time_to_target
from tests.support.report_records import FULL, LORAS, PROBE, overlaps, record

CPU = {"device": "cpu", "device_name": "EPYC", "threads": 1, "python": "3.11.7", "versions": {"torch": "2.15.0"}}


def curve(scores: tuple[float, ...], *, second: float, metric: str = "top1") -> list[dict[str, Any]]:
    rows = enumerate(scores, 1)
    return [
        {"epoch": n, "val": {metric: score}, "steps": 10 * n, "seconds": 3 * second * n, "cpu": second * n}
        for n, score in rows
    ]


def runs(environment: Any = CPU) -> list[dict[str, Any]]:
    fast, slow, low = (0.6, 0.78, 0.8, 0.8), (0.5, 0.6, 0.7, 0.8), (0.4, 0.5, 0.5, 0.5)
    made = [record(FULL, seed, curve=curve(slow, second=9.0), environment=environment) for seed in (0, 1, 2)]
    made += [record(PROBE, seed, curve=curve(low, second=1.0), environment=environment) for seed in (0, 1, 2)]
    made += [record(LORAS[0], s, curve=curve(slow if s else fast, second=6.0), environment=environment) for s in (0, 1)]
    return [*made, record(LORAS[0], 2, curve=curve(low, second=6.0), environment=environment)]


def test_when_each_is_there() -> None:
    (group,) = groups(runs())
    assert has_curves(group) and clock(group) == "cpu"
    assert target(group) == pytest.approx(0.8 - 0.006)
    found = {c.label: each for c, each in arrivals(group).items()}
    assert found["full fine-tuning"].at == {"steps": 40, "cpu": 36.0, "seconds": 108.0}
    assert found["LoRA r=1"].at["steps"] == 35 and (found["LoRA r=1"].seeds, found["LoRA r=1"].of) == (2, 3)
    assert [said(found[name], "cpu") for name in ("linear probe", "LoRA r=1")] == [
        "never there",
        "35 steps, 21 s (2 of 3 seeds)",
    ]


def test_points_are_means_between_the_lowest_and_the_highest_seed() -> None:
    (group,) = groups(runs())
    (lora,) = (c for c in group.configurations if c.name == "LoRA")
    second = points(lora)[1]
    assert (second.score, second.low, second.high) == (pytest.approx((0.78 + 0.6 + 0.5) / 3), 0.5, 0.78)
    assert second.at == {"steps": 20, "cpu": 12.0, "seconds": 36.0}


def test_on_a_gpu_a_clock_measures_and_older_curves_have_none() -> None:
    (group,) = groups(runs(CPU | {"device": "cuda"}))
    assert clock(group) == "seconds"
    (older,) = groups([record(case, seed) for case in (PROBE, FULL) for seed in (0, 1, 2)])
    assert not has_curves(older) and clock(older) is None


def test_of_a_loss_less_is_sooner_there() -> None:
    task = record(PROBE, 0)["task"] | {"metric": "loss"}
    made = [
        record(case, seed, task=task, curve=curve(scores, second=1.0, metric="loss"), environment=CPU,
               metrics={"val": {"loss": scores[-1]}, "test": {"loss": scores[-1]}})
        for case, scores in ((PROBE, (0.9, 0.8, 0.7, 0.7)), (FULL, (0.9, 0.6, 0.4, 0.3)))
        for seed in (0, 1)
    ]  # fmt: skip
    (group,) = groups(made)
    assert target(group) == pytest.approx(0.3)
    assert {c.label: each.at.get("steps") for c, each in arrivals(group).items()} == {
        "linear probe": None,
        "full fine-tuning": 40,
    }


def test_nothing_covers_anything() -> None:
    (group,) = groups(runs())
    assert overlaps(time_to_target(group).figure) == []
