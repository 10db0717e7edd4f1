"""Whether the pictures of a set can be read, known before anything that takes time is started."""

from __future__ import annotations

import json
import mmap
import warnings
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import PIL
from PIL import Image

from bench.assets.remembered import remembered
from bench.errors import shown
from bench.tasks.data_notes import Notes
from bench.tasks.folder_listing import title
from bench.tasks.pictures import Look, head, opened

WHOLE = 20_000
"""Pictures of a set up to which each is decoded; of a larger set only heads and ends are looked at."""
BY = f"1-{PIL.__version__}"
"""What the answers depend on but the file: this module and `bench.tasks.pictures`, and Pillow."""
SMALL = (16, 16)
"""A JPEG is decoded at an eighth of its size, which is quicker and reads all of it too."""
PNG_END, TRAILER = b"IEND", 4096
"""A PNG's last chunk, and how many bytes may follow it."""
SOUND = "sound"


def looked_at(files: Sequence[Path], notes: Notes) -> list[Look]:
    """What each picture is, with an error where it cannot be read, be it only in its middle.

    Every picture is decoded, once for as long as its file does not change. In a set of more than `WHOLE` only heads and
    ends are looked at, which is said: what is broken between them is found when it is decoded to be learned from.

    Args:
        files: regular files.
        notes: where to say that not all was decoded.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a large one is decoded or refused later
        heads = [_recalled(text) if text else None for text in remembered(f"heads-{BY}", files, _head, doing="look at")]
        looks = [known or head(file) for known, file in zip(heads, files, strict=True)]
        rows = [i for i, look in enumerate(looks) if not look.error]
        kind, find = ("decoded", _decoded) if len(files) <= WHOLE else ("ends", _ends)
        answers = remembered(f"{kind}-{BY}", [files[i] for i in rows], find, doing="check")
        for i, answer in zip(rows, answers, strict=True):
            if answer != SOUND:
                looks[i] = replace(looks[i], error=_why(files[i]))
    if len(files) > WHOLE:
        what = f"pictures of which only head and end were looked at, as there are more than {WHOLE:,}"
        notes.add("assumed", what, title(files[0]), count=len(files))
    return looks


def _head(file: Path) -> str:
    """The look as text; "" for one that may be another tomorrow, as when a package is installed."""
    found = head(file)
    return "" if found.error else json.dumps(asdict(found))


def _recalled(text: str) -> Look:
    found = json.loads(text)
    return Look(**{**found, "size": tuple(found["size"])})


def _decoded(file: Path) -> str:
    try:
        _decode(file)
    except Exception:  # PIL has a dozen ways to say that a file is broken
        return ""
    return SOUND


def _decode(file: Path) -> None:
    with Image.open(file) as picture:
        if picture.format in ("JPEG", "MPO"):
            picture.draft("RGB", SMALL)
            picture.load()
            return
    opened(file)


def _ends(file: Path) -> str:
    """A JPEG's last marker of a scan is followed by that of its end, a PNG ends with its last chunk."""
    ending = file.suffix.lower()
    if ending not in (".jpg", ".jpeg", ".jpe", ".jfif", ".png"):
        return SOUND
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as raw:
        if raw[:2] == b"\xff\xd8":
            return SOUND if raw.rfind(b"\xff\xd9") > raw.rfind(b"\xff\xda") else ""
        return SOUND if raw[:4] != b"\x89PNG" or PNG_END in raw[-TRAILER:] else ""


def _why(file: Path) -> str:
    try:
        _decode(file)
    except Exception as error:
        return shown(str(error) or type(error).__name__, 200)
    return "its end is missing"
