"""What a training step keeps for its backward pass: which layers' operations hold how many bytes."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from bench.costs.allocator import BLOCK
from bench.costs.cuda_rules import CudaRules
from bench.costs.memory import Tracker, tensors_of
from bench.training.memory_forecast import give_bytes, part_of_batch, resolved_precision, type_of
from bench.training.recipe import set_mode
from bench.training.run import Run, assemble, behind_prefix, step_of


@dataclass(frozen=True)
class Held:
    """Tensors of one kind that live when the forward pass ends.

    Args:
        layer: what made them, as the network names it, with `*` for the number of a block: "blocks.*.mlp.fc1"; "loss"
            for what no layer made.
        operation: of torch: "addmm", "gelu", "native_layer_norm".
        count: how many tensors.
        bytes: of all together.
    """

    layer: str
    operation: str
    count: int
    bytes: int


class _Named(Tracker):
    """A tracker that knows which layer and operation made a tensor."""

    def __init__(self, network: nn.Module, *, block: int) -> None:
        super().__init__("cpu", block=block)
        self.names = {id(module): name for name, module in network.named_modules()}
        self.stack: list[str] = []
        self.operation = ""
        self.made_by: dict[int, tuple[str, str]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operation = func.overloadpacket.__name__ if hasattr(func, "overloadpacket") else str(func)
        return super().__torch_dispatch__(func, types, args, kwargs)

    def _count(self, storage: Any, part: str | None) -> None:
        new = storage._cdata not in self.live
        super()._count(storage, part)
        if new:
            self.made_by[storage._cdata] = (self.stack[-1] if self.stack else "loss", self.operation)

    @contextlib.contextmanager
    def naming(self) -> Iterator[None]:
        """Within, layers say when they begin and end."""

        def begin(module: nn.Module, _: Any) -> None:
            if id(module) in self.names:
                self.stack.append(self.names[id(module)])

        def end(module: nn.Module, *_: Any) -> None:
            if id(module) in self.names and self.stack:
                self.stack.pop()

        hooks = [register_module_forward_pre_hook(begin), register_module_forward_hook(end)]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def held(self) -> list[Held]:
        """Activations that live now, most bytes first."""
        count, size = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        for key, (part, n, _) in self.live.items():
            if part == "activations":
                layer, operation = self.made_by[key]
                at = re.sub(r"\.\d+(?=\.|$)", ".*", layer.removeprefix("backbone.").removeprefix("body.")), operation
                count[at] += 1
                size[at] += n
        return [Held(layer, operation, count[layer, operation], n) for (layer, operation), n in size.most_common()]


def held(run: Run, *, device: str = "cuda") -> list[Held]:
    """What a run's step keeps at the end of its forward pass, from shapes alone.

    A linear layer whose weight trains keeps its input; one that is frozen keeps nothing of its own, but a non-linear
    operation behind it (GELU, softmax, a normalisation) keeps its input or output all the same, whatever trains.

    Args:
        run: what would be trained.
        device: type of device, as torch names it.

    Raises:
        BadInput: a device that torch does not know, or a method that does not fit the model.
    """
    kind = type_of(device)
    backbone, network = assemble(replace(run, model=run.model.untrained()), device="meta", kernels=kind)
    rules = CudaRules() if kind == "cuda" else contextlib.nullcontext()
    tracker = _Named(network, block=BLOCK if kind == "cuda" else 1)
    with FakeTensorMode(), rules:
        give_bytes(network, "cpu")
        set_mode(network)
        step = step_of(run, network, device="cpu", precision=resolved_precision(run, backbone, kind))
        inputs = part_of_batch(run, backbone)
        targets = run.task.stand_ins(inputs)
        tracker.see([*network.parameters(), *network.buffers()], part="weights")
        before = behind_prefix(backbone, network, step)
        x = before(inputs) if before else inputs
        with tracker, tracker.naming(), tracker.during("forward", "activations"):
            tracker.see((tensors_of(x), tensors_of(targets)), part="other")
            loss = step.forward(x, targets)
        found = tracker.held()
        del loss
    return found
