"""Which predictions of a detector find a true box, on one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Box = Sequence[float]
"""x1, y1, x2, y2, class index and, of a prediction, its score."""
ENOUGH = 0.5  # intersection over union from which a prediction counts as on a box, as in AP50


@dataclass(frozen=True)
class Outcome:
    """What became of the true boxes and of as many predictions.

    Args:
        found: predictions that are on a true box of their class.
        wrong: predictions that are not.
        missed: true boxes on which there is none.
    """

    found: tuple[Box, ...]
    wrong: tuple[Box, ...]
    missed: tuple[Box, ...]


def outcome(predictions: Sequence[Box], true: Sequence[Box]) -> Outcome:
    """The highest-scoring predictions, as many as there are true boxes, so that no threshold need be chosen.

    From the best on, each takes the true box of its class that it overlaps most and that is not taken yet.
    """
    best = sorted(predictions, key=lambda box: -box[5])[: len(true)]
    missed, found, wrong = list(true), [], []
    for box in best:
        alike = [other for other in missed if other[4] == box[4]]
        nearest = max(alike, key=lambda other: overlap(box, other), default=None)
        if nearest is not None and overlap(box, nearest) >= ENOUGH:
            missed.remove(nearest)
            found.append(box)
        else:
            wrong.append(box)
    return Outcome(tuple(found), tuple(wrong), tuple(missed))


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes; 0 where both are empty."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(wide, 0.0) * max(high, 0.0)
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - shared
    return shared / union if union > 0 else 0.0
