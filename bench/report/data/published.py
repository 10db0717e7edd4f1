"""Published figures of memory beside ours: errors, and their spread by what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

RECORD = "estimates.json"
"""The record's name, in results/costs/published."""
MEASURED = {
    "allocated": "allocated (the largest)",
    "after step": "allocated after a step",
    "reserved": "reserved (the largest)",
    "nvidia-smi": "as nvidia-smi shows it",
}
"""What was measured, in words, in the order of the page."""


@dataclass(frozen=True)
class Row:
    """One published figure and ours.

    Args:
        figure: as the record has it.
    """

    figure: Mapping[str, Any]

    @property
    def measured(self) -> str:
        """One of `MEASURED`."""
        return str(self.figure["measured"])

    @property
    def published(self) -> int:
        """Bytes."""
        return int(self.figure["bytes"])

    @property
    def ours(self) -> int | None:
        """Bytes; None where there is no estimate."""
        return self.figure.get("estimate")

    @property
    def error(self) -> float | None:
        """(ours − published) / published: below zero is the dangerous side."""
        return None if self.ours is None else self.ours / self.published - 1

    @property
    def unknown(self) -> str:
        """Which setting the source does not tell; "" where all are told."""
        return str(self.figure["settings"].get("unknown", ""))


@dataclass(frozen=True)
class Spread:
    """How far estimates lie from what was published.

    Args:
        n: figures.
        typical: the median of the errors' sizes.
        bias: the median error.
        lowest, highest: the errors' ends.
    """

    n: int
    typical: float
    bias: float
    lowest: float
    highest: float


def ordered(record: Mapping[str, Any]) -> list[Row]:
    """The record's figures, by what was measured, in its order otherwise."""
    return sorted(map(Row, record["figures"]), key=lambda row: list(MEASURED).index(row.measured))


def spread(some: Iterable[Row]) -> Spread | None:
    """Of those with an estimate; None of none."""
    errors = [row.error for row in some if row.error is not None]
    if not errors:
        return None
    sizes = [abs(error) for error in errors]
    return Spread(len(errors), median(sizes), median(errors), min(errors), max(errors))


def told(some: Sequence[Row], *, unknown: bool = False) -> list[Row]:
    """Those whose settings are all told, or the others."""
    return [row for row in some if bool(row.unknown) == unknown]


def as_marked_before(some: Sequence[Row]) -> list[Row]:
    """Those told, and those of which it was noticed only after the comparison that a setting is not."""
    return [row for row in some if not row.unknown or row.figure["settings"].get("marked") == "after"]


def of_kind(some: Sequence[Row], measured: str) -> list[Row]:
    """Those of which one thing was measured."""
    return [row for row in some if row.measured == measured]
