"""A forward pass of one example through a network that was just built: what comes out, and which modules are called."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import BadInput


@dataclass(frozen=True)
class Seen:
    """What a forward pass did.

    Args:
        output: shape of what came out, or of every map.
        called: how often each module was, by its path. What is not among them is no host: whatever reads its
            weight goes past what hangs there.
        gave: shape of what each module gave at last, where that was a tensor.
    """

    output: tuple[tuple[int, ...], ...]
    called: dict[str, int]
    gave: dict[str, tuple[int, ...]]

    @property
    def width(self) -> int:
        """Of the features."""
        return self.output[0][-1]

    def leaves_through(self, path: str) -> bool:
        """Whether the features of one input, one vector, are what the module `path` gave in its only call."""
        return self.called.get(path) == 1 and self.output == ((1, self.width),) == (self.gave.get(path),)


@contextlib.contextmanager
def in_evaluation(module: nn.Module) -> Iterator[None]:
    """Within, all of a network is in evaluation mode; afterwards each part is in its own again."""
    modes = {each: each.training for each in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for each, training in modes.items():
            each.training = training


def seen(module: nn.Module, example: Callable[[int], Any], *, name: str) -> Seen | None:
    """Runs one example through the network, in evaluation and without gradient; on "meta" that takes shapes alone.

    Returns:
        What the pass did, or None where the network cannot run without values.

    Raises:
        BadInput: the network cannot take such an input.
    """
    found: Any = Seen((), {}, {})
    hooks = [m.register_forward_hook(partial(_note, found, path)) for path, m in module.named_modules() if path]
    try:
        with torch.no_grad(), in_evaluation(module):
            output = module(example(1))
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if next(module.parameters()).is_meta and _needs_values(error):
            return None
        raise BadInput(f"{name} cannot take its own inputs: {_line(error)}") from error
    finally:
        for hook in hooks:
            hook.remove()
    outputs = (output,) if isinstance(output, Tensor) else tuple(output)
    if not all(isinstance(each, Tensor) for each in outputs):
        raise BadInput(f"{name} gives no features but {type(output).__name__}")
    return replace(found, output=tuple(tuple(each.shape) for each in outputs))


def _note(found: Seen, path: str, _module: nn.Module, _args: Any, output: Any) -> None:
    found.called[path] = found.called.get(path, 0) + 1
    if isinstance(output, Tensor):
        found.gave[path] = tuple(output.shape)


def _needs_values(error: Exception) -> bool:
    return isinstance(error, NotImplementedError) or "meta" in str(error).lower()


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
