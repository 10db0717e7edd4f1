"""Figures that need not be drawn again: those of the same records, drawn by the same code, that nobody has touched."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.records import write_atomically
from bench.report.data.groups import Group
from bench.report.figures import canvas

_LIBRARIES = ("matplotlib", "numpy", "pandas", "pillow", "scipy", "seaborn")


class FigureCache:
    """What stands in a folder of figures, by `drawn.json` beside it.

    Args:
        folder: results/<study>/<scale>/figures.
        groups: whose figures they are. Any change of any of their records, of the code of `bench.report` and
            `bench.stats`, or of a library that draws, and everything is drawn anew.
    """

    def __init__(self, folder: Path, groups: Sequence[Group]) -> None:
        self.folder, self._list = folder, folder.parent / "drawn.json"
        self._of = _digest(groups)
        self._files: dict[str, dict[str, str]] = {}
        there = _read(self._list)
        self._there: Mapping[str, Mapping[str, str]] = there["files"] if there.get("of") == self._of else {}

    def keep(self, stem: str, draw: Callable[[], Sequence[Path]]) -> tuple[Path, ...]:
        """The files of a figure: as they are where they are whole and current, else as `draw` writes them.

        Args:
            stem: its name, unlike all others.
            draw: writes them below the folder.
        """
        known = self._there.get(stem) or {}
        files = tuple(self.folder / name for name in known)
        if not files or any(_sha256(path) != known[name] for path, name in zip(files, known, strict=True)):
            files = tuple(draw())
        names = [path.relative_to(self.folder).as_posix() for path in files]
        self._files[stem] = {name: _sha256(path) for name, path in zip(names, files, strict=True)}
        return files

    def close(self) -> None:
        """Writes the list, or takes it away where there are no figures."""
        if self._files:
            write_atomically(self._list, json.dumps({"of": self._of, "files": self._files}, indent=1) + "\n")
        else:
            self._list.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    """The list; nothing where it is not there or not whole."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    files = found.get("files") if isinstance(found, dict) else None
    if not isinstance(files, dict) or not all(map(_names, files.values())):
        return {}
    return found  # type: ignore[no-any-return]


def _names(files: object) -> bool:
    """Whether it is what a figure's files are listed as: hashes by name."""
    return isinstance(files, dict) and all(isinstance(one, str) for one in files.values())


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _digest(groups: Sequence[Group]) -> str:
    """Of all that a figure depends on."""
    parts = [[list(g.records), [(r.number, list(r.runs)) for r in g.baselines]] for g in groups]
    text = json.dumps([_code(), canvas.FORMATS, parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@lru_cache(maxsize=1)
def _code() -> str:
    """Of the code that draws and computes, and of the libraries' versions."""
    package = Path(__file__).parents[2]
    sources = [path for part in ("report", "stats") for path in sorted((package / part).rglob("*.py"))]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources))
    digest.update(" ".join(version(name) for name in _LIBRARIES).encode())
    return digest.hexdigest()
