"""Which way up the boxes of a set mean its pictures: as stored, or as the camera's EXIF note turns them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from bench.errors import BadInput, say_once, shown
from bench.tasks.data_notes import Notes
from bench.tasks.folder_listing import below, title
from bench.tasks.picture_checks import looked_at
from bench.tasks.pictures import DEEP, PICTURES, Look, opened

LARGEST_SIDE = 10**6
"""Pixels above which a stated side is none."""
SLACK = 1.0
"""Pixels by which a box may reach over the edge and still be taken to lie within it."""


class Entry(NamedTuple):
    """A picture as its annotations have it.

    Args:
        file: where it is.
        title: what it is called.
        size: width and height that they state, in pixels; whatever stands there.
        reach: the largest x2 and y2 of its boxes; 0 without any.
    """

    file: Path
    title: str
    size: tuple[Any, Any]
    reach: tuple[float, float] = (0.0, 0.0)


class Framed(NamedTuple):
    """A picture as its boxes mean it: its size in pixels, and whether it is put upright for them."""

    file: Path
    title: str
    width: int
    height: int
    look: Look
    upright: bool

    def read(self, background: str) -> Any:
        """What opens it."""
        return partial(opened, self.file, background=background, upright=self.upright)


def stated(size: tuple[Any, Any]) -> tuple[int, int] | None:
    """The size that annotations state; None where they do not, or state what is none."""
    width, height = size
    if any(isinstance(s, bool) or not isinstance(s, int | float) or not 1 <= s <= LARGEST_SIDE for s in size):
        return None
    return int(width), int(height)


def framed(name: str, entries: Sequence[Entry], notes: Notes) -> list[Framed]:
    """Every picture in the frame that its boxes are of.

    Tools differ in whether they heed the note. A picture tells by its stated size, or by boxes that only one frame
    holds. Those that cannot tell, as they are square, turned by 180° or mirrored, go by the others; where none tells,
    boxes are taken to be of the upright picture, as a person saw it, which is said.

    Args:
        name: of the set.
        entries: its pictures.
        notes: where to say what was assumed.

    Raises:
        BadInput: a picture of another size than its annotation says, or one that cannot be read and has no size.
    """
    looks = looked_at([entry.file for entry in entries], notes)
    if broken := [i for i, seen in enumerate(looks) if seen.error]:
        first = f"{entries[broken[0]].file} ({looks[broken[0]].error})"
        raise BadInput(
            f"{name}: {len(broken)} of {len(entries)} pictures cannot be read, the first {first}: mend them, or take "
            "them out of the annotations"
        )
    told = [_told(entry, seen) for entry, seen in zip(entries, looks, strict=True)]
    usual = told.count(True) >= told.count(False)
    _say_assumed(name, [entry.title for entry in entries], looks, told, usual, notes)
    made = [
        _framed(entry, seen, usual if one is None else one)
        for entry, seen, one in zip(entries, looks, told, strict=True)
    ]
    for each in made:
        _count(each, notes)
    return made


def _say_assumed(
    name: str, titles: Sequence[str], looks: Sequence[Look], told: Sequence[bool | None], usual: bool, notes: Notes
) -> None:
    """Says how many pictures are turned by a note and do not tell whether their boxes are, and what they go by."""
    silent = [i for i, (one, seen) in enumerate(zip(told, looks, strict=True)) if one is None and seen.orientation != 1]
    if not silent:
        return
    agree, deny = told.count(usual), told.count(not usual)
    why = f"as {agree} others tell and {deny} deny" if agree else "which no picture tells: look at their boxes"
    frame = "upright" if usual else "as stored"
    what = f"pictures with an EXIF note whose boxes are taken to be of the picture {frame}"
    notes.add("assumed", f"{what}, {why}", titles[silent[0]], count=len(silent))
    if not agree or deny:
        say_once(f"{shown(name)}: {len(silent)} {what}, {why}, e.g. {shown(titles[silent[0]])}")


def _told(entry: Entry, seen: Look) -> bool | None:
    """Whether the boxes are of the upright picture, if the picture tells."""
    if seen.upright == seen.size:
        return None
    size = stated(entry.size)
    if size is not None:
        return {seen.upright: True, seen.size: False}.get(size)
    upright, stored = (
        all(end <= side + SLACK for end, side in zip(entry.reach, frame, strict=True))
        for frame in (seen.upright, seen.size)
    )
    return None if upright == stored else upright


def _framed(entry: Entry, seen: Look, upright: bool) -> Framed:
    size, found = stated(entry.size), seen.upright if upright else seen.size
    if size is not None and size != found:
        said, is_ = ("×".join(map(str, each)) for each in (size, found))
        raise BadInput(f"{entry.title} is {is_} pixels; its annotation says {said}: mend one of the two")
    return Framed(entry.file, entry.title, *found, seen, upright)


def _count(picture: Framed, notes: Notes) -> None:
    seen = picture.look
    if seen.orientation != 1 and picture.upright:
        notes.add("mended", "pictures put upright, as their EXIF note says", picture.title, key="pictures_turned")
    if seen.clear:
        notes.add("mended", "pictures with transparency laid on a background", picture.title, key="pictures_flattened")
    if seen.deep:
        notes.add("mended", DEEP, picture.title, key="pictures_of_16_bits")
    if seen.frames:
        notes.add("assumed", "pictures of several frames or pages: the first is taken", picture.title)


def reach(boxes: Sequence[tuple[float, float, float, float]]) -> tuple[float, float]:
    """The largest x2 and y2 of boxes; 0 without any."""
    ends = [(box[2], box[3]) for box in boxes if all(map(math.isfinite, box))]
    return (max(x for x, _ in ends), max(y for _, y in ends)) if ends else (0.0, 0.0)


def restamped(stamp: str, pictures: Sequence[Framed], background: str) -> str:
    """The stamp of the files, and of what is done to those that need something done."""
    deep = [i for i, each in enumerate(pictures) if each.look.deep]
    stamp = hashlib.sha256(f"{stamp} deep {deep}".encode()).hexdigest() if deep else stamp
    done = [
        (i, each.upright and each.look.orientation, background if each.look.clear else "")
        for i, each in enumerate(pictures)
        if each.look.clear or each.look.orientation != 1
    ]
    return hashlib.sha256(f"{stamp} {done}".encode()).hexdigest() if done else stamp


def count_unlisted(path: Path, used: Sequence[Path], notes: Notes) -> None:
    """Counts the pictures of a folder that are not among those of its annotations."""
    known = {file.resolve() for file in used}
    for file in below(path):
        if file.suffix.lower() in PICTURES and file.resolve() not in known:
            notes.add("ignored", "pictures that no annotation is of", title(file))
