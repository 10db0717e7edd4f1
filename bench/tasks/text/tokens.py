"""Texts as token ids: tokenised once, cached, padded only to the longest of their batch, batched by length."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor
from tqdm import tqdm

from bench.errors import say_once
from bench.tasks.caches import Arrays, cached
from bench.tasks.pools import Pool

CHUNK = 1000
"""Texts tokenised at a time, between two moves of the bar."""

MEGA = 50
"""Batches, at most, within which samples are sorted by length (as transformers' length-grouped sampler does)."""


@dataclass(frozen=True, eq=False)
class Tokens:
    """Token ids of many texts, end to end.

    Args:
        ids: of all texts, int32.
        kinds: token type of each id, uint8: 1 in the second text of a pair.
        starts: (n + 1) where each text begins; the last one where all end.
        cut: (n) whether the text was longer than the model takes.
    """

    ids: np.ndarray
    kinds: np.ndarray
    starts: np.ndarray
    cut: np.ndarray


def tokenised(pool: Pool, inputs: Any) -> Tokens:
    """The pool's texts (or pairs of texts) as the model's tokenizer cuts them, from the cache if they are there.

    A text longer than `inputs.length` tokens is truncated; a pair loses from its longer part first. How many are is
    said once.

    Args:
        pool: texts, or pairs of texts.
        inputs: the backbone's: `tokenizer`, `length` in tokens, and `sha256` of the tokenizer.
    """
    key = hashlib.sha256(f"{pool.sha256} {inputs.sha256} {inputs.length} v2".encode()).hexdigest()[:16]
    tokens = Tokens(**cached("tokens", f"{pool.name}-{key}", lambda: _tokenise(pool, inputs)))
    if count := int(tokens.cut.sum()):
        say_once(
            f"{pool.name}: {count} of {len(tokens.cut)} texts are longer than the {inputs.length} tokens that the "
            "model is given, and are cut (max_length=… of the model moves this)"
        )
    return tokens


def _tokenise(pool: Pool, inputs: Any) -> Arrays:
    ids, kinds, lengths, cut = [], [], [], []
    special = inputs.tokenizer.num_special_tokens_to_add
    between = "" if special(pair=True) > special(pair=False) else "\n"  # decoders put nothing between two texts
    bar = tqdm(total=len(pool.labels), desc=f"tokenise {pool.name}", unit="text", leave=False, delay=1, disable=None)
    with bar:
        for start in range(0, len(pool.labels), CHUNK):
            texts = [pool.read(i) for i in range(start, min(start + CHUNK, len(pool.labels)))]
            columns = (
                ([a for a, _ in texts], [between + b for _, b in texts]) if isinstance(texts[0], tuple) else (texts,)
            )
            found = inputs.tokenizer(*columns, truncation=True, max_length=inputs.length, return_token_type_ids=True)
            for encoding in found.encodings:
                ids.append(np.array(encoding.ids, np.int32))
                kinds.append(np.array(encoding.type_ids, np.uint8))
                lengths.append(len(encoding.ids))
                cut.append(bool(encoding.overflowing))
            bar.update(len(texts))
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return {"ids": np.concatenate(ids), "kinds": np.concatenate(kinds), "starts": starts, "cut": np.array(cut, bool)}


def bucketed(lengths: Tensor, size: int, order: Generator) -> list[Tensor]:
    """Batches of about equal lengths, in random order.

    All samples are shuffled and cut into some mega-batches; each is sorted by length and cut into batches.

    Args:
        lengths: of every sample, (n).
        size: samples a batch.
        order: what the shuffling is drawn from.
    """
    mega = size * max(1, min(MEGA, len(lengths) // (4 * size)))
    parts = torch.randperm(len(lengths), generator=order).split(mega)
    batches = [batch for part in parts for batch in part[lengths[part].argsort(stable=True)].split(size)]
    return [batches[i] for i in torch.randperm(len(batches), generator=order)]


def padded(tokens: Tokens, rows: np.ndarray, tokenizer: Any) -> Any:
    """A batch of texts as the network takes it, padded on the right to its longest.

    Args:
        tokens: of all texts.
        rows: which of them, (n).
        tokenizer: says what to pad with, and which inputs the network takes.

    Returns:
        A `BatchEncoding` of int64 tensors (n, L): input_ids, attention_mask, and token_type_ids where they are used.
    """
    from transformers import BatchEncoding

    begin, end = tokens.starts[rows], tokens.starts[rows + 1]
    places = np.arange(int((end - begin).max()))[None, :]
    mask = places < (end - begin)[:, None]
    where = np.where(mask, begin[:, None] + places, 0)
    made = {"input_ids": np.where(mask, tokens.ids[where], tokenizer.pad_token_id), "attention_mask": mask}
    if "token_type_ids" in tokenizer.model_input_names:
        made["token_type_ids"] = np.where(mask, tokens.kinds[where], 0)
    return BatchEncoding({name: torch.from_numpy(values.astype(np.int64)) for name, values in made.items()})


class TextSplit:
    """Texts in memory as token ids, sorted by length, so that evaluation pads little too.

    Args:
        tokens: of the whole pool.
        rows: the texts of this part.
        labels: of the whole pool.
        tokenizer: for padding.
    """

    views = 1

    def __init__(self, tokens: Tokens, rows: np.ndarray, labels: np.ndarray, tokenizer: Any) -> None:
        lengths = tokens.starts[rows + 1] - tokens.starts[rows]
        order = np.argsort(lengths, kind="stable")
        self.tokens, self.rows, self.tokenizer = tokens, rows[order], tokenizer
        self.ids = self.rows
        self.lengths, self.labels = torch.from_numpy(lengths[order]), torch.from_numpy(labels[self.rows])

    def __len__(self) -> int:
        return len(self.rows)

    def some(self, index: Tensor) -> TextSplit:
        """A part of them."""
        found = copy.copy(self)
        found.rows, found.ids = self.rows[index.numpy()], self.ids[index.numpy()]
        found.lengths, found.labels = self.lengths[index], self.labels[index]
        return found

    def inputs(self, index: Tensor, view: Tensor | None = None) -> Any:
        """A `BatchEncoding`, as `padded` makes it."""
        return padded(self.tokens, self.rows[index.numpy()], self.tokenizer)

    def targets(self, index: Tensor, view: Tensor | None = None) -> Tensor:
        """Class indices (n), int64, or numbers, float32."""
        return self.labels[index]

    def batches(self, size: int, order: Generator) -> list[Tensor]:
        """Texts of about equal length together."""
        return bucketed(self.lengths, size, order)


def retold(split: TextSplit, pool: Pool, inputs: Any, change: Callable[[str], str]) -> TextSplit:
    """The texts of a split, each changed, both of a pair: tokenised anew and not cached.

    Args:
        split: of `pool`.
        pool: all texts.
        inputs: the backbone's.
        change: of one text.
    """
    known = [pool.read(int(i)) for i in split.ids]
    texts = [tuple(map(change, text)) if isinstance(text, tuple) else change(text) for text in known]
    labels = pool.labels[split.ids]
    tokens = Tokens(**_tokenise(replace(pool, labels=labels, read=lambda i: texts[i]), inputs))
    found = TextSplit(tokens, np.arange(len(texts)), labels, inputs.tokenizer)
    found.ids = split.ids[found.rows]
    return found


def fresh(texts: Sequence[Any], inputs: Any) -> TextSplit:
    """New texts, or pairs of texts, as a split with no labels; `ids` are their places. Nothing is cached.

    Args:
        texts: at least one.
        inputs: the backbone's.
    """
    none = np.zeros(len(texts), np.int64)
    pool = Pool("texts", none, 1, lambda i: texts[i], lambda i: f"text {i}", "", np.arange(len(texts)))
    return TextSplit(Tokens(**_tokenise(pool, inputs)), np.arange(len(texts)), none, inputs.tokenizer)


def splits(pool: Pool, parts: Sequence[np.ndarray], inputs: Any) -> tuple[list[TextSplit], dict[str, Any]]:
    """Train, validation and test of a pool of texts.

    Args:
        pool: all texts.
        parts: indices of train, validation and test.
        inputs: the backbone's.

    Returns:
        The parts, and what the record says of them: sizes, texts cut, samples left out.
    """
    tokens = tokenised(pool, inputs)
    made = [TextSplit(tokens, rows, pool.labels, inputs.tokenizer) for rows in parts]
    sizes = {f"{name}_samples": len(part) for name, part in zip(("train", "val", "test"), made, strict=True)}
    cut = {"texts_truncated": int(sum(tokens.cut[rows].sum() for rows in parts))}
    return made, {"data_sha256": pool.sha256, **sizes, **cut, **pool.removed}
