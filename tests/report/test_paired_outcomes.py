"""Records that keep outcomes are compared by seed and sample; others by seed alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.records.outcomes import collected, encode
from bench.report.compare import compared
from bench.report.data import differences
from bench.report.data.groups import Group, groups
from bench.report.tables import dataframes
from tests.support.report_records import FULL, LORAS, PROBE, Case, record


def kept(case: Case, seed: int, *, kind: str = "classes", samples: int = 60, data: str = "a") -> dict[str, Any]:
    rng = np.random.default_rng([seed, len(case[0])])
    ids = np.random.default_rng(seed).choice(200, samples, replace=False)
    if kind == "classes":
        label = ids % 2
        hard = np.random.default_rng(7).random(200)[ids]
        wrong = hard + 0.1 * rng.normal(size=samples) > case[3]
        columns = {"label": label, "predicted": np.where(wrong, 1 - label, label), "nll": 0.2 + wrong + 0.0 * hard}
        metrics = {"top1": float(1 - wrong.mean()), "loss": float(columns["nll"].mean())}
        task = {}
    else:
        matched = np.repeat(rng.random(samples) < case[3], 10).reshape(samples, 10)
        columns = {
            "objects": np.ones((samples, 1), int), "picture": np.arange(samples), "label": np.zeros(samples, int),
            "score": np.linspace(0.9, 0.1, samples), "matched": matched, "ignored": np.zeros((samples, 10), bool),
        }  # fmt: skip
        task = {"task": {"spec": "D()", "name": "d", "family": "detection", "metric": "box_ap"}}
        metrics = {"box_ap": 0.0}
    found = collected(kind, ids, {name: np.asarray(column) for name, column in columns.items()})
    metrics |= {"box_ap": found.score("box_ap")} if kind == "boxes" else {}
    made = {"metrics": {"test": metrics}, "outcomes": {"test": encode(found)}, "provenance": {"data_sha256": data}}
    return record(case, seed, **made, **task)


def made(**changes: Any) -> Group:
    (group,) = groups([kept(case, seed, **changes) for case in (PROBE, FULL, LORAS[3]) for seed in (0, 1, 2)])
    return group


def test_differences_cover_seeds_and_samples() -> None:
    group = made()
    probe, full = group.of("LinearProbe")[0], group.of("FullFineTuning")[0]
    found = differences.difference(probe, full)
    assert found is not None
    assert found.size == "3 seeds × 60 samples"
    mine, theirs = probe.by_seed, full.by_seed
    assert found.mean == pytest.approx(np.mean([mine[seed] - theirs[seed] for seed in mine]))
    assert probe.score.crossed is not None
    said = "\n".join(compared(group, probe, full))
    assert "paired over 3 seeds × 60 samples" in said
    assert "over seeds and samples" in said
    assert "NLL. Difference (positive: lower, which is better)" in said
    frame = dataframes.comparisons([group])
    assert set(frame["over"]) == {"3 seeds × 60 samples"}
    assert frame["NLL verdict"].notna().all()


def test_losses_are_paired_by_sample_too() -> None:
    group = made()
    probe, full = group.of("LinearProbe")[0], group.of("FullFineTuning")[0]
    found, right = differences.on_metric(probe, full, "loss"), differences.difference(probe, full)
    assert found is not None
    assert right is not None
    assert found.samples == 60
    assert found.mean == pytest.approx(right.mean, abs=1e-3)  # wrong costs 1 more


def test_boxes_are_compared_by_picture() -> None:
    group = made(kind="boxes", samples=12)
    found = differences.difference(group.of("LinearProbe")[0], group.of("FullFineTuning")[0])
    assert found is not None
    assert found.samples == 12
    assert found.interval is not None


def test_without_outcomes_of_every_seed_or_of_other_data_seeds_alone_count() -> None:
    full = [kept(FULL, seed) for seed in (0, 1, 2)]
    for probes in (
        [kept(PROBE, seed) for seed in (0, 1)] + [record(PROBE, 2)],
        [kept(PROBE, seed, data="b") for seed in (0, 1, 2)],
    ):
        (group,) = groups(probes + full)
        found = differences.difference(group.of("LinearProbe")[0], group.of("FullFineTuning")[0])
        assert found is not None
        assert (found.samples, found.size) == (None, "3 seeds")
