"""Robustness on a page: scores under corruptions, calibration, and means of weights, in tables."""

from __future__ import annotations

from collections.abc import Iterator

from bench.report.data import robustness
from bench.report.data.groups import Group
from bench.report.tables.markdown import MISSING, table


def robustness_section(group: Group) -> Iterator[str]:
    """Blocks of Markdown; none where nothing of the kind was measured."""
    known = [c for c in group.configurations if robustness.found(c)]
    if not known:
        return
    names, levels = robustness.corruptions(group), robustness.severities(group)
    samples = robustness.found(known[0])[0]["samples"]
    yield "### Where data shift"
    yield (
        f"Means over seeds on {samples:,} samples of the test part, each corruption over severities "
        f"{', '.join(map(str, levels))}; what is kept: the mean under all corruptions over the score as they are, what "
        "guessing would keep included."
    )
    rows = []
    for c in known:
        clean, worse = robustness.at_severity(c, 0), robustness.corrupted(c, group)
        each = [robustness.corrupted(c, group, [name]) for name in names]
        share = f"{100 * worse / clean.mean:.0f} %" if clean and worse is not None and clean.mean else MISSING
        f1 = robustness.at_severity(c, 0, metric="macro_f1"), robustness.corrupted(c, group, metric="macro_f1")
        pair = (clean.mean if clean else None, f1[0].mean if f1[0] else None), (worse, f1[1])
        rows.append([c.label, *(_of(score) + f" ({_of(macro)})" * (macro is not None) for score, macro in pair), share,
                     *map(_of, each)])  # fmt: skip
    yield table(["method", "as they are (macro F1)", "all corruptions (macro F1)", "kept", *names], rows)
    yield (
        "Calibration on the whole test part, before → after one temperature T fitted to validation "
        "(arXiv:1706.04599); lower is better. ECE: expected calibration error, 15 bins of equal width; Brier: mean "
        "squared distance of the probabilities from the class, from 0 to 2; NLL: mean cross-entropy."
    )
    yield table(["method", "T", *robustness.NAMES.values()], [[c.label, _of(robustness.temperature(c), 2), *(
        f"{_of(robustness.calibration(c, 'before', name))} → {_of(robustness.calibration(c, 'after', name))}"
        for name in robustness.NAMES
    )] for c in known])  # fmt: skip
    yield from _weights(group)


def _weights(group: Group) -> Iterator[str]:
    known = {c: rows for c in group.configurations if (rows := robustness.interpolation(c))}
    if not known:
        return
    alphas = [alpha for alpha, _, _ in max(known.values(), key=len)]
    yield (
        "Means of the backbone's weights before (α = 0) and after training (α = 1), under the head as trained "
        "(arXiv:2109.01903, whose head is interpolated too): as they are / under corruptions at one severity."
    )
    found = {c: {alpha: f"{clean:.3f} / {worse:.3f}" for alpha, clean, worse in rows} for c, rows in known.items()}
    cells = [[c.label, *(by.get(alpha, MISSING) for alpha in alphas)] for c, by in found.items()]
    yield table(["method", *(f"α = {alpha:g}" for alpha in alphas)], cells)


def _of(value: float | None, digits: int = 3) -> str:
    return MISSING if value is None else f"{value:.{digits}f}"
