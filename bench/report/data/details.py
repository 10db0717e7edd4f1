"""What a label says beside a method's name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.report.style import short


def told(own: Mapping[str, Any], alike: Sequence[Mapping[str, Any]]) -> str:
    """The rank of one configuration, and the fields in which it differs from others of its name: places, and what more
    than half of them have otherwise.
    """
    known = {key: value for key, value in own.items() if value is not None}
    same = {key: sum(other.get(key) == value for other in alike) for key, value in known.items()}
    most = {key: len(alike) - 1 if key in ("at", "blocks") else len(alike) / 2 for key in known}
    return " ".join(short(key, value) for key, value in known.items() if key == "rank" or same[key] <= most[key])
