"""What became of every sample: kept and read again as it was, and every metric made from it once more."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.records.outcomes import LARGEST, MOST, Outcomes, collected, decode, encode, shared
from bench.records.schema import RECORD
from bench.tasks import Images
from bench.tasks.detection.boxes import Truth
from bench.tasks.detection.metrics import Detections, box_ap, box_outcomes
from bench.tasks.metrics import classification_metrics, regression_metrics, regression_outcomes
from bench.tasks.text.glue import Glue
from bench.training.loop import train
from bench.training.run import Run
from tests.support.report_records import LORAS, record
from tests.support.tiny_study import STUDY

ROUNDING = 2**-11
ELPV = Images("elpv")


def classified(seed: int, n: int = 40, classes: int = 3, scale: float = 3.0) -> tuple[torch.Tensor, torch.Tensor]:
    dice = torch.Generator().manual_seed(seed)
    return scale * torch.randn(n, classes, generator=dice), torch.randint(classes, (n,), generator=dice)


def same(one: Outcomes, other: Outcomes) -> None:
    assert one.kind == other.kind and np.array_equal(one.ids, other.ids)
    for name, column in one.columns.items():
        assert np.array_equal(column, other[name]) and column.dtype == other[name].dtype, name


def found_boxes(seed: int, pictures: int = 4, classes: int = 2, *, ties: bool) -> tuple[list[Detections], list[Truth]]:
    """Boxes on pictures, some found roughly, some of them twice, some crowds; with `ties` of equal scores."""
    dice = np.random.default_rng(seed)
    detections, truths = [], []
    for _ in range(pictures):
        n = int(dice.integers(0, 5))
        corner, side = dice.uniform(0, 60, (n, 2)), dice.uniform(6, 40, (n, 2))
        boxes, labels = np.hstack([corner, corner + side]), dice.integers(0, classes, n)
        truths.append(Truth(boxes, labels, dice.random(n) < 0.2, side.prod(1), 100, 100))
        near = np.vstack([boxes, boxes[: n // 2]])
        near = near + dice.normal(0, 3, near.shape)
        stray = dice.uniform(0, 50, (3, 2))
        near = np.vstack([near, np.hstack([stray, stray + 20])])
        guessed = np.concatenate([labels, labels[: n // 2], dice.integers(0, classes, 3)])
        scores = dice.integers(1, 9, len(near)) / 10 if ties else dice.random(len(near))
        detections.append(Detections(near, guessed, scores))
    return detections, truths


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**16), st.integers(1, 60), st.integers(2, 300))
def test_classes_come_back_and_give_their_metrics(seed: int, n: int, classes: int) -> None:
    outputs, targets = classified(seed, n, classes)
    ids = np.random.default_rng(seed).permutation(3 * n)[:n]
    found = decode(json.loads(json.dumps(encode(ELPV.outcomes([outputs], [targets], ids)))))
    metrics = classification_metrics(outputs, targets)
    assert found.score("top1") == metrics["top1"] and found.score("macro_f1") == pytest.approx(metrics["macro_f1"])
    assert found.score("loss") == pytest.approx(metrics["loss"], rel=ROUNDING, abs=1e-7)
    assert np.array_equal(found.ids, np.sort(ids))
    assert np.array_equal(found.correct, (outputs.argmax(1) == targets).numpy()[np.argsort(ids)])
    assert found["confidence"] == pytest.approx(outputs.softmax(1).amax(1).numpy()[np.argsort(ids)], rel=ROUNDING)


def test_records_from_before_confidences_were_kept_are_read() -> None:
    outputs, targets = classified(0)
    stored = encode(ELPV.outcomes([outputs], [targets], np.arange(40)))
    del stored["confidence"]
    assert "confidence" not in decode(stored).columns and decode(stored).score("top1") is not None


def test_glue_has_its_own_scores_of_single_samples() -> None:
    outputs, targets = classified(0, classes=2)
    ids, half = np.arange(40), np.arange(0, 40, 2)
    for name, metric in (("mrpc", "f1"), ("cola", "matthews")):
        task, found = Glue(name), Glue(name).outcomes([outputs], [targets], ids)
        assert found.score(metric) == pytest.approx(task.metrics([outputs], [targets])[metric])
        assert found.score(metric, half) == pytest.approx(task.metrics([outputs[half]], [targets[half]])[metric])
    numbers, given_ = outputs[:, :1], targets.float()
    found = decode(encode(Glue("stsb").outcomes([numbers], [given_], ids)))
    for metric, value in regression_metrics(numbers.squeeze(1), given_).items():
        assert found.score(metric) == pytest.approx(value, rel=1e-6)
    assert regression_outcomes(given_, given_, ids).score("pearson") == pytest.approx(1)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**16), st.booleans())
def test_average_precision_of_any_pictures(seed: int, ties: bool) -> None:
    """Where scores are equal, the order of the pictures decides, in COCO's evaluation too; else in any order."""
    detections, truths = found_boxes(seed, ties=ties)
    ids = np.array([3, 5, 7, 12] if ties else [7, 3, 12, 5])
    found, order = decode(json.loads(json.dumps(encode(box_outcomes(detections, truths, 2, ids))))), np.argsort(ids)
    assert found.ids.tolist() == [3, 5, 7, 12]
    for rows in ([0, 1, 2, 3], [2], [0, 3], [1, 2] if ties else [1, 1, 3]):
        those = order[rows]
        wanted = box_ap([detections[i] for i in those], [truths[i] for i in those], 2)
        for metric in ("box_ap", "ap50", "ap75", "ar100"):
            made = found.score(metric, np.array(rows))
            assert made == (pytest.approx(wanted[metric], abs=1e-12) if metric in wanted else None), (rows, metric)


def test_runs_pair_by_sample() -> None:
    outputs, targets = classified(1, n=6)
    first, second = (
        ELPV.outcomes([outputs[rows]], [targets[rows]], np.array(rows)) for rows in ([4, 0, 2, 5], [5, 1, 4])
    )
    left, right = shared([first, second])
    assert first.ids[left].tolist() == second.ids[right].tolist() == [4, 5]
    assert np.array_equal(first["label"][left], targets[4:])
    same(first.at(left), second.at(right))


def test_what_is_no_number_or_too_large_is_the_largest() -> None:
    columns = {"label": np.zeros(3, int), "predicted": np.ones(3, int), "nll": np.array([np.nan, np.inf, 1e9])}
    found = decode(encode(collected("classes", np.arange(3), columns)))
    assert found["nll"].tolist() == [LARGEST] * 3 and not found.correct.any()


@pytest.mark.usefixtures("own_cache", "one_thread")
def test_a_record_keeps_the_test_part_and_the_kept_epoch_of_validation() -> None:
    run = Run(STUDY.tasks[0], STUDY.models[0], STUDY.methods[0], STUDY.training, 0)
    outcome = train(run)
    for split, n in (("val", 20), ("test", 30)):
        found = decode(outcome.outcomes[split])
        assert len(found) == n and found.score("top1") == outcome.metrics[split]["top1"]
        assert found.score("loss") == pytest.approx(outcome.metrics[split]["loss"], rel=ROUNDING)
    other = decode(train(Run(run.task, run.model, run.method, run.training, 1)).outcomes["test"])
    assert np.array_equal(decode(outcome.outcomes["test"]).ids, other.ids), "the test part is one for all seeds"
    assert len(json.dumps(outcome.outcomes)) < 4_000


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda stored: stored.update(kind="trees"), "unknown kind"),
        (lambda stored: stored.pop("encoding"), "unknown kind or encoding"),
        (lambda stored: stored.pop("nll"), "no column 'nll'"),
        (lambda stored: stored["nll"].update(type="object"), "no column 'nll'"),
        (lambda stored: stored["nll"].update(data="%%%"), "damaged"),
        (lambda stored: stored["nll"].update(data="AAAA"), "damaged"),
        (lambda stored: stored["nll"].update(shape=[41]), "another length"),
        (lambda stored: stored["nll"].update(shape=[4, 10]), "another type or shape"),
        (lambda stored: stored["nll"].update(shape=[MOST, MOST]), "without shape or data"),
        (lambda stored: stored["nll"].update(shape=[True]), "without shape or data"),
        (lambda stored: stored["ids"].update(stored["label"]), "not ascending"),
        (lambda stored: stored["ids"].update(stored["nll"]), "not whole numbers"),
        (lambda stored: stored["label"].update(stored["nll"]), "another type or shape"),
    ],
)
def test_what_is_damaged_is_told(change, said: str) -> None:
    stored = encode(ELPV.outcomes(*[[each] for each in classified(2)], np.arange(40)))
    assert RECORD(record(LORAS[0], 0, outcomes={"test": stored}), "") is None
    change(odd := copy.deepcopy(stored))
    with pytest.raises(ValueError, match=said):
        decode(odd)
    problem = RECORD(record(LORAS[0], 0, outcomes={"test": odd}), "")
    assert problem and problem.startswith("'outcomes.test'") and said in problem
