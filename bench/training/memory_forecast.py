"""Memory of a run before it is run: the real training step on tensors that have shapes and no bytes.

What it cannot estimate so, a step with data-dependent control flow (a detector that matches boxes), is done once for
real on the CPU, with random weights and random inputs, and said to be.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from timm.layers import use_fused_attn
from torch import nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    UnsupportedFakeTensorException,
)

from bench.costs.cuda_rules import CudaRules
from bench.costs.cuda_share import CONTEXT, WORKSPACE, Followed, Share
from bench.costs.memory import Memory, Moment, Tracker, track
from bench.errors import BadInput, say_once
from bench.models import Backbone, NeedsValues
from bench.training.recipe import Training, precision, set_mode
from bench.training.run import Network, Run, assemble, behind_prefix, step_of

UNTRACEABLE = (DataDependentOutputException, DynamicOutputShapeException, UnsupportedFakeTensorException)
FEW = (2, 4)
"""Batches that are done for real where a step cannot be traced; larger ones are extended from them."""
FOR_REAL = 4 * 2**30
"""Bytes of weights up to which a network that needs values is made on the CPU to try it."""
OF_MEMORY = (
    "batch_size", "optimizer", "clip_norm", "label_smoothing", "precision", "activation_checkpointing",
    "checkpoint_every", "accumulate",
)  # fmt: skip
"""Of a training, what its memory depends on."""


@dataclass(frozen=True)
class Forecast:
    """The memory that a run's training would take.

    Args:
        memory: its peak and what that is made of.
        kind: "foretold" from shapes alone, "tracked" on a real step, or "extended" from two such of smaller batches.
        batch: samples a step.
        device: type of device that it holds for.
        precision: "bf16" or "fp32".
    """

    memory: Memory
    kind: str
    batch: int
    device: str
    precision: str

    @property
    def peak(self) -> int:
        """Bytes at the peak of training."""
        return self.memory.peak.total

    @property
    def own(self) -> Share | None:
        """CUDA's own share, which comes on top of the peak, but for the rounding; None for other devices."""
        if self.device != "cuda":
            return None
        workspaces = 2 * WORKSPACE
        return Share(workspaces, self.memory.rounding, self.reserved - self.peak - workspaces, CONTEXT)

    @property
    def reserved(self) -> int:
        """Bytes that CUDA's caching allocator would keep."""
        return self.memory.reserved

    @property
    def data(self) -> dict[str, Any]:
        """As records and JSON have it, in bytes."""
        peaks = {phase: moment.total for phase, moment in self.memory.phases.items()}
        return {
            "peak": self.peak,
            "breakdown": self.memory.peak.breakdown,
            "phase": self.memory.peak.phase,
            "phases": peaks,
            "evaluation": peaks["evaluation"],
            "batch": self.batch,
            "device": self.device,
            "precision": self.precision,
            "kind": self.kind,
        }


def forecast(run: Run, *, device: str = "cpu") -> Forecast:
    """The memory of a run's training step at its batch size, without weights, data or device.

    Texts have the most tokens that the model takes, pictures the model's size. For CUDA, where there is none, the step
    is traced on the CPU by `CudaRules`.

    Args:
        run: what would be trained; its data are not read.
        device: what it would be trained on, as torch names it.

    Raises:
        BadInput: a device that torch does not know, or a method that does not fit the model.
    """
    kind = type_of(device)
    try:
        return _forecast(run, kind, traced=True)
    except (*UNTRACEABLE, NeedsValues) as error:
        if isinstance(error, NeedsValues) and _weights(run) > FOR_REAL:
            raise
        say_once(
            f"memory of {run.task.name} on {run.model.name}: what this step does depends on its data, so that shapes "
            "alone do not tell; real ones of few samples are done on the CPU, which takes seconds to minutes"
        )
        if run.training.batch_size <= FEW[-1]:
            return _forecast(run, kind, traced=False)
    few = [replace(run, training=replace(run.training, batch_size=n)) for n in FEW]
    return _extended([_forecast(each, kind, traced=False) for each in few], run.training.batch_size)


KNOWN: dict[tuple[Run, str], Forecast] = {}
"""Estimates by what they depend on, `alike`, and the device; those of another process are put here too."""


def forecast_once(run: Run, *, device: str) -> Forecast:
    """The same, made once for all runs that differ in what memory does not depend on: learning rates, epochs, seeds."""
    same = alike(run), device
    if same not in KNOWN:
        found = forecast(same[0], device=device)
        KNOWN[same] = replace(found, memory=replace(found.memory, curve=()))
    return KNOWN[same]


def alike(run: Run) -> Run:
    """The run for all that take the same memory."""
    same = Training(**{key: getattr(run.training, key) for key in OF_MEMORY})
    return replace(run, training=same, seed=0, test=True, trial="", timed=True, keep=False)


def _extended(found: list[Forecast], batch: int) -> Forecast:
    """The straight line through two forecasts, by part and phase: tensors are of a fixed size, or of one a sample.

    A phase's peak may lie elsewhere in a large batch than in a small one: then it is somewhat more than this. A part
    that is less in the larger batch, as the peak has moved, stays as it is there: none is ever less than nothing.
    """
    (few, small), (more, large) = ((each.batch, each.memory.phases) for each in found)
    phases = {
        phase: Moment(
            phase,
            {part: m + max(m - n, 0) * (batch - more) // (more - few) for part, n, m in _both(moment, large[phase])},
        )
        for phase, moment in small.items()
    }
    peak = max((moment for phase, moment in phases.items() if phase != "evaluation"), key=lambda moment: moment.total)
    kept = [each.reserved for each in found]
    reserved = kept[1] + (kept[1] - kept[0]) * (batch - more) // (more - few)
    memory = Memory(peak, phases, reserved=reserved, rounding=found[1].memory.rounding)
    return replace(found[0], memory=memory, kind="extended", batch=batch)


def _both(one: Moment, other: Moment) -> Iterator[tuple[str, int, int]]:
    return ((part, n, other.breakdown[part]) for part, n in one.breakdown.items())


def _forecast(run: Run, kind: str, *, traced: bool) -> Forecast:
    """By a traced step, or by one for real on the CPU."""
    random = replace(run, model=run.model.untrained())
    backbone, network = assemble(random, device="meta" if traced else "cpu", kernels=kind)
    here = "cuda" if traced and kind == "cuda" and torch.cuda.is_available() else "cpu"
    _say_attention(network)
    resolved, counted = resolved_precision(run, backbone, kind), Followed(here) if kind == "cuda" else Tracker(here)
    if not traced:
        memory = _tracked(random, backbone, network, resolved, counted)
        return Forecast(memory, "tracked", *_facts(run, kind, resolved))
    as_there = CudaRules() if kind == "cuda" and here == "cpu" else contextlib.nullcontext()
    with FakeTensorMode(), as_there:
        give_bytes(network, here)
        memory = _tracked(random, backbone, network, resolved, counted)
    return Forecast(memory, "foretold", *_facts(run, kind, resolved))


def _say_attention(network: nn.Module) -> None:
    """Warns of timm's switch, which a run here obeys too."""
    if not use_fused_attn() and any(hasattr(each, "fused_attn") for each in network.modules()):
        say_once(
            "TIMM_FUSED_ATTN=0: timm computes attention step by step here and keeps its probabilities, as a run would, "
            "and so the estimate has them; unset it for fused attention"
        )


def resolved_precision(run: Run, backbone: Backbone, kind: str) -> str:
    """The precision that a run would have on a type of device, there or not."""
    if kind == "cuda" and not _there(kind) and run.training.precision == "auto":
        return "bf16"  # as every CUDA device since 2020 has it
    return precision(run.training.precision, device=kind if _there(kind) else "cpu", pays=backbone.mixed_precision)


def _weights(run: Run) -> int:
    """Bytes of the network's weights, from shapes alone."""
    return sum(p.nbytes for p in run.model.build(device="meta").module.parameters())


def _facts(run: Run, kind: str, resolved: str) -> tuple[int, str, str]:
    return run.training.batch_size, kind, resolved


def _tracked(run: Run, backbone: Backbone, network: Network, resolved: str, tracker: Tracker) -> Memory:
    """The step that `bench.training.loop` would do, with the features of a frozen prefix computed before it."""
    set_mode(network)
    device = tracker.device
    step = step_of(run, network, device=device, precision=resolved)
    before = behind_prefix(backbone, network, step)

    def batch() -> tuple[Any, Any]:
        inputs = part_of_batch(run, backbone)
        return inputs, run.task.stand_ins(inputs)

    def evaluate() -> None:
        network.eval()
        inputs = _inputs(backbone, 2 * run.training.batch_size)
        with torch.no_grad(), step.autocast():
            network(before(inputs) if before else inputs)

    passes = min(run.training.accumulate, 2)
    return track(step, batch, device=device, tracker=tracker, prefix=before, evaluate=evaluate, passes=passes)


def part_of_batch(run: Run, backbone: Backbone) -> Any:
    """Inputs that pass the network at once: of a batch, or of the largest part of one that is accumulated."""
    return _inputs(backbone, -(-run.training.batch_size // run.training.accumulate))


def _inputs(backbone: Backbone, n: int) -> Any:
    """Inputs of the largest size: texts as long as the model takes them, one of them a token shorter.

    Nearly every batch has such padding; where one has none, transformers leaves the mask and what it costs out.
    """
    inputs = backbone.batch(n)
    if hasattr(backbone.inputs, "length"):
        inputs["attention_mask"][0, -1] = 0
    return inputs


def give_bytes(network: nn.Module, device: str) -> None:
    """Puts tensors of the device in the place of those of "meta"; what shares one goes on to share it."""
    made: dict[int, Any] = {}

    def there(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in made:
            new = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=device)
            is_parameter = isinstance(tensor, nn.Parameter)
            made[id(tensor)] = nn.Parameter(new, requires_grad=tensor.requires_grad) if is_parameter else new
        return made[id(tensor)]  # type: ignore[no-any-return]

    for module in network.modules():
        for held in (module._parameters, module._buffers):
            for name, tensor in held.items():
                if tensor is not None:
                    held[name] = there(tensor)  # type: ignore[assignment]


def _there(kind: str) -> bool:
    return kind == "cpu" or (kind == "cuda" and torch.cuda.is_available())


def type_of(device: str) -> str:
    """The type of a device.

    Raises:
        BadInput: torch does not know it.
    """
    try:
        kind = torch.device(device).type
    except RuntimeError:
        raise BadInput(f"device {device!r}: torch does not know it; say cpu, cuda, mps, …") from None
    if kind == "meta":
        raise BadInput("device 'meta' has no memory: say cpu or cuda")
    return kind
