"""The answer in a few short sentences a task, from the statistics: what is best, what beats full fine-tuning, at what
cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from statistics import mean

from bench.report import style
from bench.report.data import differences
from bench.report.data.bases import in_fp32
from bench.report.data.differences import BETTER, SAME, UNDECIDED, WORSE, Comparison
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration
from bench.report.data.names import headings
from bench.report.data.ranks import saturation
from bench.report.tables import costs
from bench.stats import noise_floor

ABOUT = (
    "Differences are paired by seed. Every 95% interval stands alone: of twenty pairs that are truly alike, one looks "
    "significantly different by chance."
)
_NAMED = 4  # configurations, before the rest is counted


def answer(groups: Sequence[Group]) -> list[str]:
    """A few sentences a task.

    Args:
        groups: with configurations; of several devices those that most have.
    """
    kept = differences.by_protocol(groups)
    named = zip(kept, headings(kept), strict=True)
    return [f"{name}: {' '.join(_of_task(group, in_fp32(group, kept)))}" for group, name in named]


def in_brief(groups: Sequence[Group]) -> list[str]:
    """A task in a sentence or two: what has the highest mean; then the old task, or how much rank is enough."""
    kept = differences.by_protocol(groups)
    named = zip(kept, headings(kept), strict=True)
    return [" ".join([f"{name}: {_leader(g)}", _retained(g) or _enough(g)]).rstrip() for g, name in named]


def of_costs(groups: Sequence[Group]) -> str:
    """What memory full fine-tuning and the thriftiest method take on the largest network; "" where none is known."""
    known = [group for group in groups if costs.has_memory([group])]
    if not known:
        return ""
    group = max(known, key=costs.size)
    n = costs.typical([group])
    peaks = {c: found[n]["peak"] for c in group.configurations if n in (found := costs.estimated(c))}
    least = min(peaks, key=lambda c: (peaks[c], c.label))
    text = f"{costs.network(group)}, batch {n}, estimated GPU memory of training: {least.label} takes the least, "
    text += style.size(peaks[least])
    whole = next((c for c in group.of(differences.FULL) if c in peaks), None)
    if whole is None or whole is least:
        return f"{text}."
    return f"{text}; full fine-tuning takes {style.size(peaks[whole])} ({peaks[whole] / peaks[least]:.2g} times)."


def _of_task(group: Group, plain: Group | None) -> Iterator[str]:
    yield _leader(group)
    yield from _from_plain(group, plain) if plain else ()
    if len(group.configurations) > 1:
        yield from _from_full(group)
        yield _retained(group) or _enough(group) or _cheapest(group)


def _from_plain(group: Group, plain: Group) -> Iterator[str]:
    """What a base that is stored in less costs in score and saves in memory, for each configuration on both."""
    known = {c.label: c for c in plain.configurations}
    for c in group.configurations:
        other = known.get(c.label)
        found = differences.difference(c, other) if other else None
        if other is None or found is None:
            continue
        low, high = (style.signed(100 * end) for end in found.interval or (0.0, 0.0))
        ends = f" ({low} to {high})" if found.interval else ""
        text = f"On this base {c.label} has {style.signed(100 * found.mean)} points{ends} against fp32"
        saved = f", and takes {c.memory / other.memory:.0%} of its memory" if c.memory and other.memory else ""
        yield f"{text}: {differences.verdict(found)}{saved}."


def _leader(group: Group) -> str:
    """Which configuration has the best mean, and how many show no significant difference from it."""
    best = differences.best(group)
    top = "lowest" if group.metric in style.LOWER_IS_BETTER else "highest"
    of = "" if group.metric == "top1" else f" {style.metric_name(group.metric)}"
    text = f"{best.label} has the {top} mean{of}, {best.score.mean:.3f}"
    others = _others(differences.against(group, best))
    return f"{text}; {others}." if others else f"{text}; it is the only configuration."


def _others(found: Sequence[Comparison]) -> str:
    """How many of the others do not differ significantly from the best; "" where it is alone."""
    alike, few, n = _times(found, SAME), _times(found, UNDECIDED), len(found)
    if not n:
        return ""
    if few == n:
        return f"whether the other{' differs' if n == 1 else 's differ'} is {differences.undecided(found)}"
    if alike == n:
        said = "the other does not differ significantly" if n == 1 else f"none of the {n} others differs significantly"
    elif not alike and not few:
        said = "the other is significantly worse" if n == 1 else f"all {n} others are significantly worse"
    else:
        said = f"{alike} of the {n} others {'does' if alike == 1 else 'do'} not differ significantly"
    return f"{said}; {few} {'is' if few == 1 else 'are'} {differences.undecided(found)}" if few else said


def _times(found: Sequence[Comparison], verdict: str) -> int:
    return sum(one.verdict == verdict for one in found)


def _named(found: Sequence[Comparison], verdict: str) -> list[str]:
    return [one.configuration.label for one in found if one.verdict == verdict]


def _from_full(group: Group) -> Iterator[str]:
    """What is significantly better or worse than full fine-tuning."""
    base = differences.full(group)
    if base is None:
        return
    found = differences.against(group, base)
    better, worse = _named(found, BETTER), _named(found, WORSE)
    if better:
        yield f"Significantly better than full fine-tuning: {_some(better)}."
    if worse:
        yield f"Significantly worse{' than full fine-tuning' * (not better)}: {_some(worse)}."
    if base is differences.best(group):
        return  # the rest is said already
    yield from _rest(found, than="" if better or worse else " from full fine-tuning")


def _rest(found: Sequence[Comparison], *, than: str) -> Iterator[str]:
    """Those that show no significant difference, and those of which nothing is decided."""
    alike, few = _named(found, SAME), _named(found, UNDECIDED)
    if alike:
        said = f"all {len(found)} others" if len(alike) == len(found) > _NAMED else _some(alike)
        yield f"No significant difference{than}: {said}."
    if few:
        yield f"{differences.undecided(found).capitalize()} ({_some(few)})."


def _retained(group: Group) -> str:
    """The old task, under a head that is fitted again where that was measured, else under its old one."""
    base = differences.full(group)
    if base is None or not base.retained or not base.untouched:
        return ""
    before, drifted = mean(base.untouched.values()), mean(base.retained.values())
    if not base.on_old_task("refitted"):
        said = (
            f"{base.old_task} under the head of the untouched network, never fitted again: {before:.3f} before "
            f"training, {drifted:.3f} after full fine-tuning. A fall shows that the features drifted; what they still "
            "tell was not measured."
        )
        return " ".join([said, *_kept(group, base, "retained", more="less drift", less="more drift", of="drift")])
    after = mean(base.on_old_task("refitted").values())
    said = (
        f"{base.old_task} with its head fitted again: {before:.3f} before training, {after:.3f} after full fine-tuning "
        f"({drifted:.3f} under the old head, where drift of the features counts too)."
    )
    return " ".join(
        [said, *_kept(group, base, "refitted", more="more retained", less="less retained", of="retained accuracy")]
    )


def _kept(group: Group, base: Configuration, way: str, *, more: str, less: str, of: str) -> Iterator[str]:
    """Who differs from full fine-tuning on the old task."""
    found = [Comparison(c, differences.kept(c, base, way)) for c in group.configurations if c is not base]
    for verdict, what in ((BETTER, more), (WORSE, less)):
        if named := _named(found, verdict):
            yield f"Significantly {what}: {_some(named)}."
    yield from _rest(found, than=f" in {of}")


def _enough(group: Group) -> str:
    """How much rank is enough, where ranks were swept."""
    found = saturation(group)
    if found is None:
        return ""
    low, high = found.interval
    label = next(c.label for c in found.ranks if c.rank == found.rank)
    sure = f" (rank {low} to {high} when seeds are resampled)" if low < high else ""
    return f"The smallest rank within the noise floor ({found.delta:.3f}) of the best rank: {label}{sure}."


def _cheapest(group: Group) -> str:
    """The fewest parameters with a mean within the noise floor of the best, and no significant difference from it.

    The latter is not enough: with wide intervals it holds of what is six points worse.
    """
    best = differences.best(group)
    floor = noise_floor([c.score.values for c in group.configurations]) or 0.0
    found = differences.against(group, best)
    if all(one.verdict == UNDECIDED for one in found):
        return ""  # one seed, or none beside it
    alike = [one.configuration for one in found if _alike(one, floor)]
    smallest = min([best, *alike], key=lambda c: c.backbone)
    size = f"{smallest.backbone:,} backbone parameters" if smallest.backbone else "no backbone parameters"
    memory = f", {style.size(smallest.memory)} of memory" if smallest.memory else ""
    return (
        f"The fewest parameters without a significant difference from the best mean and within the noise floor "
        f"({floor:.3f}) of it: {smallest.label}, {size}{memory}."
    )


def _alike(one: Comparison, floor: float) -> bool:
    return one.verdict == SAME and one.difference is not None and one.difference.mean >= -floor


def _some(labels: Sequence[str]) -> str:
    kept = labels if len(labels) <= _NAMED + 1 else labels[:_NAMED]
    rest = len(labels) - len(kept)
    return _listed([*kept, f"{rest} more"] if rest else kept)


def _listed(parts: Iterable[str]) -> str:
    """a, b and c"""
    known = list(parts)
    return " and ".join([", ".join(known[:-1])] * (len(known) > 1) + known[-1:])
