"""What groups are called in file names, titles and tables: as briefly as tells them apart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from bench.report.data.groups import Group


def slugs(groups: Sequence[Group]) -> list[str]:
    """A part of a file name for each group: its task's name; the model, device and a hash only where needed."""
    return _shortest(
        [
            (_slug(g.task), _slug(g.variant), _slug(g.subject), f"{_slug(g.subject, g.device)}-{g.digest}")
            for g in groups
        ]
    )


def headings(groups: Sequence[Group]) -> list[str]:
    """A column's heading for each group: its task's name, and more only where that is not enough."""
    return _shortest([
        (f"{g.task}{end}", f"{g.variant}{end}", f"{g.subject}{end}", f"{g.subject}, {g.device}{end}",
         f"{g.variant}, {g.model}, {g.device}{end}", g.specs.rstrip("."))
        for g, end in zip(groups, _protocols(groups), strict=True)
    ])  # fmt: skip


def titles(groups: Sequence[Group]) -> list[str]:
    """A panel's title for each group: task and model, or what of the task differs; where devices differ, the device."""
    device = len({group.device for group in groups}) > 1
    return _shortest([
        (f"{g.subject}{f', {g.device}' * device}{end}", f"{g.variant}, {g.model}{f', {g.device}' * device}{end}",
         g.specs.rstrip("."))
        for g, end in zip(groups, _protocols(groups), strict=True)
    ])  # fmt: skip


def _protocols(groups: Sequence[Group]) -> list[str]:
    """The end of each one's name: nothing for those of the latest protocol, ", protocol 1" for others."""
    latest = max((group.protocol for group in groups), default=0)
    return [f", protocol {group.protocol}" * (group.protocol < latest) for group in groups]


def _slug(*parts: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", " ".join(parts).lower()).strip("-")


def _shortest(options: Sequence[Sequence[str]]) -> list[str]:
    """For each thing the first of its names that no other bears.

    Args:
        options: for each thing its names, from short to long, as many for each.
    """
    level = [0] * len(options)
    while True:
        chosen = [names[at] for names, at in zip(options, level, strict=True)]
        times = Counter(chosen)
        unclear = [n for n, name in enumerate(chosen) if times[name] > 1 or not name]
        longer = [n for n in unclear if level[n] + 1 < len(options[n])]
        if not longer:
            return chosen
        for number in longer:
            level[number] += 1
