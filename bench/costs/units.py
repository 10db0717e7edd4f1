"""Bytes, counts and times as people write them."""

from __future__ import annotations

import re

from bench.errors import BadInput

UNITS = {"": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "kb": 10**3, "mb": 10**6, "gb": 10**9}
UNITS |= {"tb": 10**12, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "b": 1}
_TIMES = {"ms": 1e-3, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "": 1.0}
_COUNTS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}
_SCALES = ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB"), (0, "B"))


def size(text: str) -> int:
    """Bytes of "16GiB", "24 GB", "800MiB" or a plain number.

    Raises:
        BadInput: it is no such size.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", text)
    if found is None or found[2].lower() not in UNITS or float(found[1]) <= 0:
        raise BadInput(f"{text!r} is no size of a memory: write 16GiB, 24GB or 800MiB")
    return int(float(found[1]) * UNITS[found[2].lower()])


def readable(n: int) -> str:
    """Bytes for people: "5.21 GiB", "1,010 MiB"."""
    power, unit = next(scale for scale in _SCALES if n >= 2 ** scale[0] or scale[0] == 0)
    value = n / 2**power
    return f"{value:,.0f} {unit}" if value >= 100 or power == 0 else f"{value:.3g} {unit}"


def seconds(text: str) -> float:
    """Seconds of "30m", "2 h", "1h30m", "20ms" or a plain number.

    Raises:
        BadInput: it is no such time.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)", text)
    whole = "".join(number + unit for number, unit in parts) == re.sub(r"\s", "", text)
    if not parts or not whole or any(unit.lower() not in _TIMES for _, unit in parts):
        raise BadInput(f"{text!r} is no time: write 30m, 2h, 1h30m, 90s or 20ms")
    found = sum(float(number) * _TIMES[unit.lower()] for number, unit in parts)
    if found <= 0:
        raise BadInput(f"{text!r} is no time: write more than 0")
    return found


def number(text: str) -> int:
    """A count: "1M", "300k", "18,432".

    Raises:
        BadInput: it is none.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]?)\s*", text.replace(",", "").replace("_", ""))
    if found is None or found[2].lower() not in _COUNTS:
        raise BadInput(f"{text!r} is no number: write 1M, 300k or 18,432")
    return int(float(found[1]) * _COUNTS[found[2].lower()])
