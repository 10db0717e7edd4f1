"""Dropout, drop-path and their like: none by default; for every method where a model is asked for some.

A frozen network in evaluation mode has none, whatever its configuration says, and full fine-tuning would have: the two
would then be compared under different regularisation.
"""

from __future__ import annotations

from typing import Any

from torch import nn

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


def for_every_method(network: nn.Module, *, asked: bool) -> None:
    """If `asked`, what a network drops in training acts under every method: in frozen parts too, else in evaluation.

    `bench.training.recipe.set_mode` and `bench.models.prefix` heed it.
    """
    network.drops_in_training = asked  # type: ignore[assignment]


def drops_in_training(network: nn.Module) -> bool:
    """Whether that was asked for."""
    return bool(getattr(network, "drops_in_training", False))
