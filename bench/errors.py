"""What a user got wrong, said in one line that tells what to do."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache


class BadInput(ValueError):
    """A mistake of the caller's. The command line prints its one line and exits with code 2."""


def unknown(kind: str, name: str, known: Iterable[str]) -> BadInput:
    """The error for a name that is not in `known`, with the nearest known name or all of them.

    Args:
        kind: what the name stands for, e.g. "method".
        name: what was asked for.
        known: every name that would have done.

    Returns:
        An exception to raise: "unknown method 'LorA': did you mean 'LoRA'?"
    """
    names = sorted(known)
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
