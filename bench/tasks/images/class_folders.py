"""One's own pictures in class folders: what is taken, what is left out, and what is refused by name."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.assets.remembered import digests
from bench.errors import BadInput, say_once, shown
from bench.tasks.class_names import say_alike, tidy
from bench.tasks.data_notes import Notes
from bench.tasks.folder_listing import below, entries, parts_of, refuse_strangers, title
from bench.tasks.images.decode import TOO_MANY
from bench.tasks.picture_checks import looked_at
from bench.tasks.pictures import DEEP, PICTURES, UNREAD, WHITE, Look, opened
from bench.tasks.pools import REPEATS, Pool, check_enough, repeats, say_doubles, untested

WHOLE = "train"
"""The part that all pictures are of where no parts are given."""


class Found(NamedTuple):
    """A picture, of which part and class it is."""

    part: str
    name: str
    file: Path


def folder_pool(path: Path, *, background: str = WHITE) -> Pool:
    """Pictures in class folders, with train, val and test folders above them or without.

    A picture whose bytes are in test too, or in a given validation part, is not trained on; one that is there twice
    counts once. Near-duplicates are not looked for. What was done to the pictures stands in `pool.notes`.

    Args:
        path: the folder.
        background: what transparent pictures are laid on.

    Raises:
        BadInput: the folder is missing, empty or has one class; a folder that is not understood; a class that train
            does not have, or of which there are too few; too many pictures that cannot be read.
    """
    notes, listed = Notes(), []
    for part, folder in _layout(path, notes).items():
        listed += [Found(part, name, file) for name, file in _of_classes(folder, notes)]
    if not listed:
        raise BadInput(f"no pictures under {str(path)!r}: they are looked for as <class>/<picture>.jpg, .png, …")
    looks = looked_at([found.file for found in listed], notes)
    kept = _readable(path, listed, looks, notes)
    names = sorted({listed[i].name for i in kept if listed[i].part == WHOLE})
    if strange := sorted({listed[i].name for i in kept} - set(names)):
        raise BadInput(f"{str(path)!r}: class {strange[0]!r} occurs in val or test but not in train")
    if len(names) < 2:
        raise BadInput(f"{str(path)!r} has one class ({', '.join(names)}): classification needs at least two")
    say_alike(names, notes)
    _count_mended([looks[i] for i in kept], [listed[i] for i in kept], background, notes)
    return _pool(path, listed, kept, names, background, notes)


def _pool(
    path: Path, every: Sequence[Found], kept: Sequence[int], names: list[str], background: str, notes: Notes
) -> Pool:
    listed = [every[i] for i in kept]
    labels = np.array([names.index(found.name) for found in listed], np.int64)
    where = {
        part: np.array([i for i, found in enumerate(listed) if found.part == part], int) for part in ("val", "test")
    }
    val, test = (where[part] if len(where[part]) else None for part in ("val", "test"))
    keys = digests([found.file for found in listed])
    development, removed = repeats(keys, labels, test=test, val=val)
    if val is not None and test is not None:
        val, both = untested(keys, val, test)
        removed["test_duplicates_removed"] += both
        if not len(val):
            raise BadInput(f"{path}: every picture of the validation part is in the test part too")
    for why, those in removed.items():
        example = title(listed[those[0]].file) if those else ""
        notes.add("dropped", f"pictures {REPEATS[why]}", example, count=len(those), key=why)
    given = {"validation": val, "test": test}
    say_doubles(keys, labels, given, notes, what="pictures", title=lambda i: title(listed[i].file))
    check_enough(str(path), labels[development], names, parts=1 + (val is None) + (test is None), what="pictures")
    hold_out = 0 if test is not None else max(len(names), len(development) // 5)
    return Pool(
        path.absolute().name, labels, len(names), lambda i: opened(listed[i].file, background=background),
        lambda i: str(listed[i].file), _fingerprint(path, every, notes, background), development, flip=True,
        official_val=val, official_test=test, hold_out=hold_out, default_train=None,
        default_val=max(len(names), (len(development) - hold_out) // 5),
        removed=notes.counts, names=tuple(names), notes=notes.all,
    )  # fmt: skip


def _layout(path: Path, notes: Notes) -> dict[str, Path]:
    """The folder of each part; the whole folder as one where it has classes and no parts.

    A class may be called "train" or "valid" too: a part is what has class folders in it.
    """
    if not path.is_dir():
        raise BadInput(f"no folder {str(path)!r}: give the folder that holds train/<class>/… or <class>/…")
    folders = entries(path).folders
    named = parts_of(folders, path)
    parts = {part: folder for part, folder in named.items() if any(map(_has_pictures, entries(folder).folders))}
    flat = [folder for folder in named.values() if folder not in parts.values() and _has_pictures(folder)]
    others = [folder for folder in folders if folder not in named.values() and _has_pictures(folder)]
    if not parts and len(flat) == 1 and others:
        notes.add("assumed", f"{flat[0].name}/ is a class, as it has no class folders in it")
        return {WHOLE: path}
    if not parts and not flat:
        return {WHOLE: path}
    if "train" not in parts:
        what = f"{' and '.join(f'{folder.name}/' for folder in (*parts.values(), *flat))}"
        raise BadInput(f"{path} has {what} but no train/<class>/: give it class folders to train on")
    _count_loose(entries(path, notes).files, notes)  # of a folder without parts, `_of_classes` does
    refuse_strangers(others, path, f"{parts['train'].name}/")
    for folder in flat:
        count = sum(file.suffix.lower() in PICTURES for file in entries(folder).files)
        notes.add("ignored", f"pictures in {folder.name}/, which has no class folders", folder.name, count=count)
    return parts


def _has_pictures(folder: Path) -> bool:
    return any(file.suffix.lower() in PICTURES for file in below(folder))


def _of_classes(folder: Path, notes: Notes) -> list[tuple[str, Path]]:
    """Class and file of every picture in a folder of class folders."""
    found: list[tuple[str, Path]] = []
    files, folders = entries(folder, notes)
    _count_loose(files, notes)
    for one in folders:
        inside, deeper = entries(one, notes)
        _count_others(inside, notes)
        name = tidy(one.name) or one.name
        if name != one.name:
            notes.add("mended", "names of classes with blanks around them, or whose letters are in pieces", title(one))
        own = [(name, file) for file in inside if file.suffix.lower() in PICTURES]
        nested = [file for each in deeper for file in below(each, notes) if file.suffix.lower() in PICTURES]
        unread = [file for file in inside if file.suffix.lower() in UNREAD]
        if unread and not own and not nested:
            raise BadInput(f"{one} has pictures of kinds that cannot be read, such as {title(unread[0])}: save as .png")
        if nested and not own:
            raise BadInput(
                f"{one} has its pictures in folders below it, such as {title(nested[0])}: put a class's pictures into "
                "its own folder; or give the folder that holds train/"
            )
        if not own:
            notes.add("ignored", "folders without pictures", title(one))
        for file in nested:
            notes.add("dropped", "pictures in folders below their class's", title(file), key="nested_pictures_dropped")
        found += own
    return found


def _count_loose(files: Sequence[Path], notes: Notes) -> None:
    _count_others(files, notes)
    for file in files:
        if file.suffix.lower() in PICTURES:
            notes.add("dropped", "pictures in no class's folder", title(file), key="unclassed_pictures_dropped")


def _count_others(files: Sequence[Path], notes: Notes) -> None:
    for file in files:
        if file.suffix.lower() in UNREAD:
            what = "pictures of kinds that cannot be read"
            notes.add("dropped", what, title(file), key="unreadable_kinds_dropped")
        elif file.suffix.lower() not in PICTURES:
            notes.add("ignored", "files that are no pictures by their names", title(file))


def _readable(path: Path, listed: Sequence[Found], looks: Sequence[Look], notes: Notes) -> list[int]:
    """Those that can be read; where more than a tenth of a part cannot, the set is refused."""
    broken: dict[str, list[int]] = defaultdict(list)
    for i, (found, seen) in enumerate(zip(listed, looks, strict=True)):
        if seen.error:
            broken[found.part].append(i)
    for part, those in broken.items():
        count = sum(found.part == part for found in listed)
        first = f"{title(listed[those[0]].file)} ({looks[those[0]].error})"
        if len(those) > TOO_MANY * count:
            raise BadInput(f"{path}: {len(those)} of {count} pictures cannot be read, e.g. {first}: mend the set")
        say_once(f"{shown(path.name)}: skipped {len(those)} of {count} pictures that cannot be read: {first}")
        notes.add("dropped", "pictures that cannot be read", first, count=len(those), key="unreadable_pictures_dropped")
    return [i for i, seen in enumerate(looks) if not seen.error]


def _count_mended(looks: Sequence[Look], listed: Sequence[Found], background: str, notes: Notes) -> None:
    for seen, found in zip(looks, listed, strict=True):
        if seen.orientation != 1:
            what = "pictures put upright, as their EXIF note says"
            notes.add("mended", what, title(found.file), key="pictures_turned")
        if seen.clear:
            what = f"pictures with transparency laid on {background}"
            notes.add("mended", what, title(found.file), key="pictures_flattened")
        if seen.deep:
            notes.add("mended", DEEP, title(found.file), key="pictures_of_16_bits")
        if seen.frames:
            notes.add("assumed", "pictures of several frames or pages: the first is taken", title(found.file))


def _fingerprint(path: Path, listed: Sequence[Found], notes: Notes, background: str) -> str:
    """sha256 of names, of all bytes, and of what was done: a copy of the folder is the same data."""
    stamp = hashlib.sha256()
    there = [found.file for found in listed if os.access(found.file, os.R_OK)]  # others are counted as unreadable
    for picture, sha in zip(there, digests(there), strict=True):
        stamp.update(str(picture.relative_to(path)).encode("utf-8", "surrogateescape") + f" {sha}\n".encode())
    counts = notes.counts
    if counts:
        stamp.update(repr((sorted(counts.items()), background * ("pictures_flattened" in counts))).encode())
    return stamp.hexdigest()
