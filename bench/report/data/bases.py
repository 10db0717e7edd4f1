"""Groups that differ in nothing but how the frozen base is stored: one task and network in fp32, bf16, int8, nf4."""

from __future__ import annotations

from collections.abc import Iterable

from bench.report.data.groups import Group


def alike(group: Group, groups: Iterable[Group]) -> list[Group]:
    """All that differ from one in the base alone, and the one itself."""
    return [other for other in groups if _what(other) == _what(group)]


def in_fp32(group: Group, groups: Iterable[Group]) -> Group | None:
    """Of those the one whose base is in fp32; None for that one itself, and where there is none."""
    return next((other for other in alike(group, groups) if not other.base), None) if group.base else None


def _what(group: Group) -> tuple[object, ...]:
    return group.variant, group.records[0]["model"]["name"], group.device, group.protocol
