"""What was understood of a task's data, in lines for a plan: classes with counts, sizes, what was done and why."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from bench.errors import shown
from bench.tasks.pools import Pool

PARTS = ("train", "validation", "test")
MOST_ROWS = 20
"""Classes that are listed; of more, the commonest and the rarest."""
FEW = 20
"""Training samples a class below which a few seeds decide little."""
UNSURE = 0.05
"""Half of the width of an accuracy's interval from which a test part is called small."""
UNEQUAL = 1.5
"""Times its even share that the commonest class may have."""

Counts = tuple[int, int, int]


@dataclass(frozen=True)
class Understood:
    """What was understood of a task's data.

    Args:
        name: of the task.
        samples: what they are: "pictures".
        sizes: of train, validation and test, for seed 0.
        classes: by name, how many are in each part.
        counted: what `classes` counts; "" for the samples themselves.
        notes: lines on what was dropped, mended, ignored and assumed.
    """

    name: str
    samples: str
    sizes: Counts
    classes: Mapping[str, Counts] = field(default_factory=dict)
    counted: str = ""
    notes: tuple[str, ...] = ()


@runtime_checkable
class Explains(Protocol):
    """A task that tells what it understood of its data."""

    def understood(self) -> Understood:
        """Without decoding anything. Raises BadInput where `sizes` does."""
        ...


def of_pool(pool: Pool, parts: Sequence[np.ndarray], samples: str) -> Understood:
    """Of a pool whose labels are classes (or, where it has one, a number to be predicted).

    Args:
        pool: all samples.
        parts: indices of train, validation and test.
        samples: what they are called.
    """
    classes: dict[str, Counts] = {}
    if pool.classes > 1:
        names = pool.names or tuple(map(str, range(pool.classes)))
        counted = [np.bincount(pool.labels[part], minlength=pool.classes).tolist() for part in parts]
        classes = {name: (a, b, c) for name, a, b, c in zip(names, *counted, strict=True)}
    return Understood(pool.name, samples, sizes_of(parts), classes, notes=notes_of(pool))


def sizes_of(parts: Sequence[np.ndarray]) -> Counts:
    """How many samples each of the three parts has."""
    train, val, test = map(len, parts)
    return train, val, test


def notes_of(pool: Pool) -> tuple[str, ...]:
    """What was done to the samples; what only the record has a name for, under that."""
    known = {note.key for note in pool.notes}
    others = (
        f"{key.replace('_', ' ')}: {count:,}" for key, count in pool.removed.items() if count and key not in known
    )
    return (*map(str, pool.notes), *others)


def lines(data: Understood) -> Iterator[str]:
    """For people: the sizes, a row a class, what to beware of, what was done."""
    sizes = ", ".join(f"{size:,} {part}" for part, size in zip(PARTS, data.sizes, strict=True))
    k = len(data.classes)
    several = f", {k:,} class{'es' * (k > 1)}" if k else ""
    yield f"data of {shown(data.name)}: {sizes} {data.samples}{several} (seed 0)"
    yield from _rows(data)
    if k and not data.counted:
        yield f"  {_majority(data)}"
    yield from (f"  beware: {text}" for text in _beware(data))
    yield from (f"  {note}" for note in data.notes)


def _rows(data: Understood) -> Iterator[str]:
    chosen = sorted(data.classes.items(), key=lambda item: -sum(item[1]))
    left_out = len(chosen) - MOST_ROWS
    if left_out <= 0:
        chosen = list(data.classes.items())
    names = [shown(name, 40) for name, _ in chosen]
    head = (data.counted or "class", *PARTS)
    width = max(map(len, (*names, head[0])), default=0)
    if chosen:
        yield f"  {head[0]:<{width}}  " + "  ".join(f"{part:>10}" for part in PARTS)
    for i, (name, (_, counts)) in enumerate(zip(names, chosen, strict=True)):
        if left_out <= 0 or not MOST_ROWS // 2 <= i < len(chosen) - MOST_ROWS // 2:
            yield f"  {name:<{width}}  " + "  ".join(f"{count:>10,}" for count in counts)
        elif i == MOST_ROWS // 2:
            yield f"  … {left_out:,} classes between these in number"


def _beware(data: Understood) -> Iterator[str]:
    train, _, test = data.sizes
    for i, part in enumerate(PARTS):
        lacking = [name for name, counts in data.classes.items() if not counts[i]]
        if lacking:
            named = ", ".join(repr(shown(name, 40)) for name in lacking[:4]) + ", …" * (len(lacking) > 4)
            yield f"{len(lacking)} of {len(data.classes)} classes have no {data.counted or 'sample'} in {part}: {named}"
    if data.counted or not data.classes:
        return
    each = train / len(data.classes)
    sure = 1.96 * math.sqrt(0.25 / test)
    if each < FEW or sure > UNSURE:
        yield (
            f"{each:.0f} training {data.samples} a class and {test:,} to test on, which leave an accuracy uncertain by "
            f"up to ±{sure:.2f}: a few seeds will decide little"
        )


def _majority(data: Understood) -> str:
    """What a classifier reaches that says of everything what most training samples are."""
    name = max(data.classes, key=lambda name: data.classes[name][0])
    share, k = data.classes[name][2] / max(1, data.sizes[2]), len(data.classes)
    read = ": the classes are unequal, read both" if share > UNEQUAL / k else ""
    f1 = 2 * share / (1 + share) / k
    return f"majority class {shown(name, 40)!r}: right on {share:.2f} of test, with a macro F1 of {f1:.2f}{read}"
