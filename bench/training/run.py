"""What a run is: its specification, and what it trains with: network, optimiser and step, put together here alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from bench.errors import BadInput
from bench.methods import Method
from bench.models import Backbone, adapt, checkpoint, count
from bench.models.prefix import frozen_prefix
from bench.tasks import Task
from bench.training.recipe import Step, Training, optimizer, precision
from bench.training.shifts import Shifts


@dataclass(frozen=True)
class Run:
    """What determines a result. `test` is False while tuning: then the test part is never looked at.

    A run of a trial names it in `trial`: whether it is pruned depends on the trials before. With an old task,
    `retained`, a tested run also tells what the network still knows of that. What does not determine the result:
    whether a tested run is `timed`, that is, measures its inference too, which is the same for every seed; and whether
    its trained weights are handed out, to `keep` them.
    """

    task: Task
    model: Any
    method: Method
    training: Training
    seed: int
    test: bool = True
    trial: str = ""
    retained: Task | None = None
    shifts: Shifts | None = None
    timed: bool = True
    keep: bool = False


class Network(nn.Module):
    """Backbone and head. Where a frozen prefix is cached, `features` is what comes after it.

    Args:
        backbone: adapted.
        head: on its features.
        added: what of the backbone's state the method has added (`Backbone.added`).
    """

    def __init__(self, backbone: nn.Module, head: nn.Module, added: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self.backbone, self.head, self.added = backbone, head, added
        self.features: Callable[[Any], Any] = backbone.__call__  # not the module, which would count twice

    def forward(self, x: Any) -> Any:
        """Inputs (or what the frozen prefix made of them) to outputs."""
        return self.head(self.features(x))


def assemble(run: Run, *, device: str, kernels: str = "", classes: int = 0) -> tuple[Backbone, Network]:
    """The adapted backbone under a head, from the seed alone: every method starts from the same head.

    What training itself draws (dropout, the regions that a detector samples) begins alike for every method too.
    On the device "meta" only shapes, without weights; `kernels` is then the type of device that they stand for.
    `classes` are told where the task's data need not be there.
    """
    backbone: Backbone = run.model.build(device=device, seed=run.seed, output=run.task.output, kernels=kernels)
    torch.manual_seed(run.seed)
    with torch.device(device):
        known: dict[str, Any] = {"classes": classes} if classes else {}
        head = run.task.head(backbone.width, **known).to(device)  # a pretrained one comes from the CPU
    adapt(backbone, run.method, like=(type(run.model), repr(run.model.untrained()), run.task.output))
    if run.training.label_smoothing and not getattr(run.task, "smooths", True):
        raise BadInput(f"label_smoothing={run.training.label_smoothing}: the loss of {run.task.name} knows none")
    if run.training.activation_checkpointing:
        checkpoint(backbone, every=run.training.checkpoint_every)
    torch.manual_seed(run.seed)
    return backbone, Network(backbone.module, head, backbone.added)


def counted(run: Run, backbone: Backbone, network: Network) -> dict[str, int]:
    """Trainable parameters of "backbone" and "head" and in "total", of an assembled network.

    Where the method trains fewer in the end than at the start, those of the end; and the backbone's of the "start".
    """
    start, head = count(backbone), sum(p.numel() for p in network.head.parameters())
    end = start - run.method.removed(backbone.module)
    return {"backbone": end, "head": head, "total": end + head} | ({"start": start} if end != start else {})


@dataclass(frozen=True)
class Ready:
    """What a run trains with.

    Args:
        backbone: adapted, and what it publishes of itself.
        network: the backbone under its head.
        step: one step of the run's optimiser on the network.
    """

    backbone: Backbone
    network: Network
    step: Step


def ready(run: Run, *, device: str) -> Ready:
    """Network, optimiser and step of a run, on a real device: what trains, times and measures goes through here."""
    backbone, network = assemble(run, device=device)
    resolved = precision(run.training.precision, device=device, pays=backbone.mixed_precision)
    return Ready(backbone, network, step_of(run, network, device=device, precision=resolved))


def step_of(run: Run, network: Network, *, device: str, precision: str) -> Step:
    """The step of a run on a network from `assemble`, for who must touch the network first: the optimiser holds on to
    the tensors that it is given.

    Args:
        run: what to train.
        network: assembled from it.
        device: of the network.
        precision: "bf16" or "fp32", as resolved.
    """
    method, body = run.method, network.backbone
    rule = optimizer(body, network.head, run.training, rates=method.rates)
    own = partial(method.penalty, body), partial(method.after_step, body)
    return Step(network, run.task.loss, rule, run.training, torch.device(device), precision, *own)


def behind_prefix(backbone: Backbone, network: Network, step: Step) -> Callable[[Any], Any] | None:
    """From here on the network begins behind its frozen prefix, if it has one.

    Returns:
        Inputs on the device → what the prefix makes of them, in the step's precision and without gradient; None where
        there is no prefix.
    """
    cut = frozen_prefix(backbone)
    if cut is None:
        return None
    network.features = cut.resume

    def before(inputs: Any) -> Any:
        with step.autocast():
            return cut.run(inputs)

    return before
