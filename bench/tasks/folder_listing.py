"""What lies in a folder of one's own, for every reader: its regular files and folders, and the parts of a set."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from bench.errors import BadInput, shown
from bench.tasks.data_notes import Notes

PARTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"train": ("train", "training"), "val": ("val", "valid", "validation", "dev"), "test": ("test", "testing")}
)
"""The parts of a set, and what their folders and files are called, in any case of letters."""
LEFT_BY_SYSTEMS = frozenset(
    {"__macosx", "__pycache__", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "$recycle.bin",
     "system volume information", "lost+found", "@eadir"}
)  # fmt: skip
"""Besides all names that begin with a dot, such as .ipynb_checkpoints, .DS_Store and macOS' ._x.jpg."""


class Entries(NamedTuple):
    """What a folder holds itself, each sorted by name."""

    files: list[Path]
    folders: list[Path]


def entries(folder: Path, notes: Notes | None = None) -> Entries:
    """The regular files and the folders in a folder; links are followed.

    Hidden ones are skipped. Links that lead nowhere, pipes, sockets and devices are never opened. Both are counted.

    Args:
        folder: which.
        notes: where to count what is skipped.

    Raises:
        BadInput: it cannot be read.
    """
    notes, found = notes or Notes(), Entries([], [])
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise BadInput(f"{folder} cannot be read: {error.strerror}") from None
    for name in names:
        path = folder / name
        if name.startswith(".") or name.casefold() in LEFT_BY_SYSTEMS:
            notes.add("ignored", "hidden files or folders", name)
            continue
        try:
            mode = path.stat().st_mode
        except OSError:
            notes.add("dropped", "links that lead nowhere", title(path), key="dangling_links_dropped")
            continue
        if stat.S_ISDIR(mode):
            found.folders.append(path)
        elif stat.S_ISREG(mode):
            found.files.append(path)
        else:
            notes.add("ignored", "pipes, sockets or devices", title(path))
    return found


def below(folder: Path, notes: Notes | None = None) -> Iterator[Path]:
    """All regular files in a folder and in the folders in it, each folder once, however it is linked to."""
    todo, seen = [folder], {os.path.realpath(above) for above in folder.absolute().parents}
    while todo:
        here = todo.pop()
        if (real := os.path.realpath(here)) in seen:
            continue
        seen.add(real)
        found = entries(here, notes)
        yield from found.files
        todo += reversed(found.folders)


def part_of(name: str) -> str | None:
    """The part of a set that a folder or file of this name is: "Validation" → "val"; None for any other name."""
    return next((part for part, names in PARTS.items() if name.strip().casefold() in names), None)


def parts_of(folders: Iterable[Path], where: Path) -> dict[str, Path]:
    """The folder of each part among `folders`.

    Raises:
        BadInput: two are of one part.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        if part := part_of(folder.name):
            if part in found:
                raise BadInput(f"{where} has both {found[part].name}/ and {folder.name}/: keep one")
            found[part] = folder
    return {part: found[part] for part in PARTS if part in found}


def refuse_strangers(folders: Iterable[Path], where: Path, beside: str) -> None:
    """Refuses folders, by name, that hold data and are none of a set's parts: leaving them out might be a mistake."""
    names = [shown(folder.name) + "/" for folder in folders]
    if names:
        known = ", ".join("/".join(each) for each in PARTS.values())
        raise BadInput(
            f"{where} has {', '.join(names[:4])}{', …' * (len(names) > 4)} beside {beside}: not understood; parts are "
            f"called {known}: rename or move it"
        )


def is_within(path: Path, folder: Path) -> bool:
    """Whether a path, as it is written, stays in a folder: `..` is taken literally and links are not followed."""
    return Path(os.path.normpath(path)).is_relative_to(os.path.normpath(folder))


def is_there(path: Path) -> bool:
    """Whether it is a regular file; no name, with a NUL or too long, makes an error of it."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Whether it is a folder; no name makes an error of it."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def title(path: Path) -> str:
    """A file's name for messages, with the folder that it is in; whatever bytes it is of."""
    return os.fsencode(Path(*path.parts[-2:])).decode("utf-8", "backslashreplace")
