"""What a practitioner looks for in data of one's own: which classes are confused, which samples are wrong for sure,
how far probabilities can be trusted, and whether more labels would help. From records alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.records.outcomes import Outcomes, of_record
from bench.report.data import differences
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration, Estimate, Record, samples
from bench.stats import Difference
from bench.stats.average_precision import average_precision

BINS = 10
"""Of equal width, of the reliability diagram."""


@dataclass(frozen=True)
class ClassScore:
    """Of one class, a mean over seeds.

    Args:
        name: of the class.
        support: test samples (objects, of boxes) of it.
        precision, recall, f1: shares; of boxes of as many of the highest-scoring detections as there are objects, at an
            IoU of .5, so that all three are alike and no threshold is chosen.
        ap: box AP of boxes; None of classes.
    """

    name: str
    support: int
    precision: float
    recall: float
    f1: float
    ap: float | None = None


@dataclass(frozen=True)
class Mistake:
    """A test sample that is wrong on some seed.

    Args:
        id: of the sample.
        label, predicted: class indices; the class most often predicted where it is wrong.
        confidence: the mean probability of what was predicted, where it was wrong; None in older records.
        wrong, seeds: on how many of how many seeds.
    """

    id: int
    label: int
    predicted: int
    confidence: float | None
    wrong: int
    seeds: int


@dataclass(frozen=True)
class Missed:
    """A test picture with boxes that were not found, or found where there are none.

    Args:
        id: of the picture.
        objects, missed, false: boxes to be found, those without a detection, detections on none; a mean over seeds.
    """

    id: int
    objects: float
    missed: float
    false: float


@dataclass(frozen=True)
class Reliability:
    """How often what is said with so much confidence is right, all seeds together.

    Args:
        confidence, accuracy: the mean of each bin that has samples.
        count: samples of it.
        ece: Σ count/n · |accuracy − confidence| (arXiv:1706.04599, eq. 3).
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    count: NDArray[np.int64]
    ece: float


@dataclass(frozen=True)
class Point:
    """The score with so many training samples."""

    samples: int
    score: Estimate
    of: Configuration


def kept(runs: Sequence[Record]) -> list[Outcomes]:
    """What became of the test samples, a seed each; empty where a run keeps nothing."""
    found = [of_record(run) for run in runs]
    return [one for one in found if one is not None] if all(one is not None for one in found) else []


def confusion(runs: Sequence[Outcomes], classes: int) -> NDArray[np.float64]:
    """(classes, classes) test samples of the class of a row that are taken for that of a column, a mean over seeds."""
    total = np.zeros((classes, classes))
    for one in runs:
        np.add.at(total, (one["label"].astype(int), one["predicted"].astype(int)), 1)
    return total / max(1, len(runs))


def class_scores(matrix: NDArray[np.float64], names: Sequence[str]) -> list[ClassScore]:
    """Precision, recall and F1 of every class from a confusion matrix; 0 where a class is never predicted."""
    right, true, said = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    precision, recall = (np.divide(right, n, out=np.zeros_like(right), where=n > 0) for n in (said, true))
    f1 = np.divide(2 * right, said + true, out=np.zeros_like(right), where=said + true > 0)
    columns = zip(names, true, precision, recall, f1, strict=True)
    return [ClassScore(name, round(n), float(p), float(r), float(f)) for name, n, p, r, f in columns]


def mistakes(runs: Sequence[Outcomes]) -> list[Mistake]:
    """The test samples that are wrong, those first that are so with most confidence on most seeds."""
    found: dict[int, list[tuple[int, int, float]]] = {}
    for one in runs:
        sure = one.columns.get("confidence", np.full(len(one), np.nan))
        for row in np.flatnonzero(~one.correct):
            found.setdefault(int(one.ids[row]), []).append(
                (int(one["label"][row]), int(one["predicted"][row]), float(sure[row]))
            )
    made = []
    for id_, those in found.items():
        said = [predicted for _, predicted, _ in those]
        sure_of = float(np.mean([each for _, _, each in those]))
        known = None if np.isnan(sure_of) else sure_of
        made.append(Mistake(id_, those[0][0], max(set(said), key=said.count), known, len(those), len(runs)))
    return sorted(made, key=lambda m: (-(m.confidence or 0.5) * m.wrong, m.id))


def reliability(runs: Sequence[Outcomes]) -> Reliability | None:
    """Confidence against accuracy in bins; None where confidences are not kept."""
    if not runs or any("confidence" not in one.columns for one in runs):
        return None
    sure = np.concatenate([one["confidence"].astype(float) for one in runs])
    right = np.concatenate([one.correct for one in runs]).astype(float)
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    count = np.bincount(place, minlength=BINS)
    some = count > 0
    means = [np.bincount(place, weights=each, minlength=BINS)[some] / count[some] for each in (sure, right)]
    ece = float((count[some] * np.abs(means[1] - means[0])).sum() / len(sure))
    return Reliability(means[0], means[1], count[some].astype(np.int64), ece)


def box_scores(runs: Sequence[Outcomes], names: Sequence[str]) -> list[ClassScore]:
    """Of every class of boxes."""
    made = []
    for k, name in enumerate(names):
        rows = [_of_class(one, k) for one in runs]
        ap, found = (float(np.mean([row[at] for row in rows])) for at in range(2))
        made.append(ClassScore(name, int(runs[0]["objects"][:, k].sum()), found, found, found, ap))
    return made


def _of_class(one: Outcomes, k: int) -> tuple[float, float]:
    """Box AP of a class on one seed, and which share of its objects is found."""
    mine = one["label"] == k
    ap = average_precision(
        one["objects"][:, [k]], one["picture"][mine], np.zeros(int(mine.sum()), int), one["matched"][mine],
        one["ignored"][mine], times=np.ones(len(one), int),
    ).get("box_ap", 0.0)  # fmt: skip
    there = int(one["objects"][:, k].sum())
    first = np.flatnonzero(mine & ~one["ignored"][:, 0])[:there]
    return ap, float(one["matched"][first, 0].sum() / max(1, there))


def missed(runs: Sequence[Outcomes]) -> list[Missed]:
    """The test pictures on which most boxes are missed or false, the worst first.

    On every picture as many of the highest-scoring detections count as it has boxes to be found.
    """
    totals = []
    for one in runs:
        objects = one["objects"].sum(axis=1).astype(int)
        hits, said = np.zeros(len(one), int), np.zeros(len(one), int)
        for place, hit, ignored in zip(one["picture"], one["matched"][:, 0], one["ignored"][:, 0], strict=True):
            if not ignored and said[place] < objects[place]:
                said[place] += 1
                hits[place] += hit
        totals.append(np.stack([objects, objects - hits, said - hits]))
    mean = np.mean(totals, axis=0)
    worst = np.argsort(-(mean[1] + mean[2]), kind="stable")
    return [Missed(int(runs[0].ids[i]), *map(float, mean[:, i])) for i in worst if mean[1, i] + mean[2, i] > 0]


def curve(of: Configuration, fewer: Sequence[Group]) -> list[Point]:
    """The score of one configuration by the size of its training part, the smallest first.

    Args:
        of: trained on all.
        fewer: groups of the same task on fewer samples.
    """
    spec = of.runs[0]["method"]["spec"]
    those = [c for group in fewer for c in group.configurations if c.runs[0]["method"]["spec"] == spec]
    known = {n: Point(n, c.score, c) for c in (*those, of) if (n := samples(c.runs[0]))}
    return [known[n] for n in sorted(known)]


def last_gain(points: Sequence[Point]) -> Difference | None:
    """The score with all training samples less that with about half of them, on the same seeds and test samples."""
    return differences.difference(points[-1].of, points[-2].of) if len(points) > 1 else None
