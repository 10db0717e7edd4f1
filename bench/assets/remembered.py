"""What is found out of many files by reading them whole, kept between processes for as long as they do not change."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.assets.cache import cache_folder
from bench.assets.digests import digest, is_settled, known, remember, state

Kept = dict[str, list[Any]]
"""A file's real path → its state and what was found."""


def digests(files: Sequence[Path]) -> list[str]:
    """The sha256 of all bytes of each file, in their order; read again only where a file's state has changed.

    Raises:
        OSError: a file cannot be read.
    """
    if all(map(known, files)):
        return [digest(file) for file in files]

    def recalled(file: Path, then: Sequence[int], sha: str) -> None:
        remember(file, list(then), sha)

    return remembered("digests", files, digest, doing="hash", recalled=recalled)


def remembered(
    kind: str, files: Sequence[Path], find: Callable[[Path], str], *, doing: str,
    recalled: Callable[[Path, Sequence[int], str], None] | None = None,
) -> list[str]:  # fmt: skip
    """What `find` says of each file, in their order: asked of files that are new or have changed since.

    It is kept in `<cache>/<kind>/`, in a file for the folder that all of them lie in. A bar shows how far it is.

    Args:
        kind: what is found; must change with whatever `find` depends on but the file.
        files: regular files.
        find: reads a file; any text, "" for what is not to be kept.
        doing: what the bar says that is done.
        recalled: is told of each file whose state is as it was, with that state and what was found then.

    Raises:
        OSError: a file is not there, or what `find` raises.
    """
    if not files:
        return []
    real = [os.path.realpath(file) for file in files]
    above = os.path.commonpath([os.path.dirname(path) for path in real])
    place = cache_folder() / kind / f"{hashlib.sha256(os.fsencode(above)).hexdigest()[:16]}.json"
    kept, found = _read(place), dict[str, str]()
    states = {path: list(state(Path(path))) for path in real}
    for path, now in states.items():
        if (entry := kept.get(path)) and entry[0] == now:
            found[path] = entry[1]
            if recalled is not None:
                recalled(Path(path), now, entry[1])
    new = [path for path in states if path not in found]
    settled = [path for path in new if is_settled(states[path])]  # before they are read
    found |= zip(new, _asked(new, find, f"{doing} {os.path.basename(above)}"), strict=True)
    if settled := [path for path in settled if found[path]]:
        still = {path: entry for path, entry in kept.items() if path in found or os.path.exists(path)}
        _write(place, still | {path: [states[path], found[path]] for path in settled})
    return [found[path] for path in real]


def _asked(files: Sequence[str], find: Callable[[Path], str], name: str) -> list[str]:
    from tqdm import tqdm

    with ThreadPoolExecutor(os.cpu_count()) as workers:
        answers = workers.map(find, map(Path, files))
        return list(tqdm(answers, total=len(files), desc=name, unit="file", leave=False, delay=1, disable=None))


def _read(place: Path) -> Kept:
    try:
        kept = json.loads(place.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    sound = isinstance(kept, dict) and all(
        isinstance(entry, list) and len(entry) == 2 and isinstance(entry[1], str) for entry in kept.values()
    )
    return kept if sound else {}


def _write(place: Path, kept: Kept) -> None:
    """Whole or not at all; a cache that cannot be written costs that the files are read again."""
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=place.parent, suffix=".tmp", delete=False) as file:
            json.dump(kept, file)
        os.replace(file.name, place)
