"""Extractive question answering: the answer is a span of the context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from bench.errors import BadInput
from bench.records.outcomes import Outcomes, collected
from bench.spec import Spec, check_numbers
from bench.tasks.classification import check_sizes
from bench.tasks.contract import Baseline, Data, on_cpu
from bench.tasks.data_summary import Understood, notes_of, sizes_of
from bench.tasks.pools import Pool, hold_out, split
from bench.tasks.text.squad_metrics import answer_scores, answers, window_losses
from bench.tasks.text.squad_read import HUB, Source, load
from bench.tasks.text.squad_windows import Spans, SpanSplit, windowed

Parts = tuple[Any, Any, Any]


@dataclass(frozen=True, repr=False)
class Squad(Spec):
    """Questions on paragraphs, answered by a span of them: SQuAD 1.1 (arXiv:1606.05250) and 2.0 (arXiv:1806.03822).

    p(start = i) = softmax_i(s · h_i), and likewise the end, over the tokens of a window (arXiv:1810.04805, section
    4.2); a window without the answer points at [CLS], and so does a question that has none. The dev part is tested
    on; validation is drawn from train, whole articles (contexts, where there are too few articles) at a time, so that
    no context is on two sides. Questions on contexts that are tested on too are left out of train and counted.

    Args:
        path: a folder with train*.json and dev*.json in SQuAD's JSON, one such file (a fifth is then held out for
            testing, once for all seeds), or "hub" for rajpurkar/squad ("hub-v2" for squad_v2).
        train, val, test: questions of each; None for all (val: a tenth, at most 1,000).
        stride: tokens that neighbouring windows of a long context share. A question gets half of what the stride
            leaves of the model's length, and is cut if it is longer.
        longest_answer: tokens that a predicted answer may have.
    """

    path: str = "hub"
    train: int | None = None
    val: int | None = None
    test: int | None = None
    stride: int = 128
    longest_answer: int = 30

    family: ClassVar[str] = "text"
    output: ClassVar[str] = "tokens"
    metric: ClassVar[str] = "f1"
    judged_by: ClassVar[str] = "loss"
    shows: ClassVar[tuple[str, ...]] = ("path",)

    def __post_init__(self) -> None:
        check_numbers(self)
        check_sizes(self)
        if self.stride < 0:
            raise BadInput(f"stride={self.stride}: windows cannot share fewer than 0 tokens")
        if self.longest_answer < 1:
            raise BadInput(f"longest_answer={self.longest_answer}: an answer has at least 1 token")

    @property
    def name(self) -> str:
        """ "squad", "squad-v2", or the file's or folder's own name."""
        if self.path in HUB:
            return self.path.replace("hub", "squad")
        return Path(self.path).expanduser().absolute().name.removesuffix(".json")

    @property
    def baselines(self) -> tuple[Baseline, ...]:
        """None."""
        return ()

    def pool(self) -> Pool:
        """All questions."""
        return load(self.path).pool

    def fingerprint(self) -> str:
        """sha256 of all questions, contexts and answers."""
        return self.pool().sha256

    def sizes(self) -> tuple[int, int, int]:
        """Questions of train, validation and test.

        Raises:
            BadInput: fewer questions than the split needs.
        """
        train, val, test = self._split(load(self.path), seed=0)
        return len(train), len(val), len(test)

    def understood(self) -> Understood:
        """Sizes of seed 0, and what was done to the questions."""
        source = load(self.path)
        sizes = sizes_of(self._split(source, seed=0))
        return Understood(self.name, "questions", sizes, notes=notes_of(source.pool))

    def data(self, inputs: Any, *, seed: int) -> Data:
        """The questions with their windows as the backbone's tokenizer cuts them.

        Raises:
            BadInput: fewer questions than the split needs, or a stride that leaves no room for them.
        """
        source = load(self.path)
        windows, parts = windowed(source, inputs, stride=self.stride), self._split(source, seed=seed)
        made = train, val, test = [SpanSplit(windows, windows.of(part), inputs.tokenizer) for part in parts]
        provenance: dict[str, Any] = {"data_sha256": source.pool.sha256}
        for name, part, rows in zip(("train", "val", "test"), parts, made, strict=True):
            provenance |= {f"{name}_samples": len(part), f"{name}_windows": len(rows)}
        provenance["questions_truncated"] = int(sum(windows.cut[part].sum() for part in parts))
        provenance["answers_beyond_windows_skipped"] = sum(windows.beyond(part) for part in parts)
        return Data(train, val, test, provenance=provenance | dict(source.pool.removed))

    def head(self, width: int) -> nn.Module:
        """Start and end logits of each token: (N, L, width) → (N, L, 2)."""
        return nn.Linear(width, 2)

    def stand_ins(self, inputs: Any) -> Spans:
        """The first token for each, of windows without padding."""
        n, length = inputs["input_ids"].shape
        span = torch.zeros_like(inputs["input_ids"][:, :2])
        unknown: Any = None  # which windows they are: for metrics alone
        return Spans(span, torch.full_like(span[:, 0], length), np.arange(n), unknown)

    def loss(self, outputs: Tensor, targets: Spans, *, smoothing: float = 0.0) -> Tensor:
        """The mean of the cross-entropies of start and end, over a window's own tokens.

        Args:
            outputs: logits (N, L, 2); L may be longer than any window.
            targets: first and last tokens; windows where they are not known do not count.
            smoothing: ε of arXiv:1512.00567.
        """
        known = targets.span[:, 0] >= 0
        return (window_losses(outputs, targets, smoothing) * known).sum() / known.sum().clamp(min=1)

    def keep(self, outputs: Tensor, targets: Spans) -> Tensor:
        """The logits."""
        return on_cpu(outputs)

    def metrics(self, outputs: Sequence[Tensor], targets: Sequence[Spans]) -> dict[str, float]:
        """Exact match and F1 over questions, as the official scripts have them but in 0..1; the loss over windows.

        Where some questions have no answer: also `has_answer_f1` over those that have one, and `no_answer_f1` (which
        equals their exact match), each where there are any.
        """
        known = [int((spans.span[:, 0] >= 0).sum()) for spans in targets]
        losses = (self.loss(made, given).item() * n for made, given, n in zip(outputs, targets, known, strict=True))
        loss = sum(losses) / max(1, sum(known))
        source, found = targets[0].windows.source, self._scored(outputs, targets)
        scores = {"f1": fmean(f1 for _, f1 in found.values()), "exact_match": fmean(em for em, _ in found.values())}
        if source.unanswerable:
            for name, there in (("has_answer_f1", True), ("no_answer_f1", False)):
                those = [f1 for i, (_, f1) in found.items() if bool(source.questions[i].answers) == there]
                scores |= {name: fmean(those)} if those else {}
        return scores | {"loss": loss}

    def outcomes(self, outputs: Sequence[Tensor], targets: Sequence[Spans], ids: np.ndarray) -> Outcomes:
        """Exact match, F1 and the loss of every question; of the loss the mean over its windows."""
        found = self._scored(outputs, targets)
        questions, rows = np.unique(ids, return_inverse=True)
        known = np.concatenate([(spans.span[:, 0] >= 0).numpy() for spans in targets])
        losses = torch.cat([window_losses(made, given) for made, given in zip(outputs, targets, strict=True)]).numpy()
        windows, total = np.bincount(rows, known), np.bincount(rows, losses * known)
        scores = np.array([found[int(number)] for number in questions])
        columns = {"exact": scores[:, 0] > 0, "f1": scores[:, 1], "nll": total / np.maximum(windows, 1)}
        return collected("answers", questions, columns | {"windows": windows})

    def _scored(self, outputs: Sequence[Tensor], targets: Sequence[Spans]) -> dict[int, tuple[float, float]]:
        """Exact match and F1 of every question, by its number."""
        source = targets[0].windows.source
        return {
            number: answer_scores(
                text, [answer.text for answer in source.questions[number].answers], unanswerable=source.unanswerable
            )
            for number, text in answers(outputs, targets, longest=self.longest_answer).items()
        }

    def _split(self, source: Source, *, seed: int) -> Parts:
        if self.test is not None and self.test > (there := len(hold_out(source.pool)[1])):
            raise BadInput(
                f"{self.name}: test={self.test} is more than the {there} questions that there are to test on"
            )
        return split(source.pool, train=self.train, val=self.val, test=self.test, seed=seed)
