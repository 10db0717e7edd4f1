"""Quantiles and tails, from scipy, which is read when one is first asked for: it takes half a second to import."""

from __future__ import annotations


def t_quantile(p: float, freedom: float) -> float:
    """What Student's t with so many degrees of freedom stays below with probability p."""
    from scipy import stats

    return float(stats.t.ppf(p, freedom))


def t_tail(value: float, freedom: float) -> float:
    """The probability that Student's t exceeds a value."""
    from scipy import stats

    return float(stats.t.sf(value, freedom))


def normal_tail(value: float) -> float:
    """The probability that a standard normal number exceeds a value."""
    from scipy import stats

    return float(stats.norm.sf(value))
