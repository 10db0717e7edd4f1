"""Records as people read them: what a name in somebody's data could do to a page or a terminal is taken out of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters (a terminal's colours), other ends of lines, and marks that turn the direction of writing."""
_BREAKS = re.compile(r"[\t\n]+")
_TAG, _LINK = re.compile(r"<(?=[A-Za-z/!?])"), re.compile(r"\](?=[(:])")
_RISKY = re.compile(f"{_CONTROL.pattern}|{_BREAKS.pattern}|{_TAG.pattern}|{_LINK.pattern}")
_FORMULA = re.compile(r"[=+\-@\t\r]")
_LINES = ("reason",)
"""Fields that are several lines; pages show the first."""


def displayed(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record with all texts as they may stand on a page, in a figure and on a terminal; itself where they may.

    Control characters are written as escapes, a tag's `<` as ‹, and what would make a link of brackets is moved apart.
    """
    found: Mapping[str, Any] = _within(record)
    return found


def _within(value: Any, key: str = "") -> Any:
    if isinstance(value, str):
        return _text(value, lines=key in _LINES) if _RISKY.search(value) else value
    if isinstance(value, Mapping):
        made = {_within(name): _within(inner, name) for name, inner in value.items()}
        same = all(name is old and made[name] is value[old] for name, old in zip(made, value, strict=False))
        return value if same and len(made) == len(value) else made
    if isinstance(value, list):
        items = [_within(inner, key) for inner in value]
        return value if all(one is old for one, old in zip(items, value, strict=True)) else items
    return value


def _text(text: str, *, lines: bool) -> str:
    text = _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    return _LINK.sub("] ", _TAG.sub("‹", text if lines else _BREAKS.sub(" ", text)))


def uncalculated(text: str) -> str:
    """A text in a cell of a CSV file: a spreadsheet reads `'=1+1` as a text and `=1+1` as something to do."""
    text = _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    return f"'{text}" if _FORMULA.match(text) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
