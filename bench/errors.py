"""What a user got wrong, said in one line that tells what to do."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from functools import cache
from reprlib import Repr

LONGEST = 1200
"""Characters of a message: what it repeats may be a file."""

NEAREST = 3
"""Names that a mistake is answered with at most."""
FEW = 8
"""Names that may all be said, where none is near."""
LISTED_BY = {
    "method": "bench methods",
    "model": "bench models PATTERN",
    "detector": "bench models",
    "task": "bench tasks",
    "image set": "bench tasks",
    "text set": "bench tasks",
    "set for detection": "bench tasks",
    "set of GLUE": "bench tasks",
    "asset": "bench assets",
    "study": "bench studies",
}
"""The command that lists all names of a kind."""


class BadInput(ValueError):
    """A mistake of the caller's. The command line prints its one line and exits with code 2."""

    def __init__(self, message: str) -> None:
        super().__init__(shown(message, LONGEST))


def shown(value: object, most: int = 80) -> str:
    """A value from outside as a message may repeat it: printable, on one line, at most `most` characters.

    Control characters, marks that turn the direction of writing and bytes that are no text are written as escapes.
    """
    if not isinstance(value, str):
        try:
            brief = Repr()
            brief.maxlevel = 3
            value = brief.repr(value)
        except (ValueError, RecursionError):  # a number of more digits than Python writes
            return f"a value of type {type(value).__name__}"
    if len(value) > most:
        value = f"{value[: most * 2 // 3]} … {value[len(value) - most // 3 :]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in value)


def unknown(kind: str, name: str, known: Iterable[str]) -> BadInput:
    """The error for a name that is not in `known`: the few nearest names, never a long list of all.

    Args:
        kind: what the name stands for, e.g. "method".
        name: what was asked for.
        known: every name that would have done.

    Returns:
        An exception to raise: "unknown method 'LorA': did you mean 'LoRA'?" Where no name is near: all of a few names,
        or else the command that lists them.
    """
    names, said = sorted(set(known)), shown(name, 60)
    if near := nearest(name, names):
        return BadInput(f"unknown {kind} {said!r}: did you mean {either([repr(n) for n in near])}?")
    if len(names) <= FEW:
        return BadInput(f"unknown {kind} {said!r}: known: {', '.join(names) or 'none'}")
    if kind in LISTED_BY:
        return BadInput(f"unknown {kind} {said!r}: {LISTED_BY[kind]} lists the {len(names):,} there are")
    return BadInput(f"unknown {kind} {said!r}: known: {', '.join(names[:FEW])} and {len(names) - FEW} more")


def nearest(name: str, names: Sequence[str]) -> list[str]:
    """The few names that somebody who wrote `name` may have meant, the likeliest first.

    Those that are written nearly alike (difflib's ratio, capitals apart), then the shortest that contain it.
    """
    wanted = name[:100].lower()
    match = SequenceMatcher(b=wanted, autojunk=False)
    alike: list[tuple[float, str]] = []
    for each in names:
        match.set_seq1(each.lower())
        if match.real_quick_ratio() >= 0.5 and match.quick_ratio() >= 0.5 and (ratio := match.ratio()) >= 0.5:
            alike.append((ratio, each))
    alike.sort(key=lambda pair: (-pair[0], len(pair[1]), pair[1]))
    best = alike[0][0] if alike else 0.0
    close = [each for ratio, each in alike if ratio >= best - 0.15 and (best < 1 or ratio == 1)]
    if best < 0.7 and len(wanted) > 2:  # a part of a name is a surer sign than a weak likeness
        inside = sorted((each for each in names if wanted in each.lower()), key=lambda each: (len(each), each))
        close = inside + [each for each in close if each not in inside]
    return close[:NEAREST]


def either(names: Sequence[str]) -> str:
    """Such as "a, b or c"."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


@cache
def say_once(text: str) -> None:
    """Warns, and never again with the same words: what is true of the data is as true of every run on them.

    Python's own "once" forgets whenever a library touches the filters.
    """
    warnings.warn(text, stacklevel=3)
