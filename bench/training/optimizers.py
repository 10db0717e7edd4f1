"""Optimisers as people run them, as far as memory goes: their state, and what a step makes on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import unknown

UPDATES = ("foreach", "fused", "one by one")
SMALL = 4096
"""Values below which bitsandbytes keeps a state in float32."""


def make(kind: str, update: str, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """An optimiser for a step on shapes.

    Args:
        kind: one of `KINDS`.
        update: how torch's own go over the parameters: all at once, with temporaries as large as they are ("foreach",
            torch's default on CUDA), in one kernel ("fused"), or one after the other.
        parameters: what trains.
    """
    if kind not in KINDS:
        raise unknown("optimizer", kind, KINDS)
    if update not in UPDATES:
        raise unknown("update", update, UPDATES)
    how = {"foreach": update == "foreach", "fused": update == "fused"}
    return KINDS[kind](list(parameters), how)


def _adamw(parameters: list[nn.Parameter], how: dict[str, bool]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, **how)  # type: ignore[arg-type]


def _sgd(parameters: list[nn.Parameter], how: dict[str, bool]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-4, **how)  # type: ignore[arg-type]


def _plain(parameters: list[nn.Parameter], how: dict[str, bool]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.1, **how)  # type: ignore[arg-type]


class _Declared(torch.optim.Optimizer):
    """One whose state has the documented shapes.

    Args:
        parameters: what trains.
        state: of a parameter.
        temporaries: tensors of a parameter's size that its update makes.
    """

    def __init__(
        self, parameters: list[nn.Parameter], state: Callable[[Tensor], list[Tensor]], temporaries: int
    ) -> None:
        super().__init__(parameters, {})
        self._made, self._temporaries = state, temporaries

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Makes state and temporaries; moves nothing."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    if not self.state[p]:
                        self.state[p] = {str(n): each for n, each in enumerate(self._made(p))}
                    on_the_way = [torch.empty_like(p, dtype=torch.float32) for _ in range(self._temporaries)]
                    del on_the_way


def _adafactor(parameters: list[nn.Parameter], how: dict[str, bool]) -> torch.optim.Optimizer:
    """Rows' and columns' means of a matrix's squared gradients, no first moment (arXiv:1804.04235)."""

    def state(p: Tensor) -> list[Tensor]:
        shapes = [p.shape[:-1], p.shape[:-2] + p.shape[-1:]] if p.ndim > 1 else [p.shape]
        return [torch.empty(shape, dtype=torch.float32, device=p.device) for shape in shapes]

    return _Declared(parameters, state, 2)


def _eight_bit(parameters: list[nn.Parameter], how: dict[str, bool]) -> torch.optim.Optimizer:
    """Both moments in 8 bits, with a scale for each 256 values (arXiv:2110.02861)."""

    def state(p: Tensor) -> list[Tensor]:
        if p.numel() < SMALL:
            return [torch.empty(p.shape, dtype=torch.float32, device=p.device) for _ in range(2)]
        scales = [torch.empty(-(-p.numel() // 256), dtype=torch.float32, device=p.device) for _ in range(2)]
        return [*(torch.empty(p.shape, dtype=torch.uint8, device=p.device) for _ in range(2)), *scales]

    return _Declared(parameters, state, 0)


def _paged(parameters: list[nn.Parameter], how: dict[str, bool]) -> torch.optim.Optimizer:
    """Both moments in memory that the driver moves between host and device: none of the allocator's."""
    return _Declared(parameters, lambda p: [], 0)


KINDS: dict[str, Callable[[list[nn.Parameter], dict[str, bool]], torch.optim.Optimizer]] = {
    "adamw": _adamw,
    "adamw 8-bit": _eight_bit,
    "adamw paged": _paged,
    "adafactor": _adafactor,
    "sgd": _sgd,
    "sgd plain": _plain,
}
