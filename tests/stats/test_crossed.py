"""Intervals over seeds and samples: against the analysis of variance, and how often they hold the true difference."""

from __future__ import annotations

import numpy as np
import pytest

from bench.stats import crossed, mean_interval, over_tasks, pooled_variance, pseudo_values
from tests.support.crossed_outcomes import coverage


def test_a_complete_table_is_the_analysis_of_variance() -> None:
    table = np.random.default_rng(0).normal(size=(4, 9)) + np.linspace(-2, 2, 9)
    n, m = table.shape
    seeds, samples = table.mean(axis=1), table.mean(axis=0)
    rest = table - seeds[:, None] - samples + table.mean()
    of_seed, of_sample = m * seeds.var(ddof=1), n * samples.var(ddof=1)
    of_rest = (rest**2).sum() / ((n - 1) * (m - 1))
    found = crossed(table)
    assert found.variance == pytest.approx((of_seed + of_sample - of_rest) / (n * m))
    assert found.mean == pytest.approx(table.mean())
    assert found.freedom > n - 1


def test_without_shared_samples_it_is_students_interval_over_seeds() -> None:
    rng = np.random.default_rng(1)
    table = np.full((3, 12), np.nan)
    for seed in range(3):
        table[seed, 4 * seed : 4 * seed + 4] = rng.normal(size=4)
    assert crossed(table).interval() == pytest.approx(mean_interval(np.nanmean(table, axis=1)))


def test_half_shared_samples_lie_between() -> None:
    rng = np.random.default_rng(2)
    whole = rng.normal(size=(6, 60)) * 0.2 + rng.normal(size=60)
    half = np.where(rng.permuted(np.tile(np.arange(60) < 30, (6, 1)), axis=1), whole, np.nan)
    assert 0 < crossed(half).sample < crossed(whole[:, :30]).sample


@pytest.mark.parametrize(
    ("seeds", "samples", "tasks", "draws"),
    [(3, 200, 1, 700), (20, 30, 1, 1000), (5, 2000, 1, 1200), (3, 200, 6, 300), (10, 30, 2, 500)],
)
def test_intervals_hold_the_true_difference_as_often_as_they_say(
    seeds: int, samples: int, tasks: int, draws: int
) -> None:
    assert 0.93 <= coverage(seeds=seeds, samples=samples, tasks=tasks, draws=draws) <= 0.97


def test_one_task_is_itself_and_two_halve_the_variance() -> None:
    one = crossed(np.random.default_rng(3).normal(size=(5, 40)))
    assert over_tasks([one]).interval() == pytest.approx(one.interval())
    both = over_tasks([one, one])
    assert both.variance == pytest.approx(one.variance / 2)
    assert both.freedom == pytest.approx(2 * one.freedom)


def test_scatter_is_pooled_where_methods_scatter_alike() -> None:
    rng = np.random.default_rng(4)
    alike = rng.normal(size=(200, 5)) + rng.normal(size=5) * 9
    found = pooled_variance(alike)
    assert found is not None
    assert found == (pytest.approx(2, rel=0.1), 199 * 4)
    assert pooled_variance(rng.normal(size=(200, 5)) * np.where(np.arange(200) < 100, 1, 9)[:, None]) is None
    assert pooled_variance(alike[:2]) is None
    table = rng.normal(size=(3, 50))
    assert crossed(table, pooled=(0.02, 40.0)).freedom >= 40


def test_pseudo_values_of_a_mean_are_the_values() -> None:
    values = np.random.default_rng(5).normal(size=20)
    assert pseudo_values(lambda rows: float(values[rows].mean()), 20) == pytest.approx(values)


def test_agreement_to_the_last_sample_is_not_certainty() -> None:
    low, high = crossed(np.zeros((3, 30)), ends=(-1.0, 1.0)).interval()
    assert low < 0 < high
    with pytest.raises(ValueError, match="two or more seeds"):
        crossed(np.zeros((1, 9)))
