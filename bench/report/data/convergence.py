"""Whether runs still improved when they stopped: then methods are compared by how fast they learn, not by their reach.

A run did if the last quarter of its epochs raised the best headline score on validation by more than the noise floor:
the pooled standard deviation, from seed to seed, of the configurations' scores on test.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from bench.report.data.differences import sign
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration, Record
from bench.stats import noise_floor


@dataclass(frozen=True)
class Convergence:
    """How many runs of a configuration still improved when they stopped.

    Args:
        improving: so many did.
        runs: of so many, whose curve is known.
    """

    improving: int
    runs: int

    @property
    def said(self) -> str:
        """ "still improving when it stopped: 2 of 3 runs"; "" where none was."""
        return f"still improving when it stopped: {self.improving} of {self.runs} runs" if self.improving else ""


def floor(group: Group) -> float | None:
    """The noise floor of a group; None where no configuration has two seeds."""
    return noise_floor([configuration.score.values for configuration in group.configurations])


def convergence(group: Group) -> Mapping[Configuration, Convergence]:
    """Of every configuration of which it can be told: with a noise floor, and curves of two epochs or more."""
    noise = floor(group)
    if noise is None:
        return {}
    found = {}
    for configuration in group.configurations:
        gains = [gain for run in configuration.runs if (gain := last_quarter(run, group.metric)) is not None]
        if gains:
            found[configuration] = Convergence(sum(gain > noise for gain in gains), len(gains))
    return found


def last_quarter(run: Record, metric: str) -> float | None:
    """By how much the last quarter of a run's epochs raised its best validation score; None where that is not known.

    Of fewer than eight epochs the last quarter is the last one.
    """
    rows = [(row.get("val") or {}).get(metric) for row in run.get("curve") or ()]
    scores = [sign(metric) * float(score) for score in rows if score is not None]
    if len(scores) < 2 or len(scores) < len(rows):
        return None
    before = min(len(scores) - 1, math.ceil(0.75 * len(scores)))
    return max(scores) - max(scores[:before])
