"""Names of classes as people and tools write them: what is one name, and what only looks like it."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from bench.errors import shown
from bench.tasks.data_notes import Notes

_BLANK = r"[\s\ufeff\u200b-\u200f\u2060]+"
AROUND = re.compile(f"^{_BLANK}|{_BLANK}$")
"""Blanks and marks without width around a name, such as a byte order mark within a file."""
WHOLE = re.compile(r"[+-]?(0|[1-9][0-9]{0,17})(\.0*)?")
"""A whole number, whichever way it is written: 1, +1, 1.0. Zeros before it may be part of a name."""
ABSENT = frozenset({"NaN", "#N/A", "<NA>", "#N/A N/A"})
"""What only programs write, for nothing."""
UNSURE = frozenset({"nan", "null", "none", "na", "n/a"})
"""What may stand for nothing or be a name: "nan" is a language, NA a country. In any case of letters."""


def tidy(name: str) -> str:
    """The name composed as Unicode's NFC has it, without blanks around it: macOS writes é as two characters."""
    return unicodedata.normalize("NFC", AROUND.sub("", name))


def absent(names: Collection[str]) -> frozenset[str]:
    """Those names that are none: NaN, and in any case of letters where all others are numbers."""
    numbers = all(WHOLE.fullmatch(name) for name in names if name and name.casefold() != "nan")
    return frozenset(name for name in names if name in ABSENT or (numbers and name.casefold() == "nan"))


def one_spelling(names: Collection[str]) -> Mapping[str, str]:
    """What to call those numbers that are written in two ways; empty unless all names are whole numbers."""
    if not all(WHOLE.fullmatch(name) for name in names):
        return {}
    ways: dict[int, list[str]] = defaultdict(list)
    for name in sorted(names):
        ways[int(name.partition(".")[0])].append(name)
    if all(len(those) == 1 for those in ways.values()):
        return {}
    return {name: str(number) for number, those in ways.items() for name in those}


def say_alike(names: Iterable[str], notes: Notes) -> None:
    """Says which classes differ in nothing but case of letters, and which may stand for no class."""
    ways: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        ways[name.casefold()].append(name)
    for folded, those in ways.items():
        if len(those) > 1:
            named = ", ".join(shown(name, 40) for name in those[:4])
            notes.add("assumed", "names that differ only in capitals are different classes", named)
        if folded in UNSURE:
            notes.add("assumed", "a name that may mean that there is none is taken as a class", those[0])
