"""Rules that decide on a claim by a 95 % interval of a difference, and what several say together.

A rule that something is no better or no worse by more than a margin is two one-sided tests at 2.5 % each: that the
whole 95 % interval lies on one side of the margin. Tasks have no veto: the mean over tasks decides, and the difference
on every task is said beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

VERDICTS = ("CONFIRMED", "REFUTED", "NO BETTER", "INCONCLUSIVE")
"""NO BETTER: what was claimed to be better is so by no more than a point. All but the last decide."""
POINT = 0.01
CLOSE = "confirmed if the whole interval lies within ±1 point, refuted if all of it lies outside"
GREATER = "confirmed if the whole interval lies above 0, refuted if below 0, no better if below 1 point"
NO_WORSE = "confirmed if the whole interval lies above −1 point, refuted if below that"
"""The rules below in words."""
Interval = tuple[float, float]
Rule = Callable[[Interval], str]


def beats(interval: Interval) -> str:
    """Greater: confirmed where all lies above 0, refuted where below, NO BETTER where below a point."""
    if interval[0] > 0:
        return "CONFIRMED"
    return "REFUTED" if interval[1] < 0 else "NO BETTER" if interval[1] <= POINT else "INCONCLUSIVE"


def at_least(margin: float) -> Rule:
    """No worse by more than `margin`: refuted where the whole interval lies below −`margin`."""

    def rule(interval: Interval) -> str:
        return "REFUTED" if interval[1] < -margin else "CONFIRMED" if interval[0] >= -margin else "INCONCLUSIVE"

    return rule


def within(margin: float) -> Rule:
    """The same up to `margin`: confirmed where the whole interval lies within, refuted where all of it lies outside."""

    def rule(interval: Interval) -> str:
        if -margin <= interval[0] and interval[1] <= margin:
            return "CONFIRMED"
        return "REFUTED" if interval[0] > margin or interval[1] < -margin else "INCONCLUSIVE"

    return rule


def together(verdicts: Sequence[str]) -> str:
    """One verdict of several: refuted if one is, confirmed if all are, NO BETTER if the others are confirmed."""
    if "REFUTED" in verdicts:
        return "REFUTED"
    if set(verdicts) <= {"CONFIRMED", "NO BETTER"} and verdicts:
        return "NO BETTER" if "NO BETTER" in verdicts else "CONFIRMED"
    return "INCONCLUSIVE"
