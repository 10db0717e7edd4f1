"""Questions with their contexts as token ids: long contexts in overlapping windows, and where the answers lie."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor
from tqdm import tqdm

from bench.errors import BadInput
from bench.tasks.caches import Arrays, cached
from bench.tasks.text.squad_read import Question, Source
from bench.tasks.text.tokens import TextSplit, Tokens

CHUNK = 500
"""Questions tokenised at a time, between two moves of the bar."""

SHORTEST = 8
"""Tokens that must be left for a question, and as many for each window's step through the context."""


@dataclass(frozen=True, eq=False)
class Windows:
    """Every question with each window of its context, [CLS] question [SEP] window [SEP] or as the tokenizer has it.

    Args:
        tokens: ids of the n windows.
        offsets: (ids, 2) characters of context (or question) that each token stands for.
        bounds: (n, 2) first token of the context in the window, and one past its last.
        null: (n) the token that "no answer" points at: [CLS], or the first.
        spans: (n, 2) first and last token of the answer; `null` twice where the window does not hold it; -1 where it
            cannot be told.
        question: (n) number of the question.
        cut: (questions) whether the question was too long, and cut.
        source: the questions.
    """

    tokens: Tokens
    offsets: np.ndarray
    bounds: np.ndarray
    null: np.ndarray
    spans: np.ndarray
    question: np.ndarray
    cut: np.ndarray
    source: Source

    def of(self, questions: np.ndarray) -> np.ndarray:
        """The windows of some questions."""
        return np.flatnonzero(np.isin(self.question, questions))

    def text(self, window: int, first: int, last: int) -> str:
        """What a window's tokens first..last stand for, as it is written in the context."""
        start = self.tokens.starts[window]
        begin, end = self.offsets[start + first, 0], self.offsets[start + last, 1]
        return self.source.questions[self.question[window]].context[begin:end]

    def beyond(self, questions: np.ndarray) -> int:
        """How many of some questions have an answer that no window holds whole."""
        held = np.zeros(len(self.cut), bool)
        held[self.question[self.spans[:, 0] != self.null]] = True
        return sum(bool(self.source.questions[i].answers) and not held[i] for i in questions)


@dataclass(frozen=True, eq=False)
class Spans:
    """Targets of a batch of windows.

    Args:
        span: (n, 2) first and last token of the answer, -1 where unknown, int64.
        length: (n) tokens of each window: what comes after is padding.
        rows: which windows they are.
        windows: all windows, for the metrics.
    """

    span: Tensor
    length: Tensor
    rows: np.ndarray
    windows: Windows

    def to(self, device: Any, non_blocking: bool = False) -> Spans:
        """With the tensors on another device."""
        span, length = (value.to(device, non_blocking=non_blocking) for value in (self.span, self.length))
        return replace(self, span=span, length=length)


class SpanSplit:
    """The windows of one part of the questions, sorted by length and batched by it.

    Args:
        windows: of all questions.
        rows: the windows of this part.
        tokenizer: for padding.
    """

    views = 1

    def __init__(self, windows: Windows, rows: np.ndarray, tokenizer: Any) -> None:
        self.windows = windows
        self.text = TextSplit(windows.tokens, rows, np.arange(len(windows.question)), tokenizer)
        self.ids, self.lengths = windows.question[self.text.rows], self.text.lengths

    def __len__(self) -> int:
        return len(self.text)

    def inputs(self, index: Tensor, view: Tensor | None = None) -> Any:
        """A `BatchEncoding`, padded to its longest window."""
        return self.text.inputs(index)

    def targets(self, index: Tensor, view: Tensor | None = None) -> Spans:
        """Where the answers lie."""
        rows = self.text.targets(index).numpy()
        span = torch.from_numpy(self.windows.spans[rows].astype(np.int64))
        return Spans(span, self.text.lengths[index], rows, self.windows)

    def batches(self, size: int, order: Generator) -> list[Tensor]:
        """Windows of about equal length together."""
        return self.text.batches(size, order)


def windowed(source: Source, inputs: Any, *, stride: int) -> Windows:
    """All questions and contexts as the model's tokenizer cuts them, from the cache if they are there.

    Args:
        source: the questions.
        inputs: the backbone's: `tokenizer`, `length` in tokens, and `sha256` of the tokenizer.
        stride: tokens that two neighbouring windows of a context share.

    Raises:
        BadInput: the stride leaves no room for a question.
    """
    # Half of what is left is the question's at most, so that a window goes on through the context by the other half.
    room = (inputs.length - inputs.tokenizer.num_special_tokens_to_add(pair=True) - stride) // 2
    if room < SHORTEST:
        raise BadInput(
            f"stride={stride} of {inputs.length} tokens leaves {max(0, room)} for a question and as many for a "
            f"window's step, at least {SHORTEST} are needed: give a smaller stride, or the model a larger max_length"
        )
    pool = source.pool
    parts = f"{pool.sha256} {inputs.sha256} {inputs.length} {stride} windows v1"
    name = f"{pool.name}-{hashlib.sha256(parts.encode()).hexdigest()[:16]}"
    found = dict(cached("tokens", name, lambda: _tokenise(source, inputs, stride=stride, room=room)))
    ids, kinds, starts = (found.pop(key) for key in ("ids", "kinds", "starts"))
    tokens = Tokens(ids, kinds, starts, cut=np.zeros(len(starts) - 1, bool))
    return Windows(tokens, source=source, **found)


def _tokenise(source: Source, inputs: Any, *, stride: int, room: int) -> Arrays:
    rows: list[dict[str, np.ndarray]] = []
    questions, numbers, shortened = source.questions, list[int](), list[bool]()
    bar = tqdm(
        desc=f"tokenise {source.pool.name}", total=len(questions), unit="question", leave=False, delay=1, disable=None
    )
    with bar:
        for begin in range(0, len(questions), CHUNK):
            chunk = questions[begin : begin + CHUNK]
            asked = _cut([question.question for question in chunk], inputs.tokenizer, room)
            shortened += [short != question.question for short, question in zip(asked, chunk, strict=True)]
            found = inputs.tokenizer(
                asked, [question.context for question in chunk], truncation="only_second", max_length=inputs.length,
                stride=stride, return_overflowing_tokens=True, return_token_type_ids=True,
            )  # fmt: skip
            for encoding, number in zip(found.encodings, found["overflow_to_sample_mapping"], strict=True):
                rows.append(_window(encoding, chunk[number], inputs.tokenizer.cls_token_id))
                numbers.append(begin + number)
            bar.update(len(chunk))
    lengths = [len(row["ids"]) for row in rows]
    made = {key: np.concatenate([row[key] for row in rows]) for key in ("ids", "kinds", "offsets")}
    made |= {key: np.stack([row[key] for row in rows]) for key in ("bounds", "null", "spans")}
    made["starts"] = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return made | {"question": np.array(numbers, np.int64), "cut": np.array(shortened, bool)}


def _cut(questions: Sequence[str], tokenizer: Any, most: int) -> list[str]:
    """The questions, each without what comes after its first `most` tokens."""
    found = tokenizer(list(questions), add_special_tokens=False, verbose=False).encodings
    return [
        question if len(encoding.ids) <= most else question[: encoding.offsets[most - 1][1]]
        for question, encoding in zip(questions, found, strict=True)
    ]


def _window(encoding: Any, question: Question, cls: int | None) -> dict[str, np.ndarray]:
    """One window: its tokens, and where the first reference answer lies in it."""
    ids, offsets = np.array(encoding.ids, np.int32), np.array(encoding.offsets, np.int32)
    inside = np.flatnonzero(np.array([part == 1 for part in encoding.sequence_ids]))
    first, last = (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)
    null = encoding.ids.index(cls) if cls in encoding.ids else 0
    return {
        "ids": ids,
        "kinds": np.array(encoding.type_ids, np.uint8),
        "offsets": offsets,
        "bounds": np.array([first, last], np.int32),
        "null": np.array(null, np.int32),
        "spans": np.array(_span(offsets[first:last], question, first, null), np.int32),
    }


def _span(offsets: np.ndarray, question: Question, first: int, null: int) -> tuple[int, int]:
    """First and last token of the answer; the tokens that it begins or ends within count."""
    if not question.answers:
        return null, null
    answer = next((answer for answer in question.answers if answer.start >= 0), None)
    if answer is None:
        return -1, -1
    begin, end = answer.start, answer.start + len(answer.text)
    if not len(offsets) or offsets[0, 0] > begin or offsets[-1, 1] < end:
        return null, null
    touched = np.flatnonzero((offsets[:, 1] > begin) & (offsets[:, 0] < end))
    return (first + int(touched[0]), first + int(touched[-1])) if len(touched) else (null, null)
