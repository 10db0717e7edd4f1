"""What single test samples say of configurations: tables of seeds × samples, of one and of a difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bench.records.outcomes import Outcomes, of_record
from bench.stats import Mean, crossed, pseudo_values

RIGHT_OR_WRONG = ("top1", "exact_match")
Record = Mapping[str, Any]


class Kept(NamedTuple):
    """A metric of one run, sample by sample: its values, or pseudo-values where it is no mean.

    Args:
        data: what the ids are places in: the data's hash.
    """

    ids: np.ndarray
    values: np.ndarray
    data: str


_known: dict[tuple[str, str], Kept | None] = {}


def kept(run: Record, metric: str) -> Kept | None:
    """What a record keeps; None where it keeps nothing (protocol 1), or less than two samples."""
    key = str(run.get("run_id")), metric
    if not run.get("outcomes"):
        return None
    if key not in _known:
        found = of_record(run)
        values = _values(found, metric) if found is not None and len(found) > 1 else None
        data = str((run.get("provenance") or {}).get("data_sha256"))
        _known[key] = Kept(found.ids, values, data) if found is not None and values is not None else None
    return _known[key]


def _values(found: Outcomes, metric: str) -> np.ndarray | None:
    """Means of samples as they are; other metrics by the jackknife."""
    values = found.values(metric)
    if values is not None or found.score(metric) is None:
        return values
    return pseudo_values(lambda rows: found.score(metric, rows) or 0.0, len(found))


def of_one(runs: Sequence[Record], metric: str) -> Mean | None:
    """A configuration's own score over seeds and samples; None where a run keeps no outcomes, or there is one seed."""
    found = [kept(run, metric) for run in runs]
    whole = [one for one in found if one is not None]
    if len(whole) < max(2, len(found)) or len({one.data for one in whole}) > 1:
        return None
    return crossed(_table(whole), ends=(0.0, 1.0) if metric in RIGHT_OR_WRONG else None)


def of_difference(one: Sequence[Record], other: Sequence[Record], metric: str, sign: int = 1) -> Mean | None:
    """one − other, paired by seed and sample; None where outcomes of a common seed lack, or there is one seed.

    Args:
        sign: −1 where less is better, so that positive is better.
    """
    theirs = {run["seed"]: run for run in other}
    pairs = [(kept(run, metric), kept(theirs[run["seed"]], metric)) for run in one if run["seed"] in theirs]
    rows = [_less(a, b, sign) for a, b in pairs if a is not None and b is not None and a.data == b.data]
    if len(rows) < max(2, len(pairs)) or min(len(row.ids) for row in rows) < 2 or len({row.data for row in rows}) > 1:
        return None
    return crossed(_table(rows), ends=(-1.0, 1.0) if metric in RIGHT_OR_WRONG else None)


def _less(one: Kept, other: Kept, sign: int) -> Kept:
    ids, mine, theirs = np.intersect1d(one.ids, other.ids, assume_unique=True, return_indices=True)
    return Kept(ids, sign * (one.values[mine] - other.values[theirs]), one.data)


def _table(rows: Sequence[Kept]) -> np.ndarray:
    """(seeds, samples that any has), NaN where a seed is not tested on a sample."""
    ids = np.unique(np.concatenate([row.ids for row in rows]))
    table = np.full((len(rows), len(ids)), np.nan)
    for place, row in enumerate(rows):
        table[place, np.searchsorted(ids, row.ids)] = row.values
    return table
