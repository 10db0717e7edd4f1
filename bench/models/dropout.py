"""Dropout, drop-path and their like: none by default; for every method where a model is asked for some.

A frozen network in evaluation mode has none, whatever its configuration says, and full fine-tuning would have: the two
would then be compared under different regularisation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from bench.errors import BadInput

_RATES = ("p", "prob", "drop_prob", "rate")
"""What modules whose class says that they drop call their rate."""
_PATHS = ("path", "depth", "layer", "connect")
"""What names a rate, or a module, that leaves out a whole residual branch and not single values."""


def silence(network: nn.Module, *, paths: bool = True) -> None:
    """Sets every rate at which a network drops something in training to zero.

    Those of dropout, drop-block, patches and, if `paths`, of whole branches; in modules of their own and as numbers
    that a module hands to a function. This comes before any method, whose own dropout stays.
    """
    for module in network.modules():
        kind = type(module).__name__.lower()
        drops = "drop" in kind or kind == "stochasticdepth"
        for name, value in vars(module).items():
            is_rate = isinstance(value, float) and ("drop" in name.lower() or (drops and name in _RATES))
            of_what = kind if drops else name.lower()
            if is_rate and (paths or not any(word in of_what for word in _PATHS)):
                setattr(module, name, 0.0)


def silence_configuration(config: Any, *, dropout: float = 0.0) -> None:
    """Sets the rates in a configuration of transformers, and of its parts: of dropout as given, all others to zero.

    A rate that is None is left: it stands for another one's value.
    """
    for key, value in list(vars(config).items()):
        if hasattr(value, "to_dict"):
            silence_configuration(value, dropout=dropout)
        elif "drop" in key and isinstance(value, int | float) and not isinstance(value, bool):
            of_values = ("dropout" in key or "pdrop" in key) and not any(word in key for word in _PATHS)
            rate = dropout if of_values else 0.0
            vars(config)[key] = type(value)(rate) if rate == 0 else rate  # MPT's would refuse what is no whole number


def for_every_method(network: nn.Module, *, asked: str, example: Callable[[int], Any]) -> None:
    """If `asked`, what a network drops in training acts under every method: in frozen parts too, else in evaluation.

    `bench.training.recipe.set_mode` and `bench.models.prefix` heed it.

    Args:
        network: without a method.
        asked: what was asked for, as "dropout=0.1 of 'gpt2'"; "" for nothing.
        example: makes n inputs.

    Raises:
        BadInput: the network has nothing that it would reach.
    """
    network.drops_in_training = bool(asked)  # type: ignore[assignment]
    if asked and not _draws(network, example):
        raise BadInput(f"{asked} would change nothing: this network drops nothing anywhere; leave it out")


def _draws(network: nn.Module, example: Callable[[int], Any]) -> bool:
    """Whether a pass in training draws random numbers; also where it cannot be passed, as then nobody knows."""
    was_training, seen, inputs = network.training, _Draws(), example(2)
    network.train()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]), seen:
            network(inputs)
    except Exception:  # on shapes alone
        return True
    finally:
        network.train(was_training)
    return seen.any


class _Draws(TorchDispatchMode):
    """Notes whether an operation is one that draws; attention only where it is given a rate."""

    any = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.nondeterministic_seeded in func.tags:
            given = dict(zip((each.name for each in func._schema.arguments), args, strict=False)) | (kwargs or {})
            self.any |= "scaled_dot_product" not in func.name() or given.get("dropout_p", 0.0) > 0
        return func(*args, **(kwargs or {}))


def drops_in_training(network: nn.Module) -> bool:
    """Whether that was asked for."""
    return bool(getattr(network, "drops_in_training", False))
