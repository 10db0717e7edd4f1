"""What every method is: a frozen dataclass that edits a network in place and says what of it trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, ClassVar

from torch import nn

from bench.errors import BadInput
from bench.sites import Site
from bench.spec import Spec


class Method(Spec):
    """A fine-tuning method and its configuration.

    A method is one file: a frozen dataclass with `apply` and, where a tuning run should try other learning rates
    than these, its own `learning_rates`. See CONTRIBUTING.md.
    """

    learning_rates: ClassVar[tuple[float, ...]] = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
    """Candidates on a log scale; every method declares the same number, so that all get the same budget."""

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Edits the backbone `model` in place and sets `requires_grad` on all of its parameters.

        Raises:
            BadInput: no site matches, or the configuration does not fit the network.
        """
        raise NotImplementedError

    def __post_init__(self) -> None:
        """Brings `at` and `blocks` to tuples, and refuses values of the wrong kind."""
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if field.name == "at":
                value = (value,) if isinstance(value, str) else tuple(value)
                object.__setattr__(self, "at", value)
            elif field.name == "blocks" and isinstance(value, list):
                object.__setattr__(self, "blocks", tuple(value))
            elif isinstance(field.default, bool) != isinstance(value, bool) or (
                isinstance(field.default, int | float) and not isinstance(value, int | float)
            ):
                raise BadInput(f"{field.name}={value!r}: {type(self).__name__} needs a {type(field.default).__name__}")
            elif isinstance(field.default, int) and not isinstance(value, int):
                raise BadInput(f"{field.name}={value!r}: {type(self).__name__} needs a whole number")

    def at_least(self, name: str, least: float) -> None:
        """Refuses a field below `least` in one line: "rank 0: LoRA needs rank ≥ 1"."""
        value: Any = getattr(self, name)
        if not value >= least:
            raise BadInput(f"{name} {value}: {type(self).__name__} needs {name} ≥ {least}")


def freeze(model: nn.Module) -> None:
    """No parameter of `model` trains."""
    model.requires_grad_(False)
