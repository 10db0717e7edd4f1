"""Memory of a training step by what holds it: live bytes of tensors, storage by storage, as the step makes them.

The same count works on any device, and on fake tensors (torch's `FakeTensorMode`), which have shapes and no bytes: a
step that would need 80 GiB is then counted on a laptop in seconds. It sees what torch's dispatcher sees: scratch space
within a kernel, fragmentation, and the context that CUDA itself keeps are not in it.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.costs.scratch import scratch

PARTS = ("weights", "gradients", "optimizer", "activations", "scratch", "other")
"""What memory is made of:

weights: parameters and buffers of backbone and head, trained or not.
gradients: of parameters.
optimizer: the optimiser's state.
activations: what the forward pass makes; most of it is kept for the backward pass. Copies of weights in autocast's
    precision are among it.
scratch: what a convolution's kernel on a CPU makes and frees within one operation (`bench.costs.scratch`).
other: the batch, and what backward pass and optimiser make on the way: gradients of activations, temporaries.
"""


@dataclass(frozen=True)
class Moment:
    """What is alive at one moment, in bytes: by part, and in which phase that was."""

    phase: str
    breakdown: dict[str, int]

    @property
    def total(self) -> int:
        """All parts together."""
        return sum(self.breakdown.values())


@dataclass(frozen=True)
class Memory:
    """Live bytes of a training step.

    Args:
        peak: the moment with the most bytes.
        phases: the peak of each phase ("prefix", "forward", "backward", "update", "evaluation"), in order.
        curve: bytes after every operation that changed them, each with its phase.
        reserved: what CUDA's caching allocator would keep of it, and `rounding`, how much of the peak is that to its
            blocks; 0 where that is not followed (`bench.costs.cuda_share`).
    """

    peak: Moment
    phases: dict[str, Moment]
    curve: tuple[tuple[str, int], ...] = field(default=(), repr=False)
    reserved: int = 0
    rounding: int = 0


class Allocated:
    """Peaks of CUDA's allocator by phase, in bytes: what is allocated, and what it keeps reserved. Elsewhere nothing.

    Every phase is counted from its own beginning; one that comes again (an epoch) replaces what it found before: what
    only the first one needs (choosing kernels) is not in it.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.peaks: dict[str, dict[str, int]] = {}

    @contextlib.contextmanager
    def during(self, phase: str) -> Iterator[None]:
        """Counts within."""
        if self.device.type != "cuda":
            yield
            return
        torch.cuda.reset_peak_memory_stats(self.device)
        yield
        self.peaks[phase] = {
            "allocated": torch.cuda.max_memory_allocated(self.device),
            "reserved": torch.cuda.max_memory_reserved(self.device),
        }


class Steps(Protocol):
    """A training step in its phases, as `bench.training.recipe.Step` has it."""

    @property
    def network(self) -> nn.Module:
        """What trains."""
        ...

    @property
    def rule(self) -> torch.optim.Optimizer:
        """The optimiser."""
        ...

    def forward(self, x: Any, targets: Any) -> Tensor:
        """The loss."""
        ...

    def backward(self, loss: Tensor) -> None:
        """The gradient."""
        ...

    def update(self, step: int, steps: int) -> None:
        """The optimiser's step of a number, of how many."""
        ...


class Tracker(TorchDispatchMode):
    """Counts the bytes of every storage from the operation that makes it until it is freed.

    Args:
        device: only tensors of this type of device count ("cpu", "cuda").
        block: bytes to whose multiple each storage is rounded up; 1 for none.
    """

    def __init__(self, device: str = "cpu", *, block: int = 1) -> None:
        super().__init__()
        self.device, self.block = torch.device(device).type, block
        self.live: dict[int, tuple[str, int, Any]] = {}
        self.bytes = dict.fromkeys(PARTS, 0)
        self.phase, self.makes = "", "other"
        self.peaks: dict[str, Moment] = {}
        self.curve: list[tuple[str, int]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operation and counts what it made."""
        out = func(*args, **(kwargs or {}))
        self.see(out)
        within = scratch(func, args, out) if self.block == 1 and self.device == "cpu" else 0
        if within:
            self.bytes["scratch"] += within
            self._note()
            self.bytes["scratch"] -= within
            self._note()
        return out

    def see(self, made: Any, *, part: str | None = None) -> None:
        """Counts tensors (in any nesting) that are not known yet; with `part`, says what known ones are."""
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor) and tensor.device.type == self.device and tensor.layout == torch.strided:
                self._count(tensor.untyped_storage(), part)
        self._note()

    @contextlib.contextmanager
    def during(self, phase: str, makes: str) -> Iterator[None]:
        """What is made within is of the part `makes`."""
        before = self.phase, self.makes
        self.phase, self.makes = phase, makes
        self._note()
        try:
            yield
        finally:
            self.phase, self.makes = before

    def _count(self, storage: Any, part: str | None) -> None:
        key, size = storage._cdata, -(-storage.nbytes() // self.block) * self.block
        known = self.live.get(key)
        if known is None:
            watch = weakref.ref(storage, partial(self._gone, key))
        elif (part or known[0]) == known[0] and size == known[1]:
            return
        else:
            self.bytes[known[0]] -= known[1]
            watch = known[2]
        kind = part or (known[0] if known else self.makes)
        self.live[key] = (kind, size, watch)
        self.bytes[kind] += size

    def _gone(self, key: int, _: Any) -> None:
        kind, size, _watch = self.live.pop(key)
        self.bytes[kind] -= size

    def _note(self) -> None:
        total = sum(self.bytes.values())
        if not self.phase or (self.curve and self.curve[-1] == (self.phase, total)):
            return
        self.curve.append((self.phase, total))
        if self.phase not in self.peaks or total > self.peaks[self.phase].total:
            self.peaks[self.phase] = Moment(self.phase, dict(self.bytes))

    def found(self) -> Memory:
        """What was counted so far."""
        return Memory(max(self.peaks.values(), key=lambda moment: moment.total), dict(self.peaks), tuple(self.curve))


def track(
    step: Steps,
    batch: Callable[[], tuple[Any, Any]],
    *,
    device: str = "cpu",
    tracker: Tracker | None = None,
    prefix: Callable[[Any], Any] | None = None,
    evaluate: Callable[[], object] | None = None,
    passes: int = 1,
) -> Memory:
    """Live bytes over one step of a training that has begun: the optimiser has its state.

    Args:
        step: what trains, on real or fake tensors. It is left as after one step with a gradient of zero and one on the
            batch.
        batch: makes inputs and targets.
        device: its type.
        tracker: what counts; by default one without rounding.
        prefix: what a frozen prefix makes of inputs, without gradient, before the step; `step` then goes on from it.
        evaluate: evaluates a batch of its own, without gradient, after the step.
        passes: batches that are accumulated before the optimiser's step; more than two take no more than two.

    Returns:
        The peak, that of every phase, and the course; "evaluation" is a phase of its own and not in the peak.
    """
    tracker, held = tracker or Tracker(device), list[Any]()
    with _watched(step, tracker):
        with tracker:
            for _ in range(passes):
                _pass(step, batch, tracker, prefix, held)
            held.clear()  # as the training loop's parts are gone before the update
            with tracker.during("update", "other"):
                step.update(1, 2)
        training = tracker.found()
        if evaluate is None:
            return training
        with tracker, tracker.during("evaluation", "activations"):
            evaluate()
    return replace(training, phases=dict(tracker.peaks), curve=tuple(tracker.curve))


@contextlib.contextmanager
def _watched(step: Steps, tracker: Tracker) -> Iterator[None]:
    """Within, the tracker knows what is weight, gradient and state of the optimiser."""
    begin(step.rule)
    tracker.see([*step.network.parameters(), *step.network.buffers()], part="weights")
    tracker.see(list(step.rule.state.values()), part="optimizer")
    trainable = [p for group in step.rule.param_groups for p in group["params"]]
    hooks = [p.register_post_accumulate_grad_hook(lambda p: tracker.see(p.grad, part="gradients")) for p in trainable]
    step.rule.zero_grad(set_to_none=True)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _pass(
    step: Steps,
    batch: Callable[[], tuple[Any, Any]],
    tracker: Tracker,
    prefix: Callable[[Any], Any] | None,
    held: list[Any],
) -> None:
    """A batch forward and backward. It takes the place of the one before in `held`, and is there until the next."""
    x, targets = held[:] = batch()
    tracker.see((tensors_of(x), tensors_of(targets)), part="other")
    if prefix is not None:
        with tracker.during("prefix", "activations"):
            x = held[0] = prefix(x)  # what goes in is not there any more: training reads what comes out
    with tracker.during("forward", "activations"):
        loss = step.forward(x, targets)
    with tracker.during("backward", "other"):
        step.backward(loss)
        del loss


def begin(rule: torch.optim.Optimizer) -> None:
    """Makes the optimiser's state, as the first step of a training does."""
    for group in rule.param_groups:
        for p in group["params"]:
            p.grad = torch.zeros_like(p)
    rule.step()


def tensors_of(value: Any) -> Iterable[Tensor]:
    """The tensors of a batch: itself, a mapping's, or a dataclass's."""
    if isinstance(value, Tensor):
        return [value]
    held = dict(value) if hasattr(value, "keys") else getattr(value, "__dict__", {})
    return [leaf for leaf in tree_leaves(held) if isinstance(leaf, Tensor)]
