"""What every method is: a frozen dataclass that edits a network in place and says what of it trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from bench.errors import BadInput, unknown
from bench.methods.branch import folds, merge_branches
from bench.sites import ROLES, Site
from bench.space import Range, Space
from bench.spec import Spec, check_numbers


class Method(Spec):
    """A fine-tuning method and its configuration.

    A method is one file: a frozen dataclass with `apply` and, where tuning should search other ranges than these,
    its own `space`. README.md beside it shows how one is added.
    """

    space: ClassVar[Space] = {
        "lr": Range(1e-4, 1e-2, log=True, default=1e-3),
        "weight_decay": Range(1e-4, 1e-1, log=True),
    }
    """What tuning searches: fields of the method, or of `Training`; every method gets the same number of trials."""

    departs: ClassVar[str | None] = None
    """Why the adapted network does not start as the base, as "prompts join the sequence"; None where it does."""

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Edits the backbone `model` in place and sets `requires_grad` on all of its parameters.

        Raises:
            BadInput: no site matches, or the configuration does not fit the network.
        """
        raise NotImplementedError

    def rates(self, name: str) -> float:
        """The factor, above zero, on the learning rate of the backbone's parameter `name`, as in `named_parameters`.

        LoRA+ (Hayou et al. 2024, arXiv:2402.12354) gives one to B.
        """
        return 1.0

    def penalty(self, model: nn.Module) -> Tensor | None:
        """What every step minimises beside the task's loss: a scalar; None for nothing.

        It is computed once a step, outside autocast, and its gradient is clipped with the loss's. The training loss
        that is reported, and the check for divergence, leave it out; the curve has its mean as "penalty".

        Args:
            model: the adapted backbone, as `apply` left it.
        """
        return None

    def after_step(self, model: nn.Module, step: int, steps: int) -> None:
        """Called after every step of the optimiser, without gradient: to allocate ranks, to follow a schedule.

        The gradients of the step, clipped, are still on the parameters. What it remembers lives in buffers of modules,
        made in `apply`: a persistent one is restored with the best epoch and counted in the checkpoint, one registered
        with `persistent=False` is neither. Of the backbone's own tensors it changes none that does not train.

        Args:
            model: the adapted backbone.
            step: steps done, 1 after the first.
            steps: of the whole training; patience may end it earlier.
        """

    def removed(self, model: nn.Module) -> int:
        """How many of the parameters that train are gone when training ends, as AdaLoRA's pruned ranks; 0 for none.

        Counts, records and figures show what is left, with what training starts with beside it.

        Args:
            model: the adapted backbone, as `apply` left it; its tensors may have shapes and no values.
        """
        return 0

    def merged(self, model: nn.Module) -> nn.Module | None:
        """Folds the method into the weights, so that inference costs what the base costs: by default its branches.

        `bench.methods.merge` calls it. A method that has no branches and merges in its own way overrides it.

        Args:
            model: the adapted backbone; it may be edited in place.

        Returns:
            The network that computes the same (up to rounding) with the base's `state_dict` keys: the same, or another
            one. None where nothing of the method can be merged.

        Raises:
            BadInput: it cannot be merged here.
        """
        return model if merge_branches(model) else None

    def merges(self, model: nn.Module) -> bool:
        """Whether something of it is claimed to fold into the weights: a branch folds, or it merges in its own way."""
        return type(self).merged is not Method.merged or any(folds(module) for module in model.modules())

    def having(self, values: Mapping[str, Any]) -> Self:
        """The method with other values of what its `config` names."""
        return replace(self, **values)  # type: ignore[type-var]

    def __post_init__(self) -> None:
        """Refuses values of the wrong kind, and brings `at` and `blocks` to one form."""
        check_numbers(self)
        if hasattr(self, "at"):
            at = (self.at,) if isinstance(self.at, str) else tuple(self.at)
            for role in at:
                if role not in ROLES:
                    raise unknown("role", str(role), ROLES)
            object.__setattr__(self, "at", tuple(sorted(set(at), key=ROLES.index)))
        if isinstance(getattr(self, "blocks", None), list):
            object.__setattr__(self, "blocks", tuple(self.blocks))  # type: ignore[attr-defined]

    def above(self, name: str, bound: float) -> None:
        """Refuses a field that is not above `bound`."""
        value: Any = getattr(self, name)
        if value <= bound:
            raise BadInput(f"{name} {value}: {type(self).__name__} needs {name} > {bound:g}")

    def at_least(self, name: str, least: float) -> None:
        """Refuses a field below `least` in one line: "rank 0: LoRA needs rank ≥ 1"."""
        value: Any = getattr(self, name)
        if value < least:
            raise BadInput(f"{name} {value}: {type(self).__name__} needs {name} ≥ {least}")


def merge(model: nn.Module, method: Method) -> nn.Module:
    """The network with the method folded into its weights, as far as it can be; give a copy to keep the unmerged one.

    Raises:
        BadInput: it cannot be merged exactly.
    """
    found = method.merged(model)
    return model if found is None else found


def freeze(model: nn.Module) -> None:
    """No parameter of `model` trains."""
    model.requires_grad_(False)
