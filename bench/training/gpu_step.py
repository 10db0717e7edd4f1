"""Memory of a step as people carry it out on GPUs: what is allocated, what is reserved, what nvidia-smi shows.

`bench.training.memory_forecast` estimates our own training; here weights, optimiser and attention are as a `Setup`
says, and two whole steps are followed from the first weight on, block by block, through CUDA's caching allocator.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from bench.costs.allocator import reserved
from bench.costs.cuda_rules import CudaRules
from bench.costs.cuda_share import WORKSPACE, Followed, Share
from bench.costs.memory import Moment, Tracker, tensors_of
from bench.costs.quantised import KINDS
from bench.errors import BadInput
from bench.models import Backbone, NeedsValues
from bench.models.reduced import reducible
from bench.training import optimizers
from bench.training.gpu_setup import Setup, cached, carry_out, packed, would_pack
from bench.training.memory_forecast import UNTRACEABLE, give_bytes
from bench.training.recipe import MIDWAY, penalised, set_mode
from bench.training.run import Network, Run, assemble

STEPS = 2  # the first makes the optimiser's state, the second has it from the start


@dataclass(frozen=True)
class Estimate:
    """Bytes of a step.

    Args:
        allocated: at the peak.
        reserved: by the caching allocator.
        shown: by nvidia-smi.
        rounding: of what is allocated at the peak, to blocks of 512 bytes.
        after: allocated once a step is done, its gradients still there.
        gradients: of them.
        phases: the peak of each phase of the last step.
    """

    allocated: int
    reserved: int
    shown: int
    rounding: int
    after: int
    gradients: int
    phases: dict[str, Moment]

    @property
    def own(self) -> Share:
        """CUDA's own: workspaces and rounding are in `allocated`; the rest comes on top of it."""
        return Share(2 * WORKSPACE, self.rounding, self.reserved - self.allocated, self.shown - self.reserved)

    @property
    def phase(self) -> str:
        """Where the peak is."""
        return max(self.phases.values(), key=lambda moment: moment.total).phase


def estimate(run: Run, setup: Setup) -> Estimate:
    """The memory of a run's training step as a setup carries it out, for CUDA, without one.

    Args:
        run: model, method, task and batch size; of its training, activation checkpointing too.
        setup: the rest.

    Raises:
        BadInput: a method that does not fit the model or the setup, or a step that cannot be traced.
    """
    backbone, network, mode = prepared(run, setup)
    with mode, CudaRules():
        rule = optimizers.make(setup.optimizer, setup.update, _trainable(network))
        return followed(run, backbone, network, setup, rule)


def _untraceable(run: Run, why: str) -> BadInput:
    what = f"memory of {run.task.name} on {run.model.name} cannot be estimated: the step depends on values ({why})"
    other = "with --task rotten-tomatoes" if run.task.output.startswith("loss") else "without --base and the like"
    return BadInput(f"{what}; {other} a real step is tried on the CPU")


def _unpacked(run: Run, backbone: Backbone, setup: Setup) -> BadInput:
    if reducible(backbone.module):
        return would_pack(run.method, setup.base)
    return BadInput(f"{run.model!r} has no Linear layers, and {setup.base} packs no others: say --base bf16")


def _trainable(network: Network) -> list[nn.Parameter]:
    return [p for p in network.parameters() if p.requires_grad]


def prepared(run: Run, setup: Setup) -> tuple[Backbone, Network, FakeTensorMode]:
    """The network as a setup stores it, without bytes, and the mode of its tensors. Raises BadInput as `estimate`."""
    if run.task.output == "maps":
        raise _untraceable(run, "a detector matches boxes")
    if getattr(run.model, "base", "fp32") != "fp32":
        raise BadInput(
            f"{run.model!r} says itself how it is stored: leave its base out, and say --base {run.model.base}"
        )
    try:
        backbone, network = assemble(replace(run, model=run.model.untrained()), device="meta", kernels="cuda")
    except NeedsValues as error:
        raise _untraceable(run, str(error).rpartition(": ")[2]) from error
    carry_out(backbone, network, setup)
    mode = FakeTensorMode()
    with mode, CudaRules():
        give_bytes(network, "cpu")
        if setup.base in KINDS and not packed(backbone.module, setup.base):
            raise _unpacked(run, backbone, setup)
        network.train() if setup.dropout else set_mode(network)
    if not _trainable(network):
        raise BadInput(f"{run.method!r} trains only a head, and {run.task!r} has none: say --task rotten-tomatoes")
    return backbone, network, mode


def followed(
    run: Run, backbone: Backbone, network: Network, setup: Setup, rule: torch.optim.Optimizer, *, steps: int = STEPS
) -> Estimate:
    """The memory of some steps of what was `prepared`, by an optimiser that has its state already or makes it."""
    trainable, tracker = _trainable(network), Followed()
    tracker.see([*network.parameters(), *network.buffers()], part="weights")
    tracker.see(list(rule.state.values()), part="optimizer")
    tracker.see([p.grad for p in trainable if p.grad is not None], part="gradients")
    hooks = [p.register_post_accumulate_grad_hook(lambda p: tracker.see(p.grad, part="gradients")) for p in trainable]
    buckets = [torch.empty_like(p) for p in trainable] if setup.gpus > 1 else []
    tracker.see(buckets, part="gradients")
    for _ in range(2):
        tracker.make(WORKSPACE)
    after = peak = 0
    for _ in range(steps):
        tracker.peaks.clear()
        try:
            after = _step(run, backbone, network, setup, rule, tracker)
        except UNTRACEABLE as error:
            raise _untraceable(run, type(error).__name__) from error
        peak = max(peak, *(moment.total for moment in tracker.peaks.values()))
    [hook.remove() for hook in hooks]
    kept, size = reserved(tracker.events), sum(p.nbytes for p in trainable)
    return Estimate(peak, kept, kept + setup.context, tracker.rounding, after, size, dict(tracker.peaks))


def _step(
    run: Run, backbone: Backbone, network: Network, setup: Setup, rule: torch.optim.Optimizer, tracker: Followed
) -> int:
    """One step of the optimiser; what is allocated when it is done."""
    for number in range(min(setup.accumulation, 2)):
        with tracker:
            loss = forward(run, backbone, network, setup, tracker)
            if setup.gradients == "freed late" and not number:
                rule.zero_grad()
            with tracker.during("backward", "other"):
                loss.backward()
                del loss
                penalised(run.method.penalty(backbone.module))
    with tracker:
        with tracker.during("update", "other"):
            if setup.clip:
                nn.utils.clip_grad_norm_([p for g in rule.param_groups for p in g["params"]], 1.0, foreach=True)
            rule.step()
            torch.no_grad()(run.method.after_step)(backbone.module, *MIDWAY)
            tracker.see(list(rule.state.values()), part="optimizer")
        after = sum(tracker.bytes.values())
        if setup.gradients != "freed late":
            rule.zero_grad(set_to_none=setup.gradients == "freed")
    return after


def forward(run: Run, backbone: Backbone, network: Network, setup: Setup, tracker: Tracker) -> Tensor:
    """The loss of a batch, on what was `prepared`; the tracker counts what that makes."""
    inputs = backbone.batch(run.training.batch_size)
    if isinstance(inputs, Tensor) and not setup.autocast:
        inputs = inputs.to(setup.dtype)
    targets = run.task.stand_ins(inputs)
    tracker.see((tensors_of(inputs), tensors_of(targets)), part="other")
    with (
        tracker.during("forward", "activations"),
        torch.autocast("cpu", torch.bfloat16, enabled=setup.autocast),
        cached(backbone) if setup.cache else contextlib.nullcontext(),
    ):
        loss: Tensor = run.task.loss(network(inputs), targets, smoothing=0.0)
    return loss
