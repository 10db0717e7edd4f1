"""GLUE: single sentences and pairs of sentences, classified or scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.errors import unknown
from bench.records.outcomes import Outcomes
from bench.tasks.contract import Baseline
from bench.tasks.metrics import classification_metrics, regression_metrics, regression_outcomes
from bench.tasks.pools import Pool
from bench.tasks.text.glue_sets import GLUE, load, plain
from bench.tasks.text.task import TextTask

__all__ = ["GLUE", "Glue"]


@dataclass(frozen=True, repr=False)
class Glue(TextTask):
    """A set of GLUE (arXiv:1804.07461): sst2, cola, mrpc, rte, qnli, qqp, mnli or stsb.

    GLUE keeps the labels of its test parts to itself, so its validation part is tested on here (of MNLI the matched
    one; the mismatched one is left out), and a part of train is held out to choose on. Training pairs that are also
    tested on, that occur twice or whose copies differ in label are left out and counted. WNLI is not among them: its
    validation part shares sentences with train under opposite labels.

    The figure that counts is GLUE's own: accuracy (`top1`) for SST-2, RTE, QNLI and MNLI, Matthews' correlation for
    CoLA, Pearson's for STS-B (Spearman's beside it). For MRPC and QQP, of which GLUE reports accuracy and F1, it is
    the F1 of class 1: their classes are unequal (68 and 37 in a hundred are paraphrases), so that accuracy flatters
    the commoner one.

    Args:
        set: name of the set; "SST-2" and "sts_b" do as well.
        root: a folder with the set, or with a folder of it: as `save_to_disk` writes it, or train and validation
            files in .parquet, .jsonl, .json or .csv with the hub's columns, or GLUE's own train.tsv and dev.tsv.
            None for `nyu-mll/glue` of the Hugging Face hub.
        train: at most so many samples, stratified by class; None for all.
        val: samples of train to hold out; None for a tenth, at most 1,000.
        test: at most so many of GLUE's validation samples; None for all.
        head_kind: "linear", or "mlp": Linear, tanh, Linear.
    """

    set: str
    root: str | None = None
    train: int | None = None
    val: int | None = None
    test: int | None = None
    head_kind: str = "linear"

    def __post_init__(self) -> None:
        if plain(str(self.set)) not in GLUE:
            raise unknown("set of GLUE", str(self.set), GLUE)
        object.__setattr__(self, "set", plain(self.set))  # equal settings have equal texts
        super().__post_init__()

    @property
    def name(self) -> str:
        """The set's name."""
        return self.set

    @property
    def metric(self) -> str:  # type: ignore[override]  # the other tasks have one for all their sets
        """GLUE's own figure for the set."""
        return GLUE[self.set].metric

    @property
    def smooths(self) -> bool:
        """Whether label smoothing acts on its loss: there are labels."""
        return self.classes > 1

    @property
    def classes(self) -> int:
        """Number of classes; 1 for STS-B, whose head predicts a number."""
        return GLUE[self.set].classes

    @property
    def baselines(self) -> tuple[Baseline, ...]:
        """The majority class, TF-IDF and logistic regression; none for STS-B, which has no classes."""
        return super().baselines if self.classes > 1 else ()

    def pool(self) -> Pool:
        """All samples of the set."""
        return load(self.set, self.root)

    def stand_ins(self, inputs: Any) -> Tensor:
        """The first class for each, or the score 0."""
        targets = super().stand_ins(inputs)
        return targets if self.classes > 1 else targets.float()

    def loss(self, outputs: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
        """Cross-entropy; for STS-B the mean squared error, which knows no label smoothing.

        Args:
            outputs: (N, classes).
            targets: class indices (N), or scores (N).
            smoothing: ε of arXiv:1512.00567.
        """
        if self.classes > 1:
            return super().loss(outputs, targets, smoothing=smoothing)
        return F.mse_loss(outputs.float().squeeze(1), targets)

    def metrics(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> dict[str, float]:
        """As `classification_metrics`, with `f1` or `matthews` where GLUE has it; or `regression_metrics`."""
        from sklearn.metrics import f1_score, matthews_corrcoef

        made, given = torch.cat(list(outputs)), torch.cat(list(targets))
        if self.classes == 1:
            return regression_metrics(made.squeeze(1), given)
        scores, guessed = classification_metrics(made, given), made.argmax(1).numpy()
        if self.metric == "f1":
            scores["f1"] = float(f1_score(given.numpy(), guessed, zero_division=0.0))
        if self.metric == "matthews":
            # Undefined where all guesses are of one class: scikit-learn has 0 then, as is the convention.
            scores["matthews"] = float(matthews_corrcoef(given.numpy(), guessed))
        return scores

    def outcomes(self, outputs: Sequence[Tensor], targets: Sequence[Tensor], ids: np.ndarray) -> Outcomes:
        """As `classification_outcomes` or `regression_outcomes`."""
        if self.classes > 1:
            return super().outcomes(outputs, targets, ids)
        return regression_outcomes(torch.cat(list(outputs)).squeeze(1), torch.cat(list(targets)), ids)
