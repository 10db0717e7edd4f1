"""The bottleneck that the adapters share: down-projection, nonlinearity, up-projection."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from bench.errors import BadInput
from bench.methods.branch import Branch, attach
from bench.methods.method import freeze
from bench.sites import Site, select


class Bottleneck(Branch):
    """y ← y + scale·(W_up·act(W_down·u + b_down) + b_up), u = y in sequence or u = x in parallel.

    W_up and both biases start at zero: the network starts unchanged. On feature maps the projections are 1×1
    convolutions; in parallel to a strided convolution the first one has its stride.

    Args:
        host: Linear, Conv2d, a normalisation of feature maps, or a module whose last Linear or Conv2d
            tells width and layout (an MLP).
        width: of the bottleneck, 1 ≤ width.
        parallel: read the input instead of the output.
        act: the nonlinearity.
        scale: factor of the branch.
        source: the module whose input is read in parallel, where that is not the host.
    """

    def __init__(
        self,
        host: nn.Module,
        *,
        width: int,
        parallel: bool,
        act: Callable[[Tensor], Tensor],
        scale: float = 1.0,
        source: nn.Module | None = None,
    ) -> None:
        super().__init__()
        first, last = _ends(source or host)[0], _ends(host)[1]
        weight: Any = last.weight
        like: dict[str, Any] = {"device": weight.device, "dtype": weight.dtype}
        channels_in, channels_out = _channels(first)[0], _channels(last)[1]
        self.parallel, self.act, self.scale = parallel, act, scale
        read = channels_in if parallel else channels_out
        if isinstance(last, nn.Linear):
            self.down: nn.Module = nn.Linear(read, width, **like)
            self.up: nn.Module = nn.Linear(width, channels_out, **like)
        else:
            stride: Any = host.stride if parallel and isinstance(host, nn.Conv2d) else 1
            self.down = nn.Conv2d(read, width, 1, stride=stride, **like)
            self.up = nn.Conv2d(width, channels_out, 1, **like)
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        start_at_zero: tuple[Any, ...] = (self.down.bias, self.up.weight, self.up.bias)
        for tensor in start_at_zero:
            nn.init.zeros_(tensor)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x: the input; y: the host's output. Returns a tensor of y's shape."""
        return y + self.scale * self.up(self.act(self.down(x if self.parallel else y)))


def _ends(module: nn.Module) -> tuple[nn.Module, nn.Module]:
    """The first and the last layer of a module with layers, else the module itself."""
    layers = [m for m in module.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    return (layers[0], layers[-1]) if layers else (module, module)


def _channels(layer: nn.Module) -> tuple[int, int]:
    match layer:
        case nn.Linear():
            return layer.in_features, layer.out_features
        case nn.Conv2d():
            return layer.in_channels, layer.out_channels
        case nn.BatchNorm2d():
            return layer.num_features, layer.num_features
    raise BadInput(f"an adapter cannot stand on a {type(layer).__name__}: its width is not known")


def insert(
    model: nn.Module,
    sites: Sequence[Site],
    *,
    at: tuple[str, ...],
    blocks: int | tuple[int, int] | None,
    width: int,
    act: Callable[[Tensor], Tensor],
    parallel: bool = False,
    scale: float = 1.0,
) -> None:
    """Freezes `model` and hangs a bottleneck on every site selected by `at` and `blocks`."""
    freeze(model)
    for site in select(sites, at=at, blocks=blocks):
        host = model.get_submodule(site.path)
        if isinstance(host, nn.ModuleDict | nn.ModuleList):
            raise BadInput(
                f"an adapter cannot stand on {site.path}: {type(host).__name__} is several layers side by side"
            )
        source = model.get_submodule(site.source) if site.source else None
        branch = Bottleneck(host, width=width, parallel=parallel, act=act, scale=scale, source=source)
        attach(host, "adapter", branch, source)
