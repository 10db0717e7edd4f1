"""Spectra of updates and likeness of features, against values known by hand and against numpy's own SVD."""

from __future__ import annotations

import numpy as np
import pytest

from bench.stats import effective_rank, intruders, linear_cka, stable_rank

DICE = np.random.default_rng(0)


def rotation(width: int) -> np.ndarray:
    return np.linalg.qr(DICE.normal(size=(width, width)))[0]


def test_ranks_of_a_projection_are_its_rank() -> None:
    values = np.array([3.0, 3.0, 3.0, 0.0, 0.0])
    assert stable_rank(values) == pytest.approx(3)
    assert effective_rank(values) == pytest.approx(3)


def test_ranks_of_unequal_singular_values() -> None:
    values = np.array([2.0, 1.0])
    assert stable_rank(values) == pytest.approx(5 / 4)
    assert effective_rank(values) == pytest.approx(np.exp(-(2 / 3) * np.log(2 / 3) - (1 / 3) * np.log(1 / 3)))


def test_a_new_direction_is_an_intruder_and_a_reordered_or_flipped_one_is_none() -> None:
    before = np.eye(6)[:, :4]
    after = np.stack([np.eye(6)[:, 5], -before[:, 3], (before[:, 0] + before[:, 1]) / np.sqrt(2)], axis=1)
    assert intruders(before, after, epsilon=0.5) == 1
    assert intruders(before, after, epsilon=0.8) == 2  # the diagonal one's cosine is .71


def test_cka_sees_neither_rotation_nor_scale_nor_shift_but_noise() -> None:
    x = DICE.normal(size=(200, 6))
    assert linear_cka(x, 3.0 * x @ rotation(6) + 1.0) == pytest.approx(1)
    assert linear_cka(x, DICE.normal(size=(200, 6))) < 0.1
    y = x + DICE.normal(size=x.shape)
    centred = [each - each.mean(0) for each in (x, y)]
    grams = [each @ each.T for each in centred]  # HSIC of the linear kernel: the paper's first form
    wanted = (grams[0] * grams[1]).sum() / np.sqrt((grams[0] ** 2).sum() * (grams[1] ** 2).sum())
    assert linear_cka(x, y) == pytest.approx(wanted)
