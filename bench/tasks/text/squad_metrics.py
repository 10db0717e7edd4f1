"""From logits to answers, and SQuAD's official figures on them."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.tasks.text.squad_windows import Spans

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(text: str) -> str:
    """Lower case, without punctuation, articles and needless white space, as the official script has it."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


def answer_scores(answer: str, references: Sequence[str], *, unanswerable: bool) -> tuple[float, float]:
    """Exact match and F1 of words, each the best over the references, in 0..1.

    They are those of the official scripts: of 1.1 (arXiv:1606.05250, section 6.1), or, where a set has questions
    without an answer, of 2.0 (arXiv:1806.03822), in which "" is the one right answer to those.

    Args:
        answer: the prediction.
        references: the answers that count; empty where there is none.
        unanswerable: whether the set has questions without an answer.
    """
    if unanswerable:
        references = [text for text in references if normalised(text)] or [""]
    exact = max(float(normalised(answer) == normalised(text)) for text in references)
    return exact, max(_f1(normalised(answer).split(), normalised(text).split(), unanswerable) for text in references)


def _f1(made: list[str], given: list[str], unanswerable: bool) -> float:
    if not made or not given:  # the script of 1.1 has 0 even where both are empty
        return float(unanswerable and made == given)
    same = sum((Counter(made) & Counter(given)).values())
    return 2 * same / (len(made) + len(given))  # 2PR / (P + R)


def window_losses(outputs: Tensor, targets: Spans, smoothing: float = 0.0) -> Tensor:
    """The mean of the cross-entropies of start and end over each window's own tokens, (N).

    Args:
        outputs: logits (N, L, 2); L may be longer than any window.
        targets: first and last tokens; where they are not known, what comes out means nothing.
        smoothing: ε of arXiv:1512.00567.
    """
    padding = torch.arange(outputs.shape[1], device=outputs.device) >= targets.length[:, None]
    logs = outputs.float().masked_fill(padding[:, :, None], -torch.inf).log_softmax(1)
    losses = -logs.gather(1, targets.span.clamp(min=0)[:, None, :]).squeeze(1)
    if smoothing:
        spread = -logs.masked_fill(padding[:, :, None], 0.0).sum(1) / targets.length[:, None]
        losses = (1 - smoothing) * losses + smoothing * spread
    return losses.mean(1)


def best_spans(outputs: Tensor, bounds: Tensor, *, longest: int) -> tuple[Tensor, Tensor, Tensor]:
    """The span of each window whose start and end logits sum highest.

    Args:
        outputs: logits (N, L, 2) of start and end.
        bounds: (N, 2) first token that a span may hold, and one past the last.
        longest: tokens that a span may have.

    Returns:
        Score, first and last token, each (N). -inf where no span is allowed.
    """
    places = torch.arange(outputs.shape[1])
    outside = (places < bounds[:, :1]) | (places >= bounds[:, 1:])
    start, end = (outputs[:, :, i].masked_fill(outside, -torch.inf) for i in (0, 1))
    # For every last token the best of the `longest` first ones that end there at the latest.
    begin, back = F.pad(start, (longest - 1, 0), value=-torch.inf).unfold(1, longest, 1).max(2)
    score, last = (begin + end).max(1)
    first = last - (longest - 1) + back.gather(1, last[:, None]).squeeze(1)
    return score, first, last


@dataclass
class _Best:
    """The best of a question's windows so far: a span, and the least score of having no answer."""

    score: float = -torch.inf
    text: str = ""
    null: float = torch.inf


def answers(outputs: Sequence[Tensor], targets: Sequence[Spans], *, longest: int) -> dict[int, str]:
    """The predicted answer to every question, by its number: the best span of all its windows.

    In a set with questions without an answer it is "" where "none" scores higher: the start and end logits of [CLS],
    in the window where they are lowest (arXiv:1810.04805, section 4.3, with a threshold of 0).
    """
    best: dict[int, _Best] = {}
    unanswerable = targets[0].windows.source.unanswerable
    for logits, spans in zip(outputs, targets, strict=True):
        windows, rows = spans.windows, spans.rows
        spanned = best_spans(logits, torch.from_numpy(windows.bounds[rows]), longest=longest)
        null = logits[torch.arange(len(rows)), torch.from_numpy(windows.null[rows]).long()].sum(1)
        values = (value.tolist() for value in (*spanned, null))
        for row, score, first, last, none in zip(rows, *values, strict=True):
            found = best.setdefault(int(windows.question[row]), _Best())
            if score > found.score:
                found.score, found.text = score, windows.text(row, first, last)
            found.null = min(found.null, none)
    return {number: "" if unanswerable and found.null > found.score else found.text for number, found in best.items()}
