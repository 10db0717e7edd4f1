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
from bench.stats import Difference, noise_floor

_NAMED = 4  # configurations, before the rest is counted


def answer(groups: Sequence[Group]) -> list[str]:
    """Up to three sentences; "no difference seen" where so.

    Args:
        groups: with configurations; of several devices or protocols those that most have.
    """
    kept = differences.comparable(groups)
    names = headings(kept)
    last = _forgotten(kept, names) or _enough(kept, names) or _cheapest(kept, names)
    sentences = [_leaders(kept, names), _from_full(kept, names), last]
    return [sentence for sentence in sentences if sentence]


def _leaders(groups: Sequence[Group], names: Sequence[str]) -> str:
    """Who is first on each task, and how many cannot be told from it."""
    parts = []
    for group, name in zip(groups, names, strict=True):
        best, others = differences.best(group), len(group.configurations) - 1
        text = f"on {name} {best.label} ({best.score.mean:.3f}"
        if not others:
            parts.append(f"{text}), which is alone")
            continue
        known = [one for one in differences.against(group, best) if one.difference and one.difference.interval]
        alike = sum(not one.difference.seen for one in known if one.difference)
        told = (
            f"of {len(known)} others {alike} cannot be told from it" if known else "one seed: nothing can be told apart"
        )
        parts.append(f"{text}; {told})")
    return f"The best mean has {_listed(parts)}."


def _from_full(groups: Sequence[Group], names: Sequence[str]) -> str:
    """What is better or worse than full fine-tuning."""
    parts = []
    for group, name in zip(groups, names, strict=True):
        base = differences.full(group)
        if base is None or len(group.configurations) < 2:
            continue
        found = [(one.configuration, one.difference) for one in differences.against(group, base)]
        better, worse, rest = _sorted(found)
        said = [f"{_some(better)} better"] * bool(better) + [f"{_some(worse)} worse"] * bool(worse)
        said += _alike_too(rest, others=bool(said))
        parts.append(f"on {name} {', '.join(said) or 'one seed, no interval'}")
    sure = "paired by seed, 95% intervals one by one, of which one in twenty leaves 0 out by chance"
    return f"Against full fine-tuning ({sure}): {'; '.join(parts)}." if parts else ""


def _forgotten(groups: Sequence[Group], names: Sequence[str]) -> str:
    """Who has more or less left of an old task than full fine-tuning."""
    parts = []
    for group, name in zip(groups, names, strict=True):
        base = differences.full(group)
        if base is None or not base.retained or not base.untouched:
            continue
        found = [(c, differences.kept(c, base)) for c in group.configurations if c is not base]
        more, less, rest = _sorted(found)
        said = [f"more with {_some(more)}"] * bool(more) + [f"less with {_some(less)}"] * bool(less)
        said += _alike_too(rest, others=bool(said))
        after, before = (mean(values.values()) for values in (base.retained, base.untouched))
        words = ", ".join(said) or "one seed, no interval"
        parts.append(f"on {name} full fine-tuning leaves {after:.3f} of {base.old_task}'s {before:.3f}, {words}")
    return f"Of the old task, paired by seed: {'; '.join(parts)}." if parts else ""


def _sorted(
    found: Iterable[tuple[Configuration, Difference | None]],
) -> tuple[list[Configuration], list[Configuration], int]:
    """What is seen to be higher, what lower, and how many have an interval that tells nothing."""
    known = [(c, one) for c, one in found if one and one.interval]
    higher = [c for c, one in known if one.seen and one.mean > 0]
    lower = [c for c, one in known if one.seen and one.mean < 0]
    return higher, lower, len(known) - len(higher) - len(lower)


def _alike_too(number: int, *, others: bool) -> list[str]:
    """Those of which no difference is seen, if any."""
    return [f"no difference seen for {'the other ' * others}{number}"] * bool(number)


def _enough(groups: Sequence[Group], names: Sequence[str]) -> str:
    """How much rank is enough, where ranks were swept."""
    found = [(name, one) for group, name in zip(groups, names, strict=True) if (one := saturation(group))]
    said = [f"on {name} {one}" for name, one in found]
    sure = "in parentheses the range over resampled seeds"
    return f"The smallest rank within the noise floor of the best rank ({sure}): {_listed(said)}." if said else ""


def _cheapest(groups: Sequence[Group], names: Sequence[str]) -> str:
    """The fewest parameters with a mean within the noise floor of the best, and not told apart from it.

    Not told apart is not enough: with wide intervals that holds of what is six points worse.
    """
    parts = []
    for group, name in zip(groups, names, strict=True):
        best = differences.best(group)
        floor = noise_floor([c.score.values for c in group.configurations]) or 0.0
        found = differences.against(group, best)
        if not any(one.difference and one.difference.interval for one in found):
            continue  # one seed: nothing can be told apart
        alike = [one.configuration for one in found if _alike(one, floor)]
        smallest = min([best, *alike], key=lambda c: c.backbone)
        size = f"{smallest.backbone:,} backbone parameters" if smallest.backbone else "no backbone parameter"
        memory = f", {style.size(smallest.memory)} of memory" if smallest.memory else ""
        parts.append(f"on {name} {smallest.label} with {size}{memory}")
    said = "The smallest within the noise floor of the best mean, and not told apart from it"
    return f"{said}: {_listed(parts)}." if parts else ""


def _alike(one: differences.Comparison, floor: float) -> bool:
    found = one.difference
    return bool(found and found.interval and not found.seen and found.mean >= -floor)


def _some(configurations: Sequence[Configuration]) -> str:
    labels = [c.label for c in configurations]
    kept = labels if len(labels) <= _NAMED + 1 else labels[:_NAMED]
    rest = len(labels) - len(kept)
    return _listed([*kept, f"{rest} more"] if rest else kept)


def _listed(parts: Iterable[str]) -> str:
    """a, b and c"""
    known = list(parts)
    return " and ".join([", ".join(known[:-1])] * (len(known) > 1) + known[-1:])
