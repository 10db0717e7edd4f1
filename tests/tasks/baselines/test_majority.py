"""The majority class: its scores by hand, of the training part's most common class, on every classification task."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

from bench.records import Records
from bench.tasks import Glue, Images, Squad, TextCsv
from bench.tasks.baselines.majority import MajorityClass
from bench.tasks.pools import split


@pytest.fixture
def unequal(tmp_path):
    """Texts of three classes: 70, 20 and 10 per cent."""
    file = tmp_path / "texts.csv"
    with file.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["text", "label"])
        rows.writerows(
            [f"text {i}", "common" if i % 10 < 7 else "rare" if i % 10 < 9 else "rarest"] for i in range(300)
        )
    return TextCsv(str(file), train=100, val=50)


def test_scores_are_those_of_one_class(unequal):
    found = MajorityClass().evaluate(unequal, seed=0)
    pool = unequal.pool()
    labels = pool.labels[split(pool, train=100, val=50, test=None, seed=0)[2]]
    share = (labels == 0).mean()
    assert share == pytest.approx(0.7, abs=0.02)
    assert found.provenance == {"classes": 3, "majority": pytest.approx(share)}
    test = found.metrics["test"]
    assert test["top1"] == pytest.approx(share)
    assert test["macro_f1"] == pytest.approx(2 * share / (1 + share) / 3, abs=1e-6)
    prior = np.bincount(pool.labels[split(pool, train=100, val=50, test=None, seed=0)[0]]) / 100
    assert test["loss"] == pytest.approx(-np.log(prior)[labels].mean(), abs=1e-5), "the log-frequencies of training"
    assert found.metrics["val"]["top1"] == pytest.approx(0.7, abs=0.02) and found.tuning == {}


def test_the_class_is_that_of_the_training_part(unequal):
    """Where test is of other shares, the score is what that class has there, and `majority` what the test part has."""
    pool = unequal.pool()
    test = split(pool, train=100, val=50, test=None, seed=0)[2]
    labels = pool.labels.copy()
    labels[test] = 1
    task = _Of(
        unequal, replace(pool, labels=labels, official_test=test, development=np.setdiff1d(pool.development, test))
    )
    found = MajorityClass().evaluate(task, seed=0)
    assert found.metrics["test"]["top1"] == 0.0 and found.provenance["majority"] == 1.0


class _Of:
    """A task on another pool."""

    def __init__(self, task, pool):
        self.train, self.val, self.test, self.classes, self.metrics = 100, 50, None, 3, task.metrics
        self.pool = lambda: pool


def test_every_classification_task_has_it_and_no_other(tmp_path):
    majority = MajorityClass()
    for part in ("train", "validation"):
        (tmp_path / f"{part}.csv").write_text("sentence,label\n" + "".join(f"it is {i},{i % 2}\n" for i in range(9)))
    assert majority in Images("digits").baselines and majority in Glue("cola", root=str(tmp_path)).baselines
    assert Glue("stsb", root=str(tmp_path)).baselines == () and majority not in Squad(str(tmp_path)).baselines


def test_its_record_says_how_many_classes_and_the_share_of_the_most_common(tmp_path, unequal):
    from bench.execution.baseline_runs import measure
    from tests.support.tiny_study import STUDY

    records = Records(tmp_path / "tiny" / "smoke")
    record, fresh = measure(STUDY, "smoke", records, unequal, MajorityClass(), 1)
    assert (
        fresh
        and record["provenance"]["classes"] == 3
        and record["provenance"]["majority"] == pytest.approx(0.7, abs=0.02)
    )
    assert (record["phase"], record["method"]["label"]) == ("reference", "majority class")
    assert not measure(STUDY, "smoke", records, unequal, MajorityClass(), 1)[1], "recorded once"
