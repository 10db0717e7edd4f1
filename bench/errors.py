"""What a user got wrong, said in one line that tells what to do."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from reprlib import Repr

LONGEST = 1200
"""Characters of a message: what it repeats may be a file."""


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
    """The error for a name that is not in `known`, with the nearest known name or all of them.

    Args:
        kind: what the name stands for, e.g. "method".
        name: what was asked for.
        known: every name that would have done.

    Returns:
        An exception to raise: "unknown method 'LorA': did you mean 'LoRA'?"
    """
    names, name = sorted(known), shown(name, 200)
    lowered = {n.lower(): n for n in reversed(names)}
    near = get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
    hint = f"did you mean {lowered[near[0]]!r}?" if near else f"known: {', '.join(names) or 'none'}"
    return BadInput(f"unknown {kind} {name!r}: {hint}")


@cache
def say_once(text: str) -> None:
    """Warns, and never again with the same words: what is true of the data is as true of every run on them.

    Python's own "once" forgets whenever a library touches the filters.
    """
    warnings.warn(text, stacklevel=3)
