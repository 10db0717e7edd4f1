"""Texts made worse, at five severities: typos, and a text that breaks off.

By a rule of a few lines: the libraries that do more (nlpaug 1.1.11, of 2022; textattack) are not kept, or bring
hundreds of megabytes for what is one line here.

- typos: a word of four letters or more is misspelt with probability .1, .2, .3, .4, .5: two neighbouring letters inside
  it change places, one is left out, or one is doubled, with equal chance. First and last letter stay.
- truncation: the first .8, .6, .4, .3, .2 of the words are left, at least one.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable
from math import ceil

TYPOS = (0.1, 0.2, 0.3, 0.4, 0.5)
LEFT = (0.8, 0.6, 0.4, 0.3, 0.2)
_WORD = re.compile(r"[^\W\d_]{4,}")
_BREAKS = re.compile(r"\S+\s*")


def misspelt(text: str, severity: int) -> str:
    """A text with typos; the same text has the same ones at a severity."""
    dice = random.Random(hashlib.sha256(f"{severity} {text}".encode()).digest())

    def word(found: re.Match[str]) -> str:
        letters = found[0]
        if dice.random() >= TYPOS[severity - 1]:
            return letters
        at, how = dice.randrange(1, len(letters) - 2), dice.randrange(3)
        if how == 0:
            return letters[:at] + letters[at + 1] + letters[at] + letters[at + 2 :]
        return letters[:at] + letters[at + 1 :] if how == 1 else letters[: at + 1] + letters[at:]

    return _WORD.sub(word, text)


def truncated(text: str, severity: int) -> str:
    """The beginning of a text."""
    words = _BREAKS.findall(text)
    return "".join(words[: max(1, ceil(LEFT[severity - 1] * len(words)))]).rstrip() or text


CORRUPTIONS: dict[str, Callable[[str, int], str]] = {"typos": misspelt, "truncation": truncated}
"""By name, what is done to a text at severity 1 to 5."""
