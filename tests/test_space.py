"""Search spaces: which there are, their grid, their edges."""

from __future__ import annotations

import math

import pytest

from bench.errors import BadInput
from bench.space import Choice, Range

RATES = Range(3e-6, 3e-4, log=True)


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (lambda: Range(1e-3, 1e-3), "nothing to search; leave the name out"),
        (lambda: Range(1e-2, 1e-4), r"is inverted: write Range\(0.0001, 0.01\)"),
        (lambda: Range(0.0, 1.0, log=True), "log scale needs low > 0"),
        (lambda: Range(-1.0, 1.0, log=True), "log scale needs low > 0"),
        (lambda: Range(0.0, math.inf), "two finite numbers"),
        (lambda: Range(0.0, math.nan), "two finite numbers"),
        (lambda: Range("a", 1.0), "two finite numbers"),
        (lambda: Range(False, True), "two finite numbers"),
        (lambda: Range(1e-4, 1e-2, default=1e-1), "the default lies outside"),
        (lambda: Choice(), "two or more different values"),
        (lambda: Choice(8), "two or more different values"),
        (lambda: Choice(8, 16, 8), "two or more different values"),
        (lambda: Choice(("q",), ("q", "v")), "between numbers, texts or truth values"),
        (lambda: Choice(8, 16, default=4), "the default 4 is none of them"),
    ],
)
def test_a_space_that_is_none(build, told):
    with pytest.raises(BadInput, match=told) as error:
        build()
    assert len(str(error.value).splitlines()) == 1


def test_points_are_spread_on_the_scale_and_the_ends_are_among_them():
    assert RATES.points(3) == (3e-6, 3e-5, 3e-4) and RATES.points(1) == (3e-5,)
    assert Range(0.0, 0.2).points(3) == (0.0, 0.1, 0.2)
    assert RATES.points(5) == (3e-6, 9.487e-6, 3e-5, 9.487e-5, 3e-4)


@pytest.mark.parametrize("space", [RATES, Range(1 / 3, 2 / 3), Range(1e-5, 10**-2.5, log=True), Range(1234.5, 98765.4)])
def test_every_point_lies_inside(space):
    assert all(point in space for number in (1, 2, 3, 7) for point in space.points(number))


def test_the_edge_is_the_outer_tenth_on_the_scale():
    assert [RATES.edge(value) for value in (3e-6, 4e-6, 3e-5, 2e-4, 3e-4)] == [True, True, False, True, True]
    assert [Range(1.0, 2.0).edge(value) for value in (1.05, 1.15, 1.85, 1.95)] == [True, False, False, True]
    assert not Range(0.0, 0.2).edge(0.0), "below a dropout of 0 there is nothing"
    assert not Choice(8, 16).edge(8)


def test_as_a_record_keeps_it_and_as_a_person_reads_it():
    assert RATES.config == {"low": 3e-6, "high": 3e-4, "log": True}
    assert Choice(False, True).config == {"choices": [False, True]}
    assert (str(RATES), str(Choice(8, 16))) == ("3e-06 to 0.0003 (log)", "8 or 16")
    assert 3e-5 in RATES and 1.0 not in RATES and "x" not in RATES and 16 in Choice(8, 16)
