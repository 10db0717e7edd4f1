"""Statistics against cases done by hand and, where a library has the same, against it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from bench import stats

SCORES = st.lists(st.floats(-5, 5).map(lambda x: round(x, 3)), min_size=2, max_size=8)


@pytest.mark.parametrize("seeds", [3, 5, 20])
def test_intervals_hold_a_known_mean_as_often_as_they_say(seeds):
    rng = np.random.default_rng(seeds)
    draws = rng.normal(0.8, 0.02, size=(2000, seeds))
    held = [low <= 0.8 <= high for low, high in map(stats.mean_interval, draws)]
    assert 0.93 <= np.mean(held) <= 0.97


@pytest.mark.parametrize(("runs", "tasks"), [(3, 3), (5, 3), (3, 6), (20, 5)])
@pytest.mark.long
def test_the_bootstrap_of_an_aggregate_holds_it_too(runs, tasks):
    rng = np.random.default_rng(runs)
    means = np.linspace(0.3, 0.9, tasks)
    held = 0
    for _ in range(2000):
        scores = rng.normal(means, 0.02, size=(runs, tasks))
        low, high = stats.stratified_bootstrap(scores, lambda x: x.mean(axis=(-2, -1)), rng, resamples=500)
        held += low <= means.mean() <= high
    assert 0.93 <= held / 2000 <= 0.97


@given(SCORES)
def test_the_interval_is_scipys(values):
    if np.std(values) == 0:
        return
    low, high = stats.mean_interval(values)
    wanted = scipy_stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert (low, high) == pytest.approx((wanted.low, wanted.high))


def test_one_seed_has_no_interval():
    assert stats.mean_interval([0.5]) is None
    assert stats.noise_floor([[0.5], [0.7]]) is None


def test_the_noise_floor_is_the_pooled_deviation():
    assert stats.noise_floor([[1.0, 3.0], [10.0, 10.0], [5.0]]) == pytest.approx(1.0)  # √((1 + 1 + 0) / 2)


def test_the_middle_half_alone_counts_in_the_interquartile_mean():
    scores = np.array([[0.0, 1.0, 2.0, 100.0], [3.0, 4.0, 5.0, -50.0]])
    assert stats.iqm(scores) == pytest.approx(np.mean([1, 2, 3, 4]))
    assert stats.iqm(np.stack([scores, scores + 1])) == pytest.approx([2.5, 3.5])


def test_what_lies_above_the_goal_does_not_close_the_gap():
    scores = stats.normalised(np.array([[60.0, 90.0], [80.0, 130.0]]), np.array([40.0, 50.0]), np.array([80.0, 100.0]))
    assert scores == pytest.approx(np.array([[0.5, 0.8], [1.0, 1.6]]))
    assert stats.optimality_gap(scores) == pytest.approx(1 - np.mean([0.5, 0.8, 1.0, 1.0]))
    with pytest.raises(ValueError, match="differ"):
        stats.normalised(scores, 1.0, 1.0)


def test_a_profile_falls_from_all_to_none():
    profile = stats.performance_profile(np.array([[0.2, 0.4], [0.6, 0.8]]), np.array([0.0, 0.4, 0.5, 0.9]))
    assert profile.tolist() == [1.0, 0.5, 0.5, 0.0]


@given(SCORES, SCORES)
def test_probability_of_improvement_is_mann_and_whitneys(first, second):
    x, y = np.array(first)[:, None], np.array(second)[:, None]
    wanted = scipy_stats.mannwhitneyu(first, second).statistic / (len(first) * len(second))
    assert stats.probability_of_improvement(x, y) == pytest.approx(wanted)


@given(st.lists(st.tuples(st.integers(-20, 20), st.integers(-20, 20)), min_size=2, max_size=7))
def test_the_sign_flip_test_is_scipys(pairs):
    differences = [float(a - b) for a, b in pairs]
    wanted = scipy_stats.permutation_test(
        (np.array(differences),), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert stats.sign_flip_test(differences, np.random.default_rng(0)) == pytest.approx(wanted.pvalue)


def test_three_seeds_that_agree_prove_little():
    rng = np.random.default_rng(0)
    found = stats.paired([0.80, 0.81, 0.82], [0.70, 0.72, 0.71], rng)
    assert found.p == 0.25
    assert found.mean == pytest.approx(0.1)
    assert found.seen
    many = stats.paired(list(np.linspace(0.8, 0.9, 30)), list(np.linspace(0.7, 0.8, 30)), rng)
    assert many.p < 1e-3
    with pytest.raises(ValueError, match="same seeds"):
        stats.paired([1.0], [1.0, 2.0], rng)


def test_holm_by_hand():
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([]) == []


def test_the_front_is_what_nothing_beats():
    front = stats.pareto_front([1, 2, 2, 3, 4, 1], [0.5, 0.7, 0.6, 0.7, 0.9, 0.5])
    assert front.tolist() == [True, True, False, False, True, True]


def test_hypervolume_by_hand():
    assert stats.hypervolume([1, 2, 5], [0.5, 0.8, 0.9], cost=4, score=0.0) == pytest.approx(3 * 0.5 + 2 * 0.3)
    assert stats.hypervolume([5], [0.9], cost=4, score=0.0) == 0


def test_the_efficiency_score_by_hand():
    assert stats.ppt(0.8, 0) == 0.8
    assert stats.ppt(0.8, 9e7) == pytest.approx(0.8 * np.exp(-1))
    with pytest.raises(ValueError, match="0 or more"):
        stats.ppt(0.8, -1)


def test_saturation_is_the_smallest_rank_that_is_near_enough():
    scores = {1: [0.70, 0.72], 4: [0.79, 0.81], 8: [0.80, 0.82], 64: [0.75, 0.77]}
    rng = np.random.default_rng(0)
    assert stats.saturation_rank(scores, delta=0.005, rng=rng) == (8, (8, 8))
    assert stats.saturation_rank(scores, delta=0.02, rng=rng) == (4, (4, 4))
    noisy = {1: [0.9, 0.5, 0.7], 8: [0.7, 0.9, 0.6]}
    assert stats.saturation_rank(noisy, delta=0.0, rng=rng) == (8, (1, 8))
    assert stats.saturation_rank({2: [0.5]}, delta=0.0, rng=rng) == (2, None)
    with pytest.raises(ValueError, match="same seeds"):
        stats.saturation_rank({1: [0.5], 2: [0.5, 0.6]}, delta=0.0, rng=rng)
