"""The answer in three sentences, from the statistics: what is best, what beats full fine-tuning, at what cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import mean

from bench.report import style
from bench.report.data import differences
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration
from bench.report.data.names import headings
from bench.report.data.ranks import saturation
from bench.stats import noise_floor

_NAMED = 4  # configurations, before the rest is counted


def answer(groups: Sequence[Group]) -> list[str]:
    """Up to three sentences; "no significant difference" where so.

    Args:
        groups: with configurations; of several devices or protocols those that most have.
    """
    kept = differences.comparable(groups)
    names = headings(kept)
    last = _forgotten(kept, names) or _enough(kept, names) or _cheapest(kept, names)
    sentences = [_leaders(kept, names), _from_full(kept, names), last]
    return [sentence for sentence in sentences if sentence]


def _leaders(groups: Sequence[Group], names: Sequence[str]) -> str:
    """Who is first on each task, and how many show no significant difference from it."""
    parts = []
    for group, name in zip(groups, names, strict=True):
        best, others = differences.best(group), len(group.configurations) - 1
        text = f"on {name} {best.label} ({best.score.mean:.3f}"
        if not others:
            parts.append(f"{text}), which is alone")
            continue
        found = differences.against(group, best)
        alike, few = (sum(one.verdict == kind for one in found) for kind in (differences.SAME, differences.UNDECIDED))
        told = [f"{alike} with {differences.SAME}"] * (few < others)
        told += [f"{few} {differences.undecided(found)}"] * bool(few)
        parts.append(f"{text}; of {others} others {', '.join(told)})")
    return f"The best mean has {_listed(parts)}."


def _from_full(groups: Sequence[Group], names: Sequence[str]) -> str:
    """What is better or worse than full fine-tuning."""
    parts = []
    for group, name in zip(groups, names, strict=True):
        base = differences.full(group)
        if base is None or len(group.configurations) < 2:
            continue
        better, worse, rest = _sorted(differences.against(group, base))
        said = [f"{_some(better)} {differences.BETTER}"] * bool(better)
        said += [f"{_some(worse)} {differences.WORSE}"] * bool(worse)
        parts.append(f"on {name} {', '.join(said + _alike_too(rest, others=bool(said)))}")
    sure = "paired by seed, 95% intervals one by one, of which one in twenty leaves 0 out by chance"
    return f"Against full fine-tuning ({sure}): {'; '.join(parts)}." if parts else ""


def _forgotten(groups: Sequence[Group], names: Sequence[str]) -> str:
    """Who has more or less left of an old task than full fine-tuning."""
    parts = []
    for group, name in zip(groups, names, strict=True):
        base = differences.full(group)
        if base is None or not base.retained or not base.untouched:
            continue
        others = [c for c in group.configurations if c is not base]
        more, less, rest = _sorted([differences.Comparison(c, differences.kept(c, base)) for c in others])
        said = [f"more with {_some(more)}"] * bool(more) + [f"less with {_some(less)}"] * bool(less)
        said += _alike_too(rest, others=bool(said))
        after, before = (mean(values.values()) for values in (base.retained, base.untouched))
        parts.append(
            f"on {name} full fine-tuning leaves {after:.3f} of {base.old_task}'s {before:.3f}, {', '.join(said)}"
        )
    return f"Of the old task, paired by seed: {'; '.join(parts)}." if parts else ""


def _sorted(
    found: Sequence[differences.Comparison],
) -> tuple[list[Configuration], list[Configuration], list[differences.Comparison]]:
    """What is significantly higher, what lower, and the rest."""
    higher = [one.configuration for one in found if one.verdict == differences.BETTER]
    lower = [one.configuration for one in found if one.verdict == differences.WORSE]
    return higher, lower, [one for one in found if one.verdict in (differences.SAME, differences.UNDECIDED)]


def _alike_too(rest: Sequence[differences.Comparison], *, others: bool) -> list[str]:
    """How many show no significant difference, and of how many nothing is decided."""
    alike, few = (sum(one.verdict == kind for one in rest) for kind in (differences.SAME, differences.UNDECIDED))
    other = "the other " * (others and not (alike and few))
    said = [f"{differences.SAME} for {other}{alike}"] * bool(alike)
    return said + [f"{other}{few} {differences.undecided(rest)}"] * bool(few)


def _enough(groups: Sequence[Group], names: Sequence[str]) -> str:
    """How much rank is enough, where ranks were swept."""
    found = [(name, one) for group, name in zip(groups, names, strict=True) if (one := saturation(group))]
    said = [f"on {name} {one}" for name, one in found]
    sure = "in parentheses the range over resampled seeds"
    return f"The smallest rank within the noise floor of the best rank ({sure}): {_listed(said)}." if said else ""


def _cheapest(groups: Sequence[Group], names: Sequence[str]) -> str:
    """The fewest parameters with a mean within the noise floor of the best, and no significant difference from it.

    The latter is not enough: with wide intervals it holds of what is six points worse.
    """
    parts = []
    for group, name in zip(groups, names, strict=True):
        best = differences.best(group)
        floor = noise_floor([c.score.values for c in group.configurations]) or 0.0
        found = differences.against(group, best)
        if all(one.verdict == differences.UNDECIDED for one in found):
            continue  # one seed, or none beside it
        alike = [one.configuration for one in found if _alike(one, floor)]
        smallest = min([best, *alike], key=lambda c: c.backbone)
        size = f"{smallest.backbone:,} backbone parameters" if smallest.backbone else "no backbone parameter"
        memory = f", {style.size(smallest.memory)} of memory" if smallest.memory else ""
        parts.append(f"on {name} {smallest.label} with {size}{memory}")
    said = "The smallest within the noise floor of the best mean, with no significant difference from it"
    return f"{said}: {_listed(parts)}." if parts else ""


def _alike(one: differences.Comparison, floor: float) -> bool:
    return one.verdict == differences.SAME and one.difference is not None and one.difference.mean >= -floor


def _some(configurations: Sequence[Configuration]) -> str:
    labels = [c.label for c in configurations]
    kept = labels if len(labels) <= _NAMED + 1 else labels[:_NAMED]
    rest = len(labels) - len(kept)
    return _listed([*kept, f"{rest} more"] if rest else kept)


def _listed(parts: Iterable[str]) -> str:
    """a, b and c"""
    known = list(parts)
    return " and ".join([", ".join(known[:-1])] * (len(known) > 1) + known[-1:])
