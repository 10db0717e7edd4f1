"""Bracketing: where the next trial of a search over one range lies, so that the best one comes to lie between others.

First the default, then a step above and one below it; then a step beyond the best, as long as that is the outermost,
else halfway to its better neighbour (Press et al. 2007, Numerical Recipes, section 10.1). A grid of as many trials,
wherever it is put, has its best point at an end where the range was misjudged; this goes on to where it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.space import Range


def following(tried: Sequence[tuple[float, float]], space: Range, *, default: float, trials: int) -> float:
    """The value of the next trial.

    Args:
        tried: value and score (more is better; minus infinity for what did not end well) of the trials so far.
        space: the range; a step is its `trials`-th part, on its scale.
        default: the first value.
        trials: of the whole search.

    Returns:
        A value inside the range that is not tried yet.
    """
    if not tried:
        return space.short(default)
    step = (_at(space, space.high) - _at(space, space.low)) / trials
    places = {_at(space, value): score for value, score in tried}
    first, low, high = _at(space, tried[0][0]), min(places), max(places)
    best = max(places, key=lambda place: (places[place], -abs(place - first)))
    if len(tried) < 3:
        wanted = first + step if high == first else first - step
    else:
        wanted = best + step if best == high else best - step if best == low else math.nan
    slack = step / 100  # values are rounded to four digits
    inside = _at(space, space.low) - slack <= wanted <= _at(space, space.high) + slack
    return _value(space, wanted if inside else _between(places, best, space))


def _between(places: dict[float, float], best: float, space: Range) -> float:
    """Halfway from the best to its better neighbour; where it has none, to the farther end of the range."""
    beside = [near for near in (_next(places, best, up=False), _next(places, best, up=True)) if near is not None]
    if beside:
        return (best + max(beside, key=lambda place: places[place])) / 2
    ends = _at(space, space.low), _at(space, space.high)
    return (best + max(ends, key=lambda end: abs(end - best))) / 2


def _next(places: dict[float, float], best: float, *, up: bool) -> float | None:
    further = [place for place in places if (place > best if up else place < best)]
    return (min(further) if up else max(further)) if further else None


def _at(space: Range, value: float) -> float:
    return math.log(value) if space.log else value


def _value(space: Range, place: float) -> float:
    return space.short(math.exp(place) if space.log else place)
