"""TF-IDF and logistic regression: what texts give without any network, as a baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from bench.errors import unknown
from bench.spec import Spec
from bench.tasks.baselines.majority import NEVER
from bench.tasks.contract import Found
from bench.tasks.pools import Pool, hold_out, split

LARGEST = 50_000
"""Words and pairs of words kept, the most frequent ones."""

STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0)
"""Inverse regularisation strengths tried: as many as a method has learning rates.

Who changes these constants raises `PROTOCOL`: a record's id does not hold them."""


@dataclass(frozen=True, repr=False)
class TfidfLogistic(Spec):
    """Logistic regression on tf-idf of words and pairs of words (Sparck Jones 1972; sublinear tf, l2-normalised).

    Its regularisation C is chosen on validation among five values, and it is tested once.

    Args:
        texts: "same" fits it to the training texts that the methods are given; "all" to every development text that
            is not in validation (nor, where texts are grouped, of a group that is).
    """

    texts: str = "same"

    shows: ClassVar[tuple[str, ...]] = ("texts",)

    def __post_init__(self) -> None:
        if self.texts not in ("same", "all"):
            raise unknown("texts", str(self.texts), ("same", "all"))

    def label(self, task: Any) -> str:
        """ "TF-IDF + logistic regression, same 800 texts"; "…, all 9,612 texts" (of seed 0)."""
        return f"TF-IDF + logistic regression, {self.texts} {len(self._split(task, seed=0)[0]):,} texts"

    def evaluate(self, task: Any, *, seed: int) -> Found:
        """Fits, tunes and tests it on the split of one seed."""
        with threadpool_limits(1):  # products so small that threads wait for one another, on a busy machine for seconds
            return self._evaluate(task, seed)

    def _evaluate(self, task: Any, seed: int) -> Found:
        pool, parts = task.pool(), self._split(task, seed=seed)
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=LARGEST)
        words.fit(_texts(pool, parts[0]))
        (x, y), *rest = ((words.transform(_texts(pool, rows)), pool.labels[rows]) for rows in parts)
        tried = [LogisticRegression(C=strength, max_iter=1000).fit(x, y) for strength in STRENGTHS]
        scores = [task.metrics([_logits(task, model, rest[0][0])], [torch.from_numpy(rest[0][1])]) for model in tried]
        best = max(range(len(tried)), key=lambda i: (scores[i][task.metric], -scores[i]["loss"]))
        tuning = {
            "candidates": [
                {"C": strength, "score": found[task.metric], "loss": found["loss"], "status": "ok"}
                for strength, found in zip(STRENGTHS, scores, strict=True)
            ],
            "chosen": {"C": STRENGTHS[best]},
            "on": f"val/{task.metric}",
            "seeds": [seed],
            "shared_from": None,
            "edge": best in (0, len(STRENGTHS) - 1),
        }
        made = {
            part: (_logits(task, tried[best], x), y, rows)
            for part, (x, y), rows in zip(("val", "test"), rest, parts[1:], strict=True)
        }
        return Found.of(task, made, tuning)

    def _split(self, task: Any, *, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        pool = task.pool()
        train, val, test = split(pool, train=task.train, val=task.val, test=task.test, seed=seed)
        if self.texts == "all":
            train = np.setdiff1d(hold_out(pool, task.test)[0], val)
            if pool.groups is not None:
                train = train[~np.isin(pool.groups[train], pool.groups[val])]
        return train, val, test


def _texts(pool: Pool, rows: np.ndarray) -> list[str]:
    """The texts; the two of a pair as one."""
    found = (pool.read(int(i)) for i in rows)
    return [text if isinstance(text, str) else " ".join(text) for text in found]


def _logits(task: Any, model: LogisticRegression, x: Any) -> torch.Tensor:
    """Log-probabilities of all classes, (N, classes)."""
    logits = torch.full((x.shape[0], task.classes), NEVER)  # a class that the training texts lack
    logits[:, torch.from_numpy(model.classes_)] = torch.from_numpy(model.predict_log_proba(x)).float()
    return logits
