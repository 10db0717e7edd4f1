"""How a run trains: options, precision, optimiser, schedule, and what is in training mode."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench.errors import BadInput, unknown
from bench.models.dropout import drops_in_training
from bench.spec import Spec, check_numbers


@dataclass(frozen=True, repr=False)
class Training(Spec):
    """How a run trains: the same for every method but for the learning rate, which is tuned.

    Args:
        lr: peak learning rate of the backbone; of the head where nothing else trains (a linear probe).
        head_lr: peak learning rate of the head otherwise: one for all methods, or the methods' own rates, which lie
            a hundredfold apart, would compare heads.
        epochs: passes over the training part; validation follows each.
        batch_size: samples a step.
        epoch_steps: steps that an epoch has whatever the size of the training part, which is passed over as often as
            they take, the last time in part; 0 for one whole pass. So that training parts of several sizes compare
            data, not numbers of steps.
        optimizer: "adamw" (arXiv:1711.05101) or "sgd" with momentum 0.9.
        weight_decay: of matrices and kernels; vectors (biases, norms, scales) and what the network itself exempts
            (timm's position embeddings and class tokens) have none.
        warmup: share of the steps in which the rate rises linearly; a cosine to zero follows (arXiv:1608.03983).
        label_smoothing: ε of arXiv:1512.00567, for tasks that know it.
        clip_norm: largest norm of the whole gradient; 0 for none.
        precision: "bf16" or "fp32" autocast, "auto" for bf16 where it is faster on that device and network.
        patience: epochs without a better validation score after which to stop; 0 to run them all.
        activation_checkpointing: keep only what enters each block for the backward pass, and compute the rest there
            again (Chen et al. 2016, arXiv:1604.06174): less memory, more time, the same result.
        checkpoint_every: of what blocks, with `activation_checkpointing`: 1 for all, k for every k-th.
        accumulate: parts in which a batch passes the network, one after the other, before its one step: less memory,
            the same gradient where the loss is a mean over samples. Batch statistics that train (a BatchNorm's) are
            then of a part, and so is what a detector's loss divides by.
    """

    lr: float = 1e-3
    head_lr: float = 1e-3
    epochs: int = 5
    batch_size: int = 32
    epoch_steps: int = 0
    optimizer: str = "adamw"
    weight_decay: float = 0.01
    warmup: float = 0.1
    label_smoothing: float = 0.0
    clip_norm: float = 1.0
    precision: str = "auto"
    patience: int = 0
    activation_checkpointing: bool = False
    checkpoint_every: int = 1
    accumulate: int = 1

    shows: ClassVar[tuple[str, ...]] = ("lr", "epochs")

    def __post_init__(self) -> None:
        check_numbers(self)
        for name in ("epochs", "batch_size", "accumulate", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name} {getattr(self, name)}: training needs a whole number ≥ 1")
        for name in ("lr", "head_lr"):
            if getattr(self, name) <= 0:
                raise BadInput(f"{name} {getattr(self, name)}: training needs a learning rate > 0")
        for name in ("weight_decay", "clip_norm", "patience", "epoch_steps"):
            if getattr(self, name) < 0:
                raise BadInput(f"{name} {getattr(self, name)}: needs a value ≥ 0")
        if not (0 <= self.warmup < 1 and 0 <= self.label_smoothing < 1):
            raise BadInput("warmup and label_smoothing need values from 0 up to, not including, 1")
        if self.accumulate > self.batch_size:
            raise BadInput(f"accumulate {self.accumulate}: a batch of {self.batch_size} has no more parts than samples")
        if self.checkpoint_every > 1 and not self.activation_checkpointing:
            raise BadInput(f"checkpoint_every {self.checkpoint_every}: say activation_checkpointing=True too")
        if self.optimizer not in ("adamw", "sgd"):
            raise unknown("optimizer", self.optimizer, ("adamw", "sgd"))
        if self.precision not in ("auto", "bf16", "fp32"):
            raise unknown("precision", self.precision, ("auto", "bf16", "fp32"))


def precision(wanted: str, *, device: str, pays: bool) -> str:
    """Resolves "auto": bf16 on a GPU that has it, and on a CPU that has it if it `pays` for the network; else fp32."""
    if wanted != "auto":
        return wanted
    if torch.device(device).type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    able: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return "bf16" if pays and (able.get("avx512_bf16") or able.get("amx_bf16") or able.get("bf16")) else "fp32"


def set_mode(module: nn.Module) -> None:
    """Puts into training mode what trains, and what draws at random where the model was asked for dropout.

    A frozen backbone has no moving batch statistics: a part is in training mode if all of its parameters train, or, for
    what a method added or freed (except in a normalisation), some of its own do. Of a model with dropout or drop-path
    (none has any unless asked) all is, under every method, but for normalisations that do not train so.
    """
    _set_mode(module)
    for network in module.modules():
        if drops_in_training(network):
            for part in network.modules():
                part.training |= not _has_statistics(part)


def _set_mode(module: nn.Module) -> None:
    trains = [p.requires_grad for p in module.parameters()]
    if trains and all(trains):
        module.train()
        return
    own = [p.requires_grad for p in module.parameters(recurse=False)]
    module.training = any(own) and not _has_statistics(module)
    for child in module.children():
        _set_mode(child)


def _has_statistics(module: nn.Module) -> bool:
    """Whether training mode would move statistics of a module's own, as a BatchNorm's."""
    kept = any("running" in name or "num_batches" in name for name in module._buffers)
    return kept or isinstance(module, nn.modules.batchnorm._NormBase)


def _alike(name: str) -> float:
    return 1.0


def optimizer(
    backbone: nn.Module, head: nn.Module, training: Training, *, rates: Callable[[str], float] = _alike
) -> torch.optim.Optimizer:
    """The optimiser over what trains. Each group keeps its peak learning rate as `peak`, for the schedule.

    Args:
        backbone: adapted.
        head: on top of it.
        training: which optimiser, and its rates.
        rates: a factor on the rate of the backbone's parameter of a name (`Method.rates`).

    Raises:
        BadInput: a factor that is no finite number above zero.
    """
    exempt = set(getattr(backbone, "no_weight_decay", set)())
    groups: list[dict[str, Any]] = []
    alone = not any(p.requires_grad for p in backbone.parameters())
    of_head = training.lr if alone else training.head_lr
    for part, rate, factors in ((backbone, training.lr, rates), (head, of_head, _alike)):
        alike: dict[tuple[bool, float], list[nn.Parameter]] = {}
        for name, p in part.named_parameters():
            if p.requires_grad:
                alike.setdefault((p.ndim <= 1 or name in exempt, _factor(name, factors)), []).append(p)
        for (spared, factor), parameters in sorted(alike.items(), key=lambda each: each[0]):
            peak, decay = rate * factor, 0.0 if spared else training.weight_decay
            groups.append({"params": parameters, "weight_decay": decay, "lr": peak, "peak": peak})
    if training.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=0.9)
    return torch.optim.AdamW(groups, fused=True)


def _factor(name: str, rates: Callable[[str], float]) -> float:
    factor = rates(name)
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor < math.inf:
        raise BadInput(f"rates({name!r}) is {factor!r}: a factor on the learning rate is a number above 0")
    return float(factor)


def schedule(step: int, *, steps: int, warmup: float) -> float:
    """Factor of the peak learning rate at `step` of `steps`: linear warm-up, then a cosine to zero."""
    rising = max(1, round(warmup * steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def penalised(penalty: Tensor | None) -> Tensor | None:
    """Adds a penalty's gradient to that of the loss. Returns it, detached.

    Raises:
        BadInput: it is no scalar.
    """
    if penalty is not None and (not isinstance(penalty, Tensor) or penalty.ndim):
        said = f"of shape {tuple(penalty.shape)}" if isinstance(penalty, Tensor) else type(penalty).__name__
        raise BadInput(f"the method's penalty is {said}: it must be a scalar tensor, or None")
    if penalty is not None and penalty.requires_grad:
        penalty.backward()
    return None if penalty is None else penalty.detach()


Part = tuple[Any, Any, float]
"""Inputs, targets, and the share that they are of a batch."""

MIDWAY = (1, 2)
"""The number of a step and of all steps, for one that is of no training: so methods with a schedule are amid it."""


def _nothing(*_: Any) -> None:
    return None


@dataclass(frozen=True)
class Step:
    """One step of the optimiser: what a run does over and over, and what its costs are measured on.

    Args:
        network: inputs → outputs.
        loss: (outputs, targets, smoothing=…) → a scalar.
        rule: the optimiser.
        training: clips the gradient and smooths labels.
        device: of the network.
        precision: "bf16" or "fp32", as resolved.
        penalty: what the method minimises beside the loss, or None (`Method.penalty`).
        after: what it does after the step of a number, of how many (`Method.after_step`).
    """

    network: nn.Module
    loss: Callable[..., Tensor]
    rule: torch.optim.Optimizer
    training: Training
    device: torch.device
    precision: str
    penalty: Callable[[], Tensor | None] = _nothing
    after: Callable[[int, int], None] = _nothing

    def __call__(self, x: Any, targets: Any, lap: Callable[[str], None] = _nothing) -> Tensor:
        """One step, which calls `lap` at the end of each phase with its name. Returns the loss, detached."""
        return self.over([(x, targets, 1.0)], lap)[0]

    def over(
        self, parts: Iterable[Part], lap: Callable[[str], None] = _nothing, *, at: tuple[int, int] = MIDWAY
    ) -> tuple[Tensor, Tensor | None]:
        """One step on a batch in parts, Σ share·loss: each passes forward and backward before the next is made.

        Args:
            parts: of the batch.
            lap: called at the end of each phase with its name, for every part.
            at: the step's number, 1 for the first, and that of all steps.

        Returns:
            The loss of the whole, and the method's penalty if it has one, detached.
        """
        self.rule.zero_grad(set_to_none=True)
        losses = []
        for x, targets, share in parts:
            loss = self.forward(x, targets)
            loss = loss * share if share < 1 else loss
            losses.append(loss.detach())
            lap("forward")
            loss.backward()
            del loss, x, targets
            lap("backward")
        penalty = self.finish()
        self.update(*at)
        lap("update")
        return torch.stack(losses).sum(), penalty

    def forward(self, x: Any, targets: Any) -> Tensor:
        """The loss of a batch."""
        with self.autocast():
            return self.loss(self.network(x), targets, smoothing=self.training.label_smoothing)

    def backward(self, loss: Tensor) -> None:
        """The whole gradient, clipped."""
        loss.backward()
        self.finish()

    def finish(self) -> Tensor | None:
        """Adds the penalty's gradient, and clips the sum. Returns the penalty, detached."""
        penalty = penalised(self.penalty())
        self.clip()
        return penalty

    def update(self, step: int, steps: int) -> None:
        """Moves the parameters, and lets the method do what it does after the step of this number."""
        self.rule.step()
        with torch.no_grad():
            self.after(step, steps)

    def clip(self) -> None:
        """Scales the gradient down to the norm that it may have."""
        if self.training.clip_norm:
            trainable = [p for group in self.rule.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(trainable, self.training.clip_norm)

    def autocast(self) -> Any:
        """The precision that the run resolved to."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")
