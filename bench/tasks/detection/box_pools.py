"""Pictures with marked boxes, checked, as a pool: what every reader of annotations hands over."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from bench.assets.remembered import digests
from bench.errors import BadInput
from bench.tasks.data_notes import Notes
from bench.tasks.data_summary import Understood, notes_of, sizes_of
from bench.tasks.detection.boxes import Truth
from bench.tasks.detection.mark_notes import check_any, say_marks
from bench.tasks.folder_listing import is_there
from bench.tasks.pictures import flattened
from bench.tasks.pools import REPEATS, Pool, repeats, untested

LARGEST_VAL = 1000
THINNEST = 0.01
"""Pixels below which a side of a box is none: resized and in float32, it would have no area left."""


class Picture(NamedTuple):
    """A picture as its annotations have it: what it is called, its size in pixels, and what opens it."""

    title: str
    width: int
    height: int
    read: Callable[[], Image.Image]


class Mark(NamedTuple):
    """A box as the annotations have it, on the picture of that index.

    Args:
        picture: index in `Part.pictures`.
        box: x1, y1, x2, y2 in the picture's pixels.
        label: class index.
        crowd: neither trained on nor counted.
        area: None for that of the box.
    """

    picture: int
    box: tuple[float, float, float, float]
    label: int
    crowd: bool = False
    area: float | None = None


@dataclass(frozen=True)
class Part:
    """The pictures of one part of a set, "train", "val" or "test", with the marks on them."""

    pictures: list[Picture] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Source:
    """All pictures with what is marked on them, and the pool they are split by; `pool.read(i)` is picture i.

    Args:
        pool: `pool.flip` says whether a picture may be mirrored left to right.
        classes: their names.
        truths: of every picture, checked.
        vertical: whether one mirrored top to bottom is as good too: seen from above.
    """

    pool: Pool
    classes: tuple[str, ...]
    truths: list[Truth]
    vertical: bool = False


def source(
    name: str, classes: Sequence[str], parts: Mapping[str, Part], *, stamp: str, flip: bool = True,
    vertical: bool = False, default_val: int | None = None, removed: Mapping[str, int] | None = None,
    notes: Notes | None = None, keys: Sequence[Hashable] | None = None,
) -> Source:  # fmt: skip
    """Checks the boxes and makes one pool of all parts.

    Boxes of no area and boxes outside their picture are dropped, those partly outside are clipped; `pool.removed` says
    how many. Without a part "val" it is drawn from train; without "test", a fifth of train is held out.

    Args:
        name: of the set.
        classes: their names, by index.
        parts: "train", and "val" and "test" where they are given.
        stamp: what tells whether the pictures changed.
        flip, vertical: as in `Source`.
        default_val: pictures to validate on where none are given; None for a fifth, at most 1,000.
        removed: what the reader left out, for the record.
        notes: what the reader did, for people.
        keys: of all pictures in the order of the parts, equal where they are the same picture; None where none is there
            twice. Such pictures are trained on once, or, where they are in test or validation, not at all.

    Raises:
        BadInput: a part without pictures, no box at all, boxes in fractions, or a class that only val or test has.
    """
    notes = notes or Notes()
    if empty := [part for part, those in parts.items() if not those.pictures]:
        raise BadInput(f"{name}: there are no pictures in {empty[0]}")
    truths, mended = _checked(parts.values())
    check_any(name, truths)
    say_marks(classes, parts.values(), notes)
    pool = _pool(
        name, parts, keys, notes, sha256=_fingerprint(classes, parts, truths, stamp), flip=flip, default_val=default_val
    )
    _check_classes(name, classes, parts, pool)
    counts = {**(removed or {}), **mended, **notes.counts}
    return Source(replace(pool, removed=counts, notes=notes.all), tuple(classes), truths, vertical)


def _check_classes(name: str, classes: Sequence[str], parts: Mapping[str, Part], pool: Pool) -> None:
    """Refuses a class that nothing can learn, as it is marked in val or test alone."""
    names = list(parts)
    start = sum(len(parts[part].pictures) for part in names[: names.index("train")])
    train = set((pool.development - start).tolist())
    learnt = {mark.label for mark in parts["train"].marks if not mark.crowd and mark.picture in train}
    for part, those in parts.items():
        if part != "train" and (new := {mark.label for mark in those.marks if not mark.crowd} - learnt):
            raise BadInput(
                f"{name}: class {classes[min(new)]!r} occurs in {part} but not in train: nothing can learn it"
            )


def _pool(
    name: str, parts: Mapping[str, Part], keys: Sequence[Hashable] | None, notes: Notes, *,
    default_val: int | None, **said: Any,
) -> Pool:  # fmt: skip
    """The pictures of all parts in a row, and which are of which part."""
    pictures = [picture for part in parts.values() for picture in part.pictures]
    ends = np.cumsum([len(part.pictures) for part in parts.values()])
    rows = dict(zip(parts, np.split(np.arange(len(pictures)), ends[:-1]), strict=True))
    if keys is not None:
        rows = _apart(name, rows, keys, [picture.title for picture in pictures], notes)
    train = len(rows["train"])
    hold_out = 0 if "test" in parts else max(1, train // 5)
    return Pool(
        name=name,
        labels=np.zeros(len(pictures), np.float32),
        classes=1,  # a picture has boxes of many classes: nothing to stratify by
        read=lambda i: _opened(pictures[i]),
        title=lambda i: pictures[i].title,
        development=rows["train"],
        official_val=rows.get("val"),
        official_test=rows.get("test"),
        hold_out=hold_out,
        default_train=None,
        default_val=default_val or max(1, min(LARGEST_VAL, (train - hold_out) // 5)),
        **said,
    )


def _apart(
    name: str, rows: dict[str, np.ndarray], keys: Sequence[Hashable], titles: Sequence[str], notes: Notes
) -> dict[str, np.ndarray]:
    """The rows of each part without those pictures of train that are elsewhere too or there twice."""
    val, test = rows.get("val"), rows.get("test")
    rows["train"], removed = repeats(keys, np.zeros(len(keys), int), test=test, val=val)
    if val is not None and test is not None:
        rows["val"], both = untested(keys, val, test)
        removed["test_duplicates_removed"] += both
    for why, those in removed.items():
        example = titles[those[0]] if those else ""
        notes.add("dropped", f"pictures {REPEATS[why]}", example, count=len(those), key=why)
    for part in rows:
        if not len(rows[part]):
            raise BadInput(f"{name}: every picture of {part} is in another part too")
    return rows


def _checked(parts: Iterable[Part]) -> tuple[list[Truth], dict[str, int]]:
    """The truth of every picture, and how many boxes were mended or dropped."""
    pictures: list[Picture] = []
    marks: list[Mark] = []
    for part in parts:
        marks += [mark._replace(picture=len(pictures) + mark.picture) for mark in part.marks]
        pictures += part.pictures
    boxes = np.array([mark.box for mark in marks], np.float64).reshape(-1, 4)
    owner, labels = (np.array(those, np.int64) for those in ([m.picture for m in marks], [m.label for m in marks]))
    crowd = np.array([mark.crowd for mark in marks], bool)
    area = np.array([np.nan if mark.area is None else mark.area for mark in marks], np.float64)
    frame = np.array([[p.width, p.height] * 2 for p in pictures], np.float64)[owner]
    if len(ends := boxes[np.isfinite(boxes)]) and ends.min() >= 0 and ends.max() <= 1:
        raise BadInput(f"no box reaches beyond 1, as in {boxes[0].tolist()}: these are fractions; give pixels")
    degenerate = ~(np.isfinite(boxes).all(1) & (boxes[:, 2:] - boxes[:, :2] >= THINNEST).all(1))
    inside = np.clip(boxes, 0, frame)
    sides = inside[:, 2:] - inside[:, :2]
    outside = ~degenerate & ~(sides >= THINNEST).all(1)
    kept = ~degenerate & ~outside
    clipped = kept & (inside != boxes).any(1)
    area = np.where(np.isnan(area), sides.prod(1), area)
    rows = np.flatnonzero(kept)[np.argsort(owner[kept], kind="stable")]
    mine = np.split(rows, np.searchsorted(owner[rows], np.arange(1, len(pictures))))
    truths = [
        Truth(inside[own], labels[own], crowd[own], area[own], picture.width, picture.height, picture.title, i)
        for i, (picture, own) in enumerate(zip(pictures, mine, strict=True))
    ]
    counts = {"degenerate_boxes_dropped": degenerate, "boxes_outside_dropped": outside, "boxes_clipped": clipped}
    return truths, {name: int(those.sum()) for name, those in counts.items()}


def _opened(picture: Picture) -> Image.Image:
    """The picture in colours of 8 bits.

    Raises:
        BadInput: it has another size than its boxes are of, or values of 32 bits.
    """
    found, size = picture.read(), (picture.width, picture.height)
    if found.size != size:
        said, is_ = ("×".join(map(str, s)) for s in (size, found.size))
        raise BadInput(f"{picture.title} is {is_} pixels; its annotation says {said}: mend one of the two")
    return flattened(found, picture.title)


def _fingerprint(classes: Sequence[str], parts: Mapping[str, Part], truths: Sequence[Truth], stamp: str) -> str:
    """sha256 of all that is marked, of the pictures' names and sizes and of their stamp."""
    sizes = {name: len(part.pictures) for name, part in parts.items()}
    digest = hashlib.sha256(json.dumps([list(classes), sizes, stamp]).encode())
    for truth in truths:
        digest.update(f"{truth.title} {truth.width} {truth.height}\n".encode())
        for array in (truth.boxes, truth.labels, truth.crowd, truth.area):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def check_there(files: Sequence[Path], kind: str, *, listed: str) -> None:
    """Refuses a list of files of which some are not there."""
    if missing := [file for file in files if not is_there(file)]:
        raise BadInput(
            f"{len(missing)} of {len(files)} {kind} are missing, the first {missing[0]}: put them there, "
            f"or take them out of {listed}"
        )


def check_listed(files: Sequence[Path]) -> None:
    """Refuses pictures of which some are not there, or one is listed twice, as in train and in test."""
    check_there(files, "pictures", listed="the annotations")
    times = Counter(file.resolve() for file in files)
    if len(files) > len(times):
        twice = next(file for file in files if times[file.resolve()] > 1)
        raise BadInput(f"{twice} is listed twice, in one part or in two: list every picture once")


def stamp_of(files: Sequence[Path]) -> str:
    """sha256 of all bytes of the files: a copy of the folder is the same data."""
    return hashlib.sha256("\n".join(digests(files)).encode()).hexdigest()


def understood(source: Source, parts: Sequence[np.ndarray]) -> Understood:
    """The sizes of the three parts, and the boxes of every class in each, crowds left out."""
    counts = []
    for part in parts:
        labels = [source.truths[i].labels[~source.truths[i].crowd] for i in part]
        counts.append(np.bincount(np.concatenate(labels), minlength=len(source.classes)).tolist())
    classes = {name: (a, b, c) for name, a, b, c in zip(source.classes, *counts, strict=True)}
    return Understood(source.pool.name, "pictures", sizes_of(parts), classes, "boxes", notes_of(source.pool))
