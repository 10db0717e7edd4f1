"""Figures that need not be drawn again: those of the same records, drawn by the same code, that nobody has touched."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from bench.records import write_atomically
from bench.report.data.groups import Group
from bench.report.figures import canvas

_LIBRARIES = ("matplotlib", "numpy", "pandas", "pillow", "scipy", "seaborn")


class FigureCache:
    """What stands in a folder of figures, by `drawn.json` beside it.

    Args:
        folder: results/<study>/<scale>/figures.
        methods: that share the looks which are handed out.
    """

    def __init__(self, folder: Path, methods: Iterable[str]) -> None:
        self.folder, self._list = folder, folder.parent / "drawn.json"
        self._common = json.dumps([_code(), canvas.FORMATS, sorted(methods)])
        self._digests: dict[Group, str] = {}
        self._there, self._kept = _read(self._list), dict[str, Entry]()

    def keep(self, stem: str, draw: Callable[[], Sequence[Path]], of: Group | Sequence[Group]) -> tuple[Path, ...]:
        """The files of a figure: as they are where they are whole and current, else as `draw` writes them.

        Args:
            stem: its name, unlike all others.
            draw: writes them below the folder.
            of: what it shows. Any change of any of its records, of the code of `bench.report` and `bench.stats`, or
                of a library that draws, and it is drawn anew.
        """
        digest = self._digest([of] if isinstance(of, Group) else of)
        there = self._there.get(stem) or Entry("", {})
        known = there.files if there.of == digest else {}
        files = tuple(self.folder / name for name in known)
        if not files or any(_sha256(path) != known[name] for path, name in zip(files, known, strict=True)):
            files = tuple(draw())
        names = [path.relative_to(self.folder).as_posix() for path in files]
        self._kept[stem] = Entry(digest, {name: _sha256(path) for name, path in zip(names, files, strict=True)})
        return files

    def close(self) -> None:
        """Writes the list, or takes it away where there are no figures."""
        if self._kept:
            write_atomically(self._list, json.dumps({stem: asdict(one) for stem, one in self._kept.items()}) + "\n")
        else:
            self._list.unlink(missing_ok=True)

    def _digest(self, groups: Sequence[Group]) -> str:
        """Of all that a figure of these groups depends on."""
        for group in groups:
            if group not in self._digests:
                baselines = [(one.number, list(one.runs)) for one in group.baselines]
                text = json.dumps([list(group.records), baselines, group.twin, group.older], sort_keys=True)
                self._digests[group] = hashlib.sha256(text.encode()).hexdigest()
        text = " ".join([self._common, *(self._digests[group] for group in groups)])
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Entry:
    """A figure that stands there.

    Args:
        of: digest of what it shows.
        files: hashes by name.
    """

    of: str
    files: dict[str, str]


def _read(path: Path) -> dict[str, Entry]:
    """The list; nothing where it is not there or not whole."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict) or not all(map(_is_entry, found.values())):
        return {}
    return {stem: Entry(**one) for stem, one in found.items()}


def _is_entry(one: object) -> bool:
    """Whether it is what a figure is listed as."""
    if not isinstance(one, dict) or one.keys() != {"of", "files"} or not isinstance(one["of"], str):
        return False
    return isinstance(one["files"], dict) and all(isinstance(each, str) for each in one["files"].values())


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


@lru_cache(maxsize=1)
def _code() -> str:
    """Of the code that draws and computes, and of the libraries' versions."""
    package = Path(__file__).parents[2]
    sources = [path for part in ("report", "stats") for path in sorted((package / part).rglob("*.py"))]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources))
    digest.update(" ".join(version(name) for name in _LIBRARIES).encode())
    return digest.hexdigest()
