"""What a training step keeps for its backward pass: which layers' operations hold how many bytes."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from bench.costs.allocator import BLOCK
from bench.costs.cuda_rules import CudaRules
from bench.costs.memory import Tracker, tensors_of
from bench.errors import BadInput
from bench.models import Backbone
from bench.training.gpu_step import Setup, forward, prepared
from bench.training.memory_forecast import UNTRACEABLE, give_bytes, part_of_batch, resolved_precision, type_of
from bench.training.recipe import set_mode
from bench.training.run import Run, assemble, behind_prefix, step_of

WEIGHTS, LOSS = "weights", "loss"
"""In the place of a layer: of copies of weights in the precision of products, and of what no layer made."""


@dataclass(frozen=True)
class Held:
    """Tensors of one kind that live when the forward pass ends.

    Args:
        layer: what made them, as the network names it, with `*` for the number of a block: "blocks.*.mlp.fc1"; or
            `WEIGHTS` or `LOSS`.
        operation: of torch: "addmm", "gelu", "native_layer_norm".
        count: how many tensors.
        places: bytes before the first block, in each block, and behind the last one; in one number where a network
            has no blocks.
    """

    layer: str
    operation: str
    count: int
    places: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Of all together."""
        return sum(self.places)


class _Named(Tracker):
    """A tracker that knows which layer and operation made a tensor, and in which block."""

    def __init__(self, backbone: Backbone, network: nn.Module, *, block: int) -> None:
        super().__init__("cpu", block=block)
        self.names = {id(module): name for name, module in network.named_modules()}
        paths = [site.path for site in backbone.sites if site.role == "block"]
        self.blocks = {id(backbone.module.get_submodule(path)): number for number, path in enumerate(paths, start=1)}
        self.stack: list[str] = []
        self.operation, self.place, self.of_weight = "", 0, False
        self.made_by: dict[int, tuple[str, str, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operation = func.overloadpacket.__name__ if hasattr(func, "overloadpacket") else str(func)
        self.of_weight = self.operation == "_to_copy" and self._is_weight(args[0])
        return super().__torch_dispatch__(func, types, args, kwargs)

    def _is_weight(self, tensor: Tensor) -> bool:
        return self.live.get(tensor.untyped_storage()._cdata, ("",))[0] == "weights"

    def _count(self, storage: Any, part: str | None) -> None:
        new = storage._cdata not in self.live
        super()._count(storage, part)
        if new:
            layer = WEIGHTS if self.of_weight else self.stack[-1] if self.stack else LOSS
            self.made_by[storage._cdata] = layer, self.operation, self.place

    @contextlib.contextmanager
    def naming(self) -> Iterator[None]:
        """Within, layers say when they begin and end."""

        def begin(module: nn.Module, _: Any) -> None:
            if id(module) in self.names:
                self.stack.append(self.names[id(module)])
            self.place = self.blocks.get(id(module), self.place)

        def end(module: nn.Module, *_: Any) -> None:
            if id(module) in self.names and self.stack:
                self.stack.pop()
            if self.blocks.get(id(module)) == len(self.blocks):
                self.place = len(self.blocks) + 1

        hooks = [register_module_forward_pre_hook(begin), register_module_forward_hook(end)]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def held(self) -> list[Held]:
        """Activations that live now, most bytes first."""
        count = Counter[tuple[str, str]]()
        size: dict[tuple[str, str], list[int]] = {}
        for key, (part, n, _) in self.live.items():
            if part == "activations":
                layer, operation, place = self.made_by[key]
                at = re.sub(r"\.\d+(?=\.|$)", ".*", layer.removeprefix("backbone.").removeprefix("body.")), operation
                count[at] += 1
                size.setdefault(at, [0] * (len(self.blocks) + 2 if self.blocks else 1))[place] += n
        found = [Held(*at, count[at], tuple(places)) for at, places in size.items()]
        return sorted(found, key=lambda each: -each.bytes)


def held(run: Run, *, device: str = "cuda", setup: Setup | None = None) -> list[Held]:
    """What a run's step keeps at the end of its forward pass, from shapes alone.

    A linear layer whose weight trains keeps its input; one that is frozen keeps nothing of its own, but a non-linear
    operation behind it (GELU, softmax, a normalisation) keeps its input or output all the same, whatever trains.

    Args:
        run: what would be trained.
        device: type of device, as torch names it.
        setup: how the step is carried out on CUDA, as `bench.training.gpu_step` estimates it; as this suite itself
            trains without.

    Raises:
        BadInput: a device that torch does not know, a method that does not fit the model, or a step that shapes alone
            do not tell.
    """
    try:
        return _held(run, type_of(device)) if setup is None else _as_set_up(run, setup)
    except UNTRACEABLE:
        raise BadInput(
            f"--explain: what a step of {run.task.name} on {run.model.name} does depends on its data, so that shapes "
            "alone do not tell which layers keep what; leave --explain out"
        ) from None


def _held(run: Run, kind: str) -> list[Held]:
    backbone, network = assemble(replace(run, model=run.model.untrained()), device="meta", kernels=kind)
    rules = CudaRules() if kind == "cuda" else contextlib.nullcontext()
    tracker = _Named(backbone, network, block=BLOCK if kind == "cuda" else 1)
    with FakeTensorMode(), rules:
        give_bytes(network, "cpu")
        set_mode(network)
        step = step_of(run, network, device="cpu", precision=resolved_precision(run, backbone, kind))
        inputs = part_of_batch(run, backbone)
        targets = run.task.stand_ins(inputs)
        tracker.see([*network.parameters(), *network.buffers()], part="weights")
        before = behind_prefix(backbone, network, step)
        x = before(inputs) if before else inputs
        if before:
            tracker.place = len(tracker.blocks) + 1  # unless a block comes: behind them all
        with tracker, tracker.naming(), tracker.during("forward", "activations"):
            tracker.see((tensors_of(x), tensors_of(targets)), part="other")
            loss = step.forward(x, targets)
        found = tracker.held()
        del loss
    return found


def _as_set_up(run: Run, setup: Setup) -> list[Held]:
    backbone, network, mode = prepared(run, setup)
    tracker = _Named(backbone, network, block=BLOCK)
    with mode, CudaRules():
        tracker.see([*network.parameters(), *network.buffers()], part="weights")
        with tracker, tracker.naming():
            loss = forward(run, backbone, network, setup, tracker)
        found = tracker.held()
        del loss
    return found
