"""Search spaces: what of a method's configuration is searched, and between which ends.

A method declares its own in its file; a task or a study may say another one (`bench/study/tune.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.errors import BadInput

EDGE = 0.1
"""Share of a range at either end that counts as its edge: what is best there may be better still outside."""


@dataclass(frozen=True)
class Range:
    """The values from `low` to `high`.

    Args:
        low, high: the ends, both included.
        log: whether the logarithm is searched, as for a learning rate.
        default: the value without tuning, in place of the one that the field has (a learning rate's, mostly).

    Raises:
        BadInput: no range, an inverted one, or a logarithm of what is not positive.
    """

    low: float
    high: float
    log: bool = False
    default: float | None = None

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            end = getattr(self, name)
            if isinstance(end, bool) or not isinstance(end, int | float) or not abs(end) < 1e300:
                raise BadInput(f"Range({self.low!r}, {self.high!r}): a range needs two finite numbers")
            object.__setattr__(self, name, float(end))
        if self.low == self.high:
            raise BadInput(f"{self}: its ends are alike, so there is nothing to search; leave the name out")
        if self.low > self.high:
            raise BadInput(f"{self} is inverted: write Range({self.high:g}, {self.low:g})")
        if self.log and self.low <= 0:
            raise BadInput(f"{self}: a range on a log scale needs low > 0")
        if self.default is not None and self.default not in self:
            raise BadInput(f"{self}: the default lies outside")

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high

    def points(self, number: int) -> tuple[float, ...]:
        """`number` values at equal distances from low to high; the middle one, if it is one."""
        return tuple(self.at(0.5 if number == 1 else step / (number - 1)) for step in range(number))

    def at(self, part: float) -> float:
        """The value at a part, 0 to 1, of the way from low to high, to four digits."""
        if self.log:
            return self.short(math.exp(math.log(self.low) + part * math.log(self.high / self.low)))
        return self.short(self.low + part * (self.high - self.low))

    def short(self, value: float) -> float:
        """A value to four digits, more than any curve can tell apart, and inside the range."""
        return min(max(float(f"{value:.4g}"), self.low), self.high)

    def edge(self, value: Any) -> bool:
        """Whether a value lies in the outer tenth, on the range's scale; below a dropout of 0 there is nothing."""
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        part = (at - low) / (high - low)
        return part > 1 - EDGE + 1e-3 or (part < EDGE - 1e-3 and self.low != 0)

    @property
    def ends(self) -> tuple[float, ...]:
        """What must be possible, for all between to be."""
        return self.low, self.high

    @property
    def config(self) -> dict[str, Any]:
        """As a record keeps it."""
        return {"low": self.low, "high": self.high, "log": self.log}

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{' (log)' * self.log}"


@dataclass(frozen=True)
class Choice:
    """One of several values without an order, as `Choice(False, True)`.

    Raises:
        BadInput: fewer than two values, or one of them twice.
    """

    values: tuple[Any, ...]
    default: Any = None

    def __init__(self, *values: Any, default: Any = None) -> None:
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "default", default)
        if len(set(map(repr, values))) < max(2, len(values)):
            raise BadInput(f"Choice{values!r}: a choice needs two or more different values")
        if any(not isinstance(value, bool | int | float | str) or value != value for value in values):
            raise BadInput(f"Choice{values!r}: a choice is between numbers, texts or truth values")
        if default is not None and default not in values:
            raise BadInput(f"Choice{values!r}: the default {default!r} is none of them")

    def __contains__(self, value: object) -> bool:
        return value in self.values

    def at(self, part: float) -> Any:
        """The value at a part, 0 to 1, of the way from the first to the last."""
        return self.values[min(int(part * len(self.values)), len(self.values) - 1)]

    def short(self, value: Any) -> Any:
        """The value."""
        return value

    @property
    def ends(self) -> tuple[Any, ...]:
        """What must be possible: every value."""
        return self.values

    def edge(self, value: Any) -> bool:
        """Never: a choice has no ends."""
        return False

    @property
    def config(self) -> dict[str, Any]:
        """As a record keeps it."""
        return {"choices": list(self.values)}

    def __str__(self) -> str:
        return " or ".join(str(value) for value in self.values)


def distribution(config: Mapping[str, Any]) -> Any:
    """Optuna's distribution of a range or a choice, from its `config`, as a record keeps it."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution  # slow, and few need it

    if "choices" in config:
        return CategoricalDistribution(tuple(config["choices"]))
    return FloatDistribution(config["low"], config["high"], log=bool(config.get("log")))


Space = Mapping[str, Range | Choice]
"""What is searched, by the name of a field of the method or of the training."""
