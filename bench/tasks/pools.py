"""All samples of a set with their labels, before any split, and how they are split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from bench.errors import BadInput, shown
from bench.tasks.data_notes import Note, Notes

HOLD_OUT_SEED = 0
"""Draws the test part of sets without an official one: once, so that no seed's tuning ever sees a test sample."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Samples and labels before any split.

    Args:
        name: for messages.
        labels: class index of every sample, int64; or a number to be predicted, float, where `classes` is 1.
        classes: number of classes; 1 for a regression.
        read: sample i, e.g. a PIL image or a text; raises OSError if it cannot be read.
        title: name of sample i, for messages.
        sha256: fingerprint of the bytes (or of the listing) that the samples come from.
        flip: whether a mirrored sample is as good a one (pictures).
        development: indices that train and validation are drawn from.
        official_val, official_test: indices of parts that are given; None where they are to be drawn.
        hold_out: samples to hold out for testing where no test part is given.
        default_train, default_val: sizes of the low-data protocol for this set; train None for all that is left.
        groups: of every sample, where samples that belong together must not be parted (texts on one film); None
            where each stands for itself.
        removed: how many samples were left out and why, for the record: {"duplicates_removed": 12}.
        names: of the classes, by index; empty where they have none.
        notes: what the reader did to the data, for people.
    """

    name: str
    labels: np.ndarray
    classes: int
    read: Callable[[int], Any]
    title: Callable[[int], str]
    sha256: str
    development: np.ndarray
    flip: bool = False
    official_val: np.ndarray | None = None
    official_test: np.ndarray | None = None
    hold_out: int = 0
    default_train: int | None = 800
    default_val: int = 200
    groups: np.ndarray | None = None
    removed: Mapping[str, int] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()


def split(
    pool: Pool, *, train: int | None, val: int | None, test: int | None, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of the train, validation and test samples of one seed. None takes the pool's own default.

    Raises:
        BadInput: the pool has fewer samples than asked for.
    """
    rest, held_out = hold_out(pool, test)
    if test is not None and test < len(held_out):
        held_out, _ = _draw(pool, held_out, test, None, seed=HOLD_OUT_SEED)
    if pool.official_val is not None:
        chosen = rest
        if train is not None and train < len(rest):
            chosen, _ = _draw(pool, rest, train, None, seed=seed)
        validation = pool.official_val
        if val is not None and val < len(validation):
            validation, _ = _draw(pool, validation, val, None, seed=seed)
        return chosen, validation, held_out
    val = val if val is not None else pool.default_val
    if train is None and pool.default_train is not None:
        train = pool.default_train
    if pool.groups is None:
        chosen, validation = _draw(pool, rest, train or len(rest) - val, val, seed=seed)
        return chosen, validation, held_out
    share = val / len(rest) if train is None else val / (train + val)
    left, right = _apart(pool, rest, share, seed=seed)
    train, val = train or len(left), val if train else min(val, len(right))
    return _some(pool, left, train, seed=seed), _some(pool, right, val, seed=seed), held_out


def hold_out(pool: Pool, test: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """What train and validation are drawn from, and the whole test part: official, or drawn once for all seeds.

    Where none is given and more are asked for than the set holds out by itself, so many are held out.
    """
    among, size = pool.development, max(pool.hold_out, test or 0)
    if pool.official_test is not None:
        return among, pool.official_test
    if pool.groups is None:
        return _draw(pool, among, len(among) - size, size, seed=HOLD_OUT_SEED)
    return _apart(pool, among, size / max(1, len(among)), seed=HOLD_OUT_SEED)


def _apart(pool: Pool, among: np.ndarray, share: float, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two parts of `among` with no group on both sides, the second with about `share` of the groups."""
    assert pool.groups is not None  # asked for only where there are groups
    if not 0 < share < 1 or len(set(pool.groups[among])) < 2:
        raise BadInput(f"{pool.name}: {len(among)} samples cannot be parted by group into train and validation")
    ways = GroupShuffleSplit(1, test_size=share, random_state=seed)
    first, second = next(ways.split(among, groups=pool.groups[among]))
    return np.sort(among[first]), np.sort(among[second])


def _some(pool: Pool, among: np.ndarray, size: int, *, seed: int) -> np.ndarray:
    """`size` of the samples, or all where that is about all there are."""
    return among if size == len(among) else _draw(pool, among, size, None, seed=seed)[0]


def _draw(pool: Pool, among: np.ndarray, first: int, second: int | None, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two disjoint, stratified draws from `among`; `second` None for all the rest. Sorted: the loader orders."""
    second = len(among) - first if second is None else second
    need = first + second
    if min(first, second) < pool.classes or need > len(among):
        raise BadInput(
            f"{pool.name}: a split into {first} and {second} needs {max(2, need)} samples and at least one "
            f"{f'of each of the {pool.classes} classes ' * (pool.classes > 1)}on both sides; there are {len(among)}: "
            "ask for other sizes (train=…, val=…, test=…)"
        )
    labels = pool.labels[among] if pool.classes > 1 else None
    try:
        a, b = train_test_split(among, train_size=first, test_size=second, stratify=labels, random_state=seed)
    except ValueError as error:
        raise BadInput(f"{pool.name}: cannot split {len(among)} samples by class: {error}") from None
    return np.sort(a), np.sort(b)


REPEATS: Mapping[str, str] = {
    "test_duplicates_removed": "that are in test too",
    "val_duplicates_removed": "that are in validation too",
    "conflicting_removed": "of which there are copies under another label",
    "duplicates_removed": "that are there once already",
}
"""Why a sample is not developed on, under the names of records."""


def repeats(
    keys: Sequence[Hashable],
    labels: Sequence[int] | np.ndarray,
    *,
    test: np.ndarray | None,
    val: np.ndarray | None = None,
) -> tuple[np.ndarray, dict[str, list[int]]]:
    """The samples to develop on: none that is tested on, none twice, none that two labels are claimed for.

    What stands in `test` or `val` is looked at, never removed.

    Args:
        keys: of every sample; what is equal is the same sample.
        labels: of every sample.
        test: indices of the official test part; None where none is given and one is to be drawn from the rest.
        val: indices of a given validation part.

    Returns:
        Sorted indices of the samples kept of the rest, and those left out, by `REPEATS`.
    """
    given = {part: where for part, where in {"test": test, "val": val}.items() if where is not None}
    apart = {f"{part}_duplicates_removed": {keys[i] for i in where} for part, where in given.items()}
    fixed = {int(i) for i in chain(*given.values())}
    rest = [i for i in range(len(keys)) if i not in fixed]
    claimed = defaultdict(set)
    for i in rest:
        claimed[keys[i]].add(labels[i])
    apart["conflicting_removed"] = {key for key, those in claimed.items() if len(those) > 1}
    apart["duplicates_removed"] = set()  # grows: what was kept
    removed: dict[str, list[int]] = {why: [] for why in apart}
    kept: list[int] = []
    for i in rest:
        if why := next((why for why, there in apart.items() if keys[i] in there), None):
            removed[why].append(i)
        else:
            kept.append(i)
            apart["duplicates_removed"].add(keys[i])
    return np.array(kept, np.int64), removed


def untested(keys: Sequence[Hashable], val: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Validation samples that are not in test, and those that are: what is chosen by must not be tested on."""
    tested = {keys[i] for i in test}
    return (
        np.array([i for i in val if keys[i] not in tested], np.int64),
        [int(i) for i in val if keys[i] in tested],
    )


def say_doubles(
    keys: Sequence[Hashable],
    labels: np.ndarray,
    given: Mapping[str, np.ndarray | None],
    notes: Notes,
    *,
    what: str,
    title: Callable[[int], str],
) -> None:
    """Counts what is there twice within a part that is given: nothing is taken out of it, so that it counts twice.

    Args:
        keys, labels: of every sample.
        given: indices of validation and test, by their names; None where they are drawn.
        notes: where to say it.
        what: the samples are called.
        title: name of a sample.
    """
    for part, where in given.items():
        seen: dict[Hashable, int] = {}
        for i in () if where is None else where.tolist():
            first = seen.setdefault(keys[i], i)
            if first != i:
                other = ", under another label" * bool(labels[i] != labels[first])
                notes.add("assumed", f"{what} that {part} has twice count twice{other}", title(i))


def check_enough(where: str, labels: np.ndarray, names: Sequence[str], *, parts: int, what: str) -> None:
    """Refuses a class of which there is not one sample for every part that is drawn.

    Args:
        where: the data's place, for the message.
        labels: of what is drawn from.
        names: of the classes.
        parts: how many are drawn, 1 to 3.
        what: the samples are called.

    Raises:
        BadInput: a class has fewer samples than there are parts.
    """
    counted = np.bincount(labels, minlength=len(names))
    rare = np.flatnonzero(counted < parts).tolist()
    if rare:
        least = min(rare, key=counted.__getitem__)
        others = f" ({len(rare)} of {len(names)} classes have too few)" if len(rare) > 1 else ""
        needed = "are" if parts > 1 else "is"
        raise BadInput(
            f"{where}: class {shown(names[least])!r} has {counted[least]} different {what}, {parts} {needed} needed, "
            f"one for each part{others}: add {what}, or leave it out"
        )
