"""What a reader did to the data that it was given: nothing is dropped, mended, ignored or assumed unsaid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bench.errors import shown

KINDS = ("dropped", "mended", "ignored", "assumed")


@dataclass(frozen=True)
class Note:
    """One thing that was done, however often.

    Args:
        kind: one of `KINDS`: samples that are left out, samples that are changed, files that are none of the data, and
            what was taken to be so without being said.
        what: to what, and why, to stand behind the count: "pictures that are in test too".
        count: how often.
        example: one of them.
        key: name of the count in a record's provenance; "" where it does not change what is learned.
    """

    kind: str
    what: str
    count: int = 1
    example: str = ""
    key: str = ""

    def __str__(self) -> str:
        """Such as "dropped 3: pictures that are in test too, e.g. a/1.png"."""
        count = "" if self.kind == "assumed" and self.count == 1 else f" {self.count:,}"
        return f"{self.kind}{count}: {self.what}" + (f", e.g. {shown(self.example)}" if self.example else "")


class Notes:
    """Collects notes: those of one kind about one thing are counted together, under the first example."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Note] = {}

    def add(self, kind: str, what: str, example: str = "", *, count: int = 1, key: str = "") -> None:
        """Counts `count` more of it; see `Note`."""
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is none of {KINDS}")
        if count:
            before = self._found.get((kind, what), Note(kind, what, 0, example, key))
            self._found[kind, what] = replace(before, count=before.count + count)

    @property
    def all(self) -> tuple[Note, ...]:
        """The notes, what is dropped first."""
        return tuple(sorted(self._found.values(), key=lambda note: KINDS.index(note.kind)))

    @property
    def counts(self) -> Mapping[str, int]:
        """What changes the data, by the names of records."""
        found: dict[str, int] = {}
        for note in self._found.values():
            if note.key:
                found[note.key] = found.get(note.key, 0) + note.count
        return found
