"""Bytes as people write them."""

from __future__ import annotations

import re

from bench.errors import BadInput

UNITS = {"": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "kb": 10**3, "mb": 10**6, "gb": 10**9}
UNITS |= {"tb": 10**12, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "b": 1}
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
