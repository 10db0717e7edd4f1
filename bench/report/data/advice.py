"""A recommendation in sentences: what to use, why, what cannot be decided, and what would decide it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.report import style
from bench.report.data import differences, wording
from bench.report.data.chance import one_class
from bench.report.data.measured import Baseline, Configuration, tested
from bench.report.data.recommended import Recommendation, stored
from bench.stats import Difference
from bench.stats.recommendation import MARGIN, Needed

UNITS = {"images": "test pictures", "detection": "test pictures", "text": "test texts"}
_NAMED = 3


def advice(found: Recommendation) -> list[str]:
    """The sentences, the recommendation first."""
    return [_use(found), *_certainty(found), *_worse(found), *_baselines(found), *_beware(found), *_dropped(found)]


def score(metric: str, value: float) -> str:
    """A score as it stands in a sentence: .913."""
    text = f"{value:.3f}"
    return text.replace("0.", ".", 1) if style.extent(metric)[1] == 1 and abs(value) < 1 else text


def points(metric: str, value: float, *, sign: bool = False) -> str:
    """A difference: "4.0 points" of what lies between 0 and 1."""
    size, unit = (100 * value, " points") if style.extent(metric)[1] == 1 else (value, "")
    digits = 1 if unit else 3
    return (style.signed(size, digits) if sign else f"{abs(size):.{digits}f}") + unit


def _ranged(of: Configuration) -> str:
    if of.score.interval is None:
        return f"{score(of.metric, of.score.mean)} (one seed)"
    low, high = of.score.interval
    return f"{score(of.metric, of.score.mean)} ({score(of.metric, low)} to {score(of.metric, high)})"


def _use(found: Recommendation) -> str:
    """Such as "Use LoRA r=8: .913 (.90 to .93), not significantly below full fine-tuning (.917), 0.4 of its memory,
    2.7 MB to store."."""
    one, best = found.recommended, found.best
    parts = [f"Use {one.label}: {style.metric_name(found.metric)} {_ranged(one)}"]
    if one is best:
        alone = len(found.candidates) == 1
        parts.append("the only configuration" if alone else f"the best mean of {len(found.candidates)} configurations")
    else:
        parts.append(f"not significantly below {best.label} ({score(found.metric, best.score.mean)})")
        if one.memory and best.memory:
            parts.append(f"{one.memory / best.memory:.2g} of its memory")
    parts += [f"{style.size(one.memory)} of memory to train"] if one.memory and one is best else []
    parts += [f"{_megabytes(size)} to store"] if (size := stored(one)) else []
    return ", ".join(parts) + "."


def _megabytes(size: int) -> str:
    if size < 1e5:
        return f"{size / 1e3:.2g} KB" if size < 1e4 else f"{size / 1e3:,.0f} KB"
    return f"{size / 1e6:.2g} MB" if size < 1e7 else f"{size / 1e6:,.0f} MB"


def _certainty(found: Recommendation) -> Iterator[str]:
    """Whether the data decide; if not between what, and what would."""
    one, rest = found.recommended, found.open
    margin = _margin(found.metric)
    if len(found.candidates) < 2:
        yield "Cannot decide: there is nothing to compare it with."
    elif not rest:
        yield f"Decided: no other is better by more than {margin} (95 % intervals)."
    else:
        named = _some([f"{c.label}{_by(found, c)}" for c in rest])
        yield (
            f"Cannot decide: by these data {named} may be better than {one.label} by more than "
            f"{margin}. The cheapest is recommended of what is not significantly worse than the best and by three to "
            f"one within {margin} of it{_cheapest(found)}."
        )
        yield _enough(found, rest[0])


def _cheapest(found: Recommendation) -> str:
    """What is cheaper still, and not significantly worse either; in its mean it is."""
    alike = (c for i, c in enumerate(found.candidates) if i not in found.choice.worse)
    one = next(alike, found.recommended)
    if one is found.recommended:
        return ""
    return f"; cheaper, and not significantly worse either, is {one.label} ({score(found.metric, one.score.mean)})"


def _by(found: Recommendation, other: Configuration) -> str:
    """How the difference is known: " (+0.4, −1.1 to +1.9 points)"."""
    less = differences.on_metric(other, found.recommended, found.metric)
    if less is None or less.interval is None:
        return ""
    low, high = (points(found.metric, at, sign=True).removesuffix(" points") for at in less.interval)
    unit = " points" if style.extent(found.metric)[1] == 1 else ""
    return f" ({points(found.metric, less.mean, sign=True).removesuffix(' points')}, {low} to {high}{unit})"


def _enough(found: Recommendation, other: Configuration) -> str:
    """How many more test samples or seeds would tell the two apart."""
    one, more = found.recommended, found.more(other)
    unit = UNITS.get(str(found.group.records[0]["task"].get("family")), "test samples")
    less = differences.on_metric(other, one, found.metric)
    if more is None or less is None:
        return f"More seeds or {unit} would tell {one.label} from {other.label}."
    if abs(less.mean) < MARGIN / 2:
        what = f"To show that {other.label} is not better by {_margin(found.metric)}"
    else:
        what = f"To tell {one.label} from {other.label} apart"
    return f"{what} you would need about {_said(more, one, unit)}."


def _margin(metric: str) -> str:
    return points(metric, MARGIN).replace("1.0 points", "a point")


def _said(more: Needed, one: Configuration, unit: str) -> str:
    there = next((n for run in one.runs if (n := tested(run)) is not None), 0)
    parts = [f"{more.seeds:,} seeds instead of {len(one.runs)}"] if more.seeds > len(one.runs) else []
    parts += [f"{_round(more.samples - there):,} more {unit}"] if more.samples > there else []
    return " and ".join(parts)


def _round(number: int) -> int:
    """To two digits."""
    digits = max(0, len(str(number)) - 2)
    return int(round(number, -digits))


def _worse(found: Recommendation) -> Iterator[str]:
    """What is significantly worse than the best, and by how much than the recommended one."""
    worse = [found.candidates[i] for i in found.choice.worse]
    if not worse:
        return
    apart = [differences.on_metric(c, found.recommended, found.metric) for c in worse]
    named = [
        f"{c.label}{f' ({_below(found.metric, less)})' if less else ''}" for c, less in zip(worse, apart, strict=True)
    ]
    yield f"Significantly worse than the best: {_some(named)}; in parentheses against {found.recommended.label}."


def _below(metric: str, less: Difference) -> str:
    """Whatever the metric, a positive difference is better."""
    return points(metric, differences.sign(metric) * less.mean, sign=True)


def _some(named: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED + 1 else ""
    return wording.several(list(named)) if not more else f"{'; '.join(named[:_NAMED])}{more}"


def _baselines(found: Recommendation) -> Iterator[str]:
    """What needs no network; a warning where that is no worse."""
    of_task: Sequence[Baseline] = found.group.baselines if found.metric == found.group.metric else ()
    named = [f"{b.label} {score(found.metric, b.score.mean)}" for b in of_task]
    if named:
        yield f"Without a network: {', '.join(named)}."
    for baseline in of_task:
        beyond = found.recommended.beyond(baseline)
        if beyond and beyond.interval and beyond.interval[0] <= 0:
            yield f"Beware: it is not significantly better than {baseline.label}, which needs no network."


def _beware(found: Recommendation) -> Iterator[str]:
    if said := one_class(found.group, found.recommended):
        yield f"Beware: {said}."


def _dropped(found: Recommendation) -> Iterator[str]:
    if found.dropped:
        yield f"Beyond the limits: {_some([f'{c.label} ({why})' for c, why in found.dropped])}."
