"""Where the pictures are that a file of annotations names, however the tool that wrote it named them."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote

from bench.errors import BadInput, shown
from bench.tasks.data_notes import Notes
from bench.tasks.folder_listing import PARTS, entries, is_folder, is_there, is_within

UPLOAD = re.compile(r"^[0-9a-f]{8}-")
"""What Label Studio puts before the name of a file that is uploaded."""


class Places(NamedTuple):
    """The folders that pictures are looked for in, the likeliest first, and the one that none may lie outside of.

    `listed` keeps what folders hold, by names as `alike` has them.
    """

    root: Path
    folders: list[Path]
    notes: Notes
    listed: dict[Path, dict[str, list[Path]]]

    @staticmethod
    def of(root: Path, file: Path, part: str, notes: Notes) -> Places:
        """For an annotation file: beside it where its folder is the part's own, else in the usual folders.

        Args:
            root: of the set.
            file: the annotations.
            part: which they are of.
            notes: where to say that a name was mended.
        """
        home = file.parent.parent if file.parent.name.casefold() == "annotations" else file.parent
        stem = re.sub(r"^(instances|annotations|coco)[_.\- ]+", "", file.stem, flags=re.IGNORECASE)
        whole = [(name,) for name in (stem, part, *PARTS[part])]
        usual = [*(("images", *name) for name in whole), *whole, ("images",), ("data",), ()]
        found = [folder for names in usual for folder in _inside(home, names)]
        return Places(root, list(dict.fromkeys([home, *found] if home != root else found)), notes, {})

    def find(self, names: Sequence[str]) -> list[Path]:
        """The file of every name. One that is not there is where it should be.

        Raises:
            BadInput: a name leads out of the set's folder.
        """
        names = [name.replace("\\", "/") for name in names]
        home = next((folder for folder in self.folders if is_there(folder / names[0])), self.folders[0])
        first = [home, *(folder for folder in self.folders if folder != home)]
        return [self._file(name, first) for name in names]

    def _file(self, name: str, folders: Sequence[Path]) -> Path:
        inside = [folder / name for folder in folders if is_within(folder / name, self.root)]
        for path in inside:
            if is_there(path):
                return path
        if not inside and _exists(folders[0] / name):
            raise BadInput(f"the picture {shown(name)!r} lies outside {self.root}: copy it there")
        for base in _bases(name):
            for folder in folders:
                if is_there(folder / base):
                    self.notes.add("mended", "pictures found by the end of their names", shown(name))
                    return folder / base
        for path in (*inside, *(folder / base for base in _bases(name) for folder in folders)):
            if len(those := self._alike(path)) == 1:
                self.notes.add("mended", "pictures whose names differ in capitals or in Unicode's form", shown(name))
                return those[0]
        if not inside:
            raise BadInput(f"the picture {shown(name)!r} lies outside {self.root}, and none of that name in it")
        return inside[0]

    def _alike(self, path: Path) -> list[Path]:
        """The files whose names are that one but for capitals and Unicode's form, in the folder as it is written."""
        if not is_folder(path.parent):
            return []
        if path.parent not in self.listed:
            there = self.listed[path.parent] = {}
            for file in entries(path.parent).files:
                there.setdefault(alike(file.name), []).append(file)
        return self.listed[path.parent].get(alike(path.name), [])


def alike(name: str) -> str:
    """What two names are compared by where the file system that they come from has one name for both."""
    return unicodedata.normalize("NFC", name).casefold()


def _inside(home: Path, names: tuple[str, ...]) -> Iterator[Path]:
    """The folders in a folder that are called so, one below the other, in any case of letters."""
    if not names:
        yield home
        return
    if home.is_dir():
        for folder in entries(home).folders:
            if folder.name.casefold() == names[0].casefold():
                yield from _inside(folder, names[1:])


def _bases(name: str) -> Iterator[str]:
    """What a file may be called whose name is a path or address on another machine."""
    plain = unquote(name)
    for text in dict.fromkeys((name, plain, plain.split("?")[0], plain.rpartition("=")[2])):
        base = PurePosixPath(text).name
        if base and base not in (".", ".."):
            yield base
            yield UPLOAD.sub("", base)


def _exists(path: Path) -> bool:
    try:
        return os.path.lexists(path)
    except (OSError, ValueError):
        return False
