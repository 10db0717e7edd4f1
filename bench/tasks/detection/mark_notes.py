"""What is said of boxes that are marked oddly, though nothing is changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from bench.errors import BadInput
from bench.tasks.class_names import say_alike
from bench.tasks.data_notes import Notes
from bench.tasks.detection.boxes import Truth

if TYPE_CHECKING:
    from bench.tasks.detection.box_pools import Part


def check_any(name: str, truths: Sequence[Truth]) -> None:
    """Refuses a set of which no box counts.

    Raises:
        BadInput: there is none, or all are of crowds.
    """
    if all(truth.crowd.all() for truth in truths):
        crowds = sum(len(truth.crowd) for truth in truths)
        but = f" but {crowds} of crowds or difficult ones, which do not count" if crowds else ""
        raise BadInput(f"{name}: not one box is marked on {len(truths)} pictures{but}: there is nothing to detect")


def say_marks(classes: Iterable[str], parts: Iterable[Part], notes: Notes) -> None:
    """Counts classes that look alike, boxes that do not count or are there twice, and pictures without any.

    Args:
        classes: their names.
        parts: of the set.
        notes: where to say it.
    """
    say_alike(classes, notes)
    for pictures, marks in ((part.pictures, part.marks) for part in parts):
        for mark in marks:
            if mark.crowd:
                what = "boxes of crowds or difficult ones: not trained on and not counted"
                notes.add("ignored", what, pictures[mark.picture].title)
        seen = Counter((mark.picture, mark.label, tuple(mark.box)) for mark in marks)
        for (row, *_), count in seen.items():
            what = "boxes that are there twice, of one class and place, count twice"
            notes.add("assumed", what, pictures[row].title, count=count - 1)
        for row in sorted(set(range(len(pictures))) - {mark.picture for mark in marks}):
            notes.add("assumed", "pictures without any box are taken to show nothing", pictures[row].title)
