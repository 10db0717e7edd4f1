"""The part of a page on tuning: the budget, what was chosen, and what that gained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import mean, median
from typing import Any

from bench.records import STATUSES
from bench.report import style
from bench.report.data import wording
from bench.report.data.gains import agreement, gain, on_validation, signed
from bench.report.data.groups import Group
from bench.report.data.searches import Search, searches
from bench.report.figures.importance import too_few
from bench.report.tables.markdown import cell, listed, table

_MISSING = "–"


def tuning_section(group: Group, figures: Sequence[str]) -> Iterator[str]:
    """Blocks of Markdown; none where no search is known.

    Args:
        group: whose searches.
        figures: those of tuning, in Markdown.
    """
    found = searches(group)
    if not found:
        return
    yield "### Tuning"
    yield _budget(found, group.metric)
    yield _table(found, group.metric)
    yield " ".join(sentence for sentence in (*_gains(found, group), *_agreement(group)) if sentence)
    yield from figures
    yield too_few(group)


def _budget(found: Sequence[Search], metric: str) -> str:
    """What all searches were allowed, by what they were judged, and what became of it."""
    known = {search: wording.budget(search.trail) for search in found if search.trail.get("budget")}
    budgets = list(dict.fromkeys(known.values()))
    text = "; ".join(budgets)
    if len(budgets) > 1:
        own = [f"{one}: {', '.join(s.label for s, budget in known.items() if budget == one)}" for one in budgets]
        text = f"Unequal budgets: {'; '.join(own)}"
    seeds = listed(seed for search in known for seed in search.trail.get("seeds") or ())
    epochs = listed(search.trail.get("epochs") for search in known)
    parts = [f"{text} ({seeds})" if seeds else text, f"at most {epochs} epochs a trial" if epochs else ""]
    other = any(search.metric != metric for search in found)
    kept = f" at each run's best epoch by val/{metric}" if other else ""
    parts.append(f"judged by {listed(search.trail.get('on') for search in found)}{kept}")
    trials = sum(len(search.trials) for search in found)
    spent = sum(float(row.get("seconds") or 0.0) for search in found for row in search.trail["trials"])
    ended = f"{trials} trials in {len(found)} search{'es' * (len(found) != 1)} ({_statuses(found)})"
    ended += f", {style.seconds(spent)} together" if spent else ""
    open_ = ", ".join(search.label for search in found if search not in known)
    return f"{'; '.join(part for part in parts if part)}. {ended}.{f' No final run yet: {open_}.' if open_ else ''}"


def _statuses(found: Sequence[Search]) -> str:
    counts = Counter(trial.status for search in found for trial in search.trials)
    return ", ".join(f"{counts[status]} {status.replace('_', ' ')}" for status in STATUSES if counts[status])


def _table(found: Sequence[Search], metric: str) -> str:
    """A row a search and hyper-parameter; what holds for the whole search stands in its first row."""
    judged = {search.metric for search in found}
    by = f" {style.metric_name(*judged)}" if len(judged) == 1 else ""
    heading = (
        "tuned", "hyper-parameter", "searched", "default", "chosen", f"validation{by}: default",
        f"validation{by}: chosen",
        "chosen again", "trials", "gain of tuning on test",
    )  # fmt: skip
    return table(heading, [row for search in found for row in _rows(search, metric)])


def _rows(search: Search, metric: str) -> Iterator[tuple[str, ...]]:
    names = list(search.space) or sorted({name for trial in search.trials for name in trial.params})
    before, chosen = search.default_trial, search.chosen
    scores = [f"{t.score:.3f}" if t and t.score is not None else _MISSING for t in (before, chosen)]
    if before and before.status != "ok":
        scores[0] += f" ({before.status.replace('_', ' ')})"
    again = f"{chosen.best_in:.0%}" if chosen and chosen.best_in is not None else _MISSING
    whole = (*scores, again, _statuses([search]), cell(_gain(search, metric)))
    for number, name in enumerate(names or [_MISSING]):
        found = _value(chosen.params.get(name)) if chosen else _MISSING
        found += " (edge of space)" if chosen and name in _edges(search) else ""
        values = (wording.part(name), _space(search, name), _value(search.default.get(name)), found)
        yield (cell(search.label) if not number else "", *values, *(whole if not number else ("",) * len(whole)))


def _edges(search: Search) -> Sequence[str]:
    edge = search.trail.get("edge")
    return edge if isinstance(edge, list) else []


def _space(search: Search, name: str) -> str:
    """Between which ends, or among which values."""
    space = search.space.get(name)
    if not space:
        return _MISSING
    if "choices" in space:
        return cell(" or ".join(map(_value, space["choices"])))
    return f"{_value(space['low'])} to {_value(space['high'])}{' (log)' * bool(space.get('log'))}"


def _value(value: Any) -> str:
    if value is None:
        return _MISSING
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _gain(search: Search, metric: str) -> str:
    found = gain(search, metric)
    if found.estimate is None:
        return f"{_MISSING} ({found.reason})"
    if found.reason:
        return f"0 ({found.reason})"
    interval = found.estimate.interval
    sure = f"{signed(interval[0])} to {signed(interval[1])}" if interval else "one seed"
    return f"{signed(found.estimate.mean)} ({sure})"


def _gains(found: Sequence[Search], group: Group) -> Iterator[str]:
    """What the gains say together, and what they do not."""
    gains = {search: gain(search, group.metric) for search in found}
    changed = {s: g.estimate for s, g in gains.items() if g.estimate and not g.reason}
    kept = sum(bool(g.estimate and g.reason) for g in gains.values())
    if shares := [s.chosen.best_in for s in found if s.chosen and s.chosen.best_in is not None]:
        ends = f"{min(shares):.0%} to {max(shares):.0%}" if len(shares) > 1 else f"{shares[0]:.0%}"
        yield (
            f"With other validation samples and tuning seeds (bootstrap) the same values are chosen again in {ends}"
            f"{f', {median(shares):.0%} in the median search' if len(shares) > 2 else ''}."
        )
    if kept:
        yield f"The default configuration was chosen in {kept} of {len(found)} searches."
    if not changed:
        return
    lower = " (lower is better)" if group.metric in style.LOWER_IS_BETTER else ""
    means = [estimate.mean for estimate in changed.values()]
    better = sum(round(-value if lower else value, 9) > 0 for value in means)
    yield (
        (
            f"Where others were, the mean difference on test{lower} is {signed(mean(means))} over "
            f"{len(means)} search{'es' * (len(means) != 1)}, {better} of them for the better"
        )
        + _optimism(list(changed), group)
        + "."
    )
    few = min(len(estimate.values) for estimate in changed.values())
    if few < 2:
        yield "With one seed no interval can be given: a gain may be chance."
    elif few <= 5:
        yield f"Intervals pair {few} seeds (Student's), and of many one in twenty leaves 0 out by chance."


def _optimism(changed: Sequence[Search], group: Group) -> str:
    """The same searches' gain on validation, on which they were chosen."""
    seen = [value for s in changed if s.metric == group.metric and (value := on_validation(s)) is not None]
    if len(seen) < len(changed):
        return ""
    return f"; on validation, where they were chosen, it was {signed(mean(seen))}"


def _agreement(group: Group) -> Iterator[str]:
    found = agreement(group)
    over = f"{found.runs} runs of {found.configurations} configurations, chosen and default"
    if found.rho is not None:
        yield (
            f"Spearman correlation of validation and test: {found.rho:.2f} (n = {over}; runs of one configuration "
            f"are not independent{', and these are few' * (found.configurations < 10)})."
        )
    elif found.runs:
        yield f"Spearman correlation of validation and test: not defined (n = {over})."
