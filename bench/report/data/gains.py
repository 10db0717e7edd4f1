"""What tuning gained on test, and whether validation ranks as test does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.report.data.groups import Group
from bench.report.data.measured import Estimate, Record
from bench.report.data.searches import Search, searches


@dataclass(frozen=True)
class Gain:
    """What the chosen values score more than the default ones on test.

    Args:
        estimate: a difference a seed; None where there is none.
        reason: why it is 0, or why there is none.
    """

    estimate: Estimate | None
    reason: str = ""


def gain(search: Search, metric: str) -> Gain:
    """Final minus default runs, paired by seed; exactly 0 where the chosen values are the default ones."""
    final, default = _scores(search.runs, metric), _scores(search.default_runs, metric)
    if search.chosen and search.default and dict(search.chosen.params) == dict(search.default):
        return Gain(Estimate((0.0,) * max(1, len(final))), "the default configuration was chosen")
    if shared := sorted(final.keys() & default.keys()):
        return Gain(Estimate(tuple(final[seed] - default[seed] for seed in shared)))
    if not final:
        return Gain(None, "no final run ended well" if search.runs else "no final run")
    ended = sorted({run["status"].replace("_", " ") for run in search.default_runs if run["status"] != "ok"})
    return Gain(
        None, f"the default configuration {' and '.join(ended)}" if ended else "the default configuration was not run"
    )


def _scores(runs: Sequence[Record], metric: str) -> dict[int, float]:
    """A score on test by seed, of the runs that have one."""
    ok = [run for run in runs if run["status"] == "ok"]
    return {r["seed"]: float(v) for r in ok if (v := (r["metrics"].get("test") or {}).get(metric)) is not None}


@dataclass(frozen=True)
class Agreement:
    """Spearman's correlation of validation and test.

    Args:
        rho: None where it is not defined: fewer than three runs, or all scores alike.
        runs: over how many.
        configurations: of how many.
    """

    rho: float | None
    runs: int
    configurations: int


def agreement(group: Group) -> Agreement:
    """Each tested run's own validation score against its test score, with chosen and with default values."""
    parts = [configuration.runs for configuration in group.configurations]
    parts += [search.default_runs for search in searches(group)]
    pairs = [[pair for run in runs if (pair := _pair(run, group.metric))] for runs in parts]
    known = [own for own in pairs if own]
    every = [pair for own in known for pair in own]
    return Agreement(_spearman(every), len(every), len(known))


def _pair(run: Record, metric: str) -> tuple[float, float] | None:
    validation, test = ((run["metrics"].get(split) or {}).get(metric) for split in ("val", "test"))
    return None if run["status"] != "ok" or validation is None or test is None else (float(validation), float(test))


def _spearman(pairs: Sequence[tuple[float, float]]) -> float | None:
    if len(pairs) < 3 or any(len(set(values)) == 1 for values in zip(*pairs, strict=True)):
        return None
    from scipy.stats import spearmanr  # comes with scikit-learn; here, because it takes a while to import

    return float(spearmanr(*zip(*pairs, strict=True)).statistic)


def on_validation(search: Search) -> float | None:
    """What the chosen values scored more than the default ones on validation; None where one has no score."""
    default, chosen = search.default_trial, search.chosen
    if default is None or chosen is None or not default.completed:
        return None
    return float(chosen.score or 0.0) - float(default.score or 0.0)


def signed(value: float) -> str:
    """A difference with its sign, and no minus before zero: "+0.012"."""
    return f"{round(value, 3) + 0.0:+.3f}"
