"""Cross-entropy over a vocabulary without all logits at once."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from bench.costs.cuda_rules import as_now
from bench.errors import unknown

ROWS = 64
"""Tokens whose logits are in float32 at one time within the fused loss: its kernel has them in registers."""
IGNORED = -100

WHOLE = ("float32", "float32 shifted", "float32 shifted in place", "shifted")
PIECES = ("chunked", "float32 chunked", "recomputed")
PIECE = 1024
KINDS = (*WHOLE, *(f"{kind} N" for kind in PIECES), "fused")
"""How the loss of the next token is computed:

float32: of all logits at once, in float32 beside their own precision, as transformers has done since 4.50.
float32 shifted: and shifted by a copy, as from 4.46 on. "in place": the first logits given up, as before.
shifted: by a copy in their own precision.
chunked N: head and loss N tokens after the other, in the logits' precision (litgpt); all of them are kept for the
    backward pass. float32 chunked N: with each chunk's loss in float32 (torchtune).
recomputed N: with each chunk's logits computed again in the backward pass.
fused: with each chunk's gradient computed at once (Liger, arXiv:2410.10989); nothing else is kept.
"""


def checked(kind: str) -> str:
    """A kind of loss as it is written in full: "chunked" is "chunked 1024".

    Raises:
        BadInput: it is none (did you mean).
    """
    name, _, number = str(kind).rpartition(" ") if str(kind)[-1:].isdigit() else (str(kind), "", str(PIECE))
    if name in PIECES and number.isdigit() and int(number) > 0:
        return f"{name} {int(number)}"
    if kind not in (*WHOLE, "fused"):
        raise unknown("loss", str(kind), KINDS)
    return kind


def of_logits(logits: Tensor, labels: Tensor, *, kind: str) -> Tensor:
    """Mean cross-entropy of the next token, by one of `WHOLE`.

    Args:
        logits: (N, L, vocabulary). The caller's own reference to them must be gone for "in place".
        labels: (N, L); `IGNORED` for none.
        kind: "float32 shifted", …
    """
    if kind.startswith("float32"):
        logits = logits.float()
    shifted = logits[..., :-1, :].contiguous()
    return F.cross_entropy(shifted.view(-1, shifted.shape[-1]), labels[..., 1:].reshape(-1), ignore_index=IGNORED)


def of_hidden(hidden: Tensor, head: Any, labels: Tensor, *, kind: str, softcap: float | None = None) -> Tensor:
    """Mean cross-entropy of labels by their hidden states, without all logits at once.

    Args:
        hidden: (N, L, width).
        head: the output layer, with a weight (vocabulary, width) and a bias (vocabulary) or None.
        labels: (N, L), those of these hidden states; `IGNORED` for none.
        kind: "chunked 128", "recomputed 1024", "fused", …
        softcap: c of c·tanh(logits / c), Gemma 2's (arXiv:2408.00118); None for none.
    """
    rows, targets = hidden.reshape(-1, hidden.shape[-1]), labels.reshape(-1)
    if kind == "fused":
        kept: Tensor = _Fused.apply(rows, head.weight, targets, head.bias, softcap)  # type: ignore[no-untyped-call]
        return kept
    name, _, size = kind.rpartition(" ")

    def some(part: Tensor, wanted: Tensor) -> Tensor:
        logits = _capped(head(part), softcap)
        logits = logits if name == "chunked" else logits.float()
        return F.cross_entropy(logits, wanted, ignore_index=IGNORED, reduction="sum")

    total = rows.new_zeros((), dtype=torch.float32)
    for part, wanted in zip(rows.split(int(size)), targets.split(int(size)), strict=True):
        total = total + (_again(some, part, wanted) if name == "recomputed" else some(part, wanted))
    return total / (targets != IGNORED).sum()


def _again(compute: Any, *args: Tensor) -> Any:
    return checkpoint(compute, *args, use_reentrant=False, context_fn=lambda: (contextlib.nullcontext(), as_now()))


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, labels: Tensor, bias: Any, softcap: Any) -> Tensor:
        if bias is not None and bias.requires_grad:
            raise NotImplementedError("a bias of the output layer that trains, under loss='fused'")
        rows, matrix = _as_autocast(hidden), _as_autocast(weight)
        gradient = torch.zeros_like(rows)
        of_weight = torch.zeros_like(matrix) if weight.requires_grad else None
        n = (labels != IGNORED).sum()
        total = hidden.new_zeros((), dtype=torch.float32)
        # As many tokens at once as make logits about as large as the hidden states.
        size = 2 ** math.ceil(math.log2(max(1, len(rows) // max(1, -(-len(matrix) // rows.shape[1])))))
        with _without_autocast(hidden):
            for begin in range(0, len(rows), size):
                part = rows[begin : begin + size]
                logits = F.linear(part, matrix, None if bias is None else bias.to(matrix.dtype))
                total = total + _in_place(logits, labels[begin : begin + size], n, softcap)
                torch.mm(logits, matrix, out=gradient[begin : begin + size])
                if of_weight is not None:
                    of_weight.addmm_(logits.t(), part)
        ctx.save_for_backward(gradient.to(hidden.dtype), None if of_weight is None else of_weight.to(weight.dtype))
        return total / n

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> Any:
        gradient, of_weight = ctx.saved_tensors
        gradient.mul_(given[0])
        if of_weight is not None:
            of_weight.mul_(given[0])
        return gradient, of_weight, None, None, None


def _as_autocast(tensor: Tensor) -> Tensor:
    """In autocast's precision, where there is an autocast."""
    kind = tensor.device.type
    asked = kind != "meta" and torch.is_autocast_enabled(kind)
    return tensor.to(torch.get_autocast_dtype(kind)) if asked else tensor


def _without_autocast(tensor: Tensor) -> contextlib.AbstractContextManager[Any]:
    kind = tensor.device.type
    return contextlib.nullcontext() if kind == "meta" else torch.autocast(kind, enabled=False)


def _in_place(logits: Tensor, labels: Tensor, n: Tensor, softcap: float | None) -> Tensor:
    """The sum of the losses of some tokens; their logits become the gradient of the mean over n tokens."""
    total = logits.new_zeros((), dtype=torch.float32)
    for rows, wanted in zip(logits.split(ROWS), labels.split(ROWS), strict=True):
        raw = rows.float()
        capped = _capped(raw, softcap)
        log = F.log_softmax(capped, dim=1)
        total = total + F.nll_loss(log, wanted, ignore_index=IGNORED, reduction="sum")
        there = (wanted != IGNORED)[:, None]
        hit = wanted.clamp(min=0)[:, None]
        slope = log.exp_()
        slope.scatter_add_(1, hit, torch.full_like(hit, -1, dtype=slope.dtype))
        if softcap:
            slope.mul_(1 - (capped / softcap).square())
        rows.copy_(slope.mul_(there / n))
    return total


def _capped(logits: Tensor, softcap: float | None) -> Tensor:
    return softcap * torch.tanh(logits / softcap) if softcap else logits
