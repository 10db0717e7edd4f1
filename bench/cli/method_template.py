"""What `bench new method` writes; NAME and MODULE are replaced. A test runs it through the checks."""

METHOD = '''"""NAME: what it does, in a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench.errors import BadInput
from bench.methods.branch import Branch, attach
from bench.methods.method import Method, freeze
from bench.sites import Site, select
from bench.space import Range, Space


@dataclass(frozen=True, repr=False)
class NAME(Method):
    """y ← y + scale·g ⊙ y, g ∈ R^out, starting at zero. Authors year, equation (arXiv:0000.00000).

    Args:
        scale: factor of g.
        at: roles to adapt (`bench.sites`).
        blocks: all (None), the first n, the last n (-n), or a range (start, stop).
    """

    scale: float = 1.0
    at: tuple[str, ...] = ("up", "down")
    blocks: int | tuple[int, int] | None = None

    # What tuning searches: the learning rate and the weight decay, and what is the method's own.
    space: ClassVar[Space] = {**Method.space, "scale": Range(0.1, 10.0, log=True)}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.above("scale", 0)

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Freezes the backbone and hangs a branch on every layer selected.

        Raises:
            BadInput: no site matches, or a layer is no Linear.
        """
        freeze(model)
        for site in select(sites, at=self.at, blocks=self.blocks):
            host = model.get_submodule(site.path)
            if not isinstance(host, nn.Linear):
                raise BadInput(f"NAME cannot adapt {site.path}: {type(host).__name__} is no Linear")
            attach(host, "MODULE", Gain(host, self.scale))

    # There is more that a method may have, and need not (bench/methods/method.py says all of it):
    #   departs = "why it does not start as the base"
    #   def rates(self, name): a factor on the learning rate of a parameter
    #   def penalty(self, model): a scalar that is minimised beside the loss
    #   def after_step(self, model, step, steps): what is done after every step; state lives in buffers
    #   def merged(self, model): a way of its own to fold it into the weights


class Gain(Branch):
    """y ← y + scale·g ⊙ y. A branch may have `before(x)` too, which changes what its host is given."""

    def __init__(self, host: nn.Linear, scale: float) -> None:
        super().__init__()
        weight = host.weight  # what is made stands where the network does, in its precision
        self.scale = scale
        self.g = nn.Parameter(torch.zeros(host.out_features, device=weight.device, dtype=weight.dtype))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x (…, in): the host's input; y (…, out): its output."""
        return y + self.scale * self.g * y

    @torch.no_grad()
    def fold(self, host: nn.Linear) -> None:
        """Scales the rows of W and the bias. Leave it out where the branch is not linear in the host's input."""
        gain = 1 + self.scale * self.g
        host.weight *= gain[:, None]
        if host.bias is not None:
            host.bias *= gain
'''

ROWS = '''"""NAME keeps the rules of every method: its rows, each on the networks that it fits."""

from __future__ import annotations

import pytest

from bench.training.method_checks import BERT, CHECKS, VIT
from MODULE import NAME

ROWS = [(NAME(), (VIT, BERT))]
CASES = [
    pytest.param(method, model, check, id=f"{method!r}-{model.name}-{name}")
    for method, models in ROWS
    for model in models
    for name, check in CHECKS.items()
]


@pytest.mark.parametrize(("method", "model", "check"), CASES)
def test_holds(method, model, check):
    check(method, model)
'''
