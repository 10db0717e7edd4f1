"""Several methods on one network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from bench.errors import BadInput
from bench.methods.bitfit import BitFit
from bench.methods.branch import merge_branches
from bench.methods.lora import LoRA
from bench.methods.method import Method
from bench.sites import Site
from bench.space import Choice, Range, Space


@dataclass(frozen=True, repr=False, init=False)
class Together(Method):
    """Several methods at once, put on in the order written: `Together(LoRA(rank=4), BitFit(), LayerNormTuning())`.

    What trains is what any part trains. One learning rate serves all, each part's own factors on it apart; its range
    is that of the part named first. The other hyper-parameters are searched under their part's name, "LoRA.alpha" (of
    a second LoRA "LoRA2.alpha").

    Args:
        parts: two methods or more; by default LoRA and BitFit.
    """

    parts: tuple[Method, ...]

    of_any_number: ClassVar[bool] = True

    def __init__(self, *placed: Method, parts: Sequence[Method] = ()) -> None:
        given = (*placed, *parts) or (LoRA(), BitFit())
        flat = [each for one in given for each in (one.parts if isinstance(one, Together) else (one,))]
        if not all(isinstance(each, Method) for each in flat):
            raise BadInput("Together: give methods, as Together(LoRA(rank=8), BitFit())")
        if len(flat) < 2:
            raise BadInput(f"Together: {flat[0]!r} is alone; give two methods or more")
        if len(set(flat)) < len(flat):
            raise BadInput("Together: the same method twice; leave one out")
        object.__setattr__(self, "parts", tuple(flat))

    def __repr__(self) -> str:
        return f"Together({', '.join(map(repr, self.parts))})"

    @property
    def named(self) -> dict[str, Method]:
        """The parts by the names under which they are searched and recorded."""
        kinds = [type(part).__name__ for part in self.parts]
        times = [kinds[: i + 1].count(kind) for i, kind in enumerate(kinds)]
        return {f"{kind}{n if n > 1 else ''}": part for kind, n, part in zip(kinds, times, self.parts, strict=True)}

    @property
    def config(self) -> dict[str, Any]:
        """Every part's fields, under its name."""
        return {f"{name}.{key}": value for name, part in self.named.items() for key, value in part.config.items()}

    @property
    def space(self) -> Space:  # type: ignore[override]
        """What is searched of every part; of what is the training's, a name's first range."""
        found: dict[str, Range | Choice] = {}
        for name, part in self.named.items():
            for key, one in part.space.items():
                found.setdefault(f"{name}.{key}" if key in part.config else key, one)
        return found

    def having(self, values: Mapping[str, Any]) -> Self:
        """The parts with other values of what `config` names."""
        own: dict[str, dict[str, Any]] = {name: {} for name in self.named}
        for key, value in values.items():
            name, _, field = key.partition(".")
            own[name][field] = value
        return type(self)(*(part.having(own[name]) for name, part in self.named.items()))

    @property
    def departs(self) -> str | None:  # type: ignore[override]
        """Why any part departs."""
        return "; ".join(part.departs for part in self.parts if part.departs) or None

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Puts one part after the other on the network; each decides on the base's parameters and on its own."""
        base, others = {id(p) for p in model.parameters()}, set[int]()
        trains: dict[int, nn.Parameter] = {}
        for part in self.parts:
            part.apply(model, sites)
            trains |= {id(p): p for p in model.parameters() if p.requires_grad and id(p) not in others}
            others |= {id(p) for p in model.parameters()} - base
        for p in model.parameters():
            p.requires_grad_(id(p) in trains)

    def rates(self, name: str) -> float:
        """The product of the parts' factors: each gives one to its own parameters."""
        return math.prod(part.rates(name) for part in self.parts)

    def penalty(self, model: nn.Module) -> Tensor | None:
        """The sum of the parts' penalties."""
        found = [penalty for part in self.parts if (penalty := part.penalty(model)) is not None]
        return torch.stack(found).sum() if found else None

    def after_step(self, model: nn.Module, step: int, steps: int) -> None:
        """What each part does, in order."""
        for part in self.parts:
            part.after_step(model, step, steps)

    def removed(self, model: nn.Module) -> int:
        """Of all parts."""
        return sum(part.removed(model) for part in self.parts)

    def merges(self, model: nn.Module) -> bool:
        """Whether any part claims it."""
        return any(part.merges(model) for part in self.parts)

    def merged(self, model: nn.Module) -> nn.Module | None:
        """Undoes the last part first: those that merge in their own way, then all branches."""
        done = False
        for part in reversed(self.parts):
            if type(part).merged is not Method.merged and (found := part.merged(model)) is not None:
                model, done = found, True
        return model if merge_branches(model) or done else None
