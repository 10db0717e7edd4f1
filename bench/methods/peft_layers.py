"""Layers that peft's tuners made, on hosts that stay where they are: what `bench.methods.peft_bridge` hangs there."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import BadInput
from bench.sites import Site

Parts = dict[str, tuple[Site, Any]]
"""Path and role of every layer selected → its site and the module there."""


def put(stand: nn.Module, path: str, layer: nn.Module) -> None:
    """Puts a layer at a path of a network that is made on the way."""
    *above, name = path.split(".")
    for each in above:
        if each not in stand._modules:
            stand.add_module(each, nn.Module())
        stand = stand._modules[each]  # type: ignore[assignment]
    stand.add_module(name, layer)


def plain(host: Any, rows: tuple[int, int] | None) -> Any:
    """A layer of its own, with copies of a host's weight and bias, or of some of their rows."""
    if not isinstance(host, nn.Linear):
        return copy.deepcopy(_shadow(host))
    part = slice(*rows) if rows else slice(None)
    weight, bias = host.weight.detach()[part].clone(), None if host.bias is None else host.bias.detach()[part].clone()
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    layer.weight = nn.Parameter(weight, requires_grad=False)
    layer.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)  # type: ignore[assignment]
    return layer.train(host.training)


def on_shapes(parts: Parts) -> bool:
    """Whether the network has no values."""
    return any(host.weight.is_meta for _, host in parts.values())


def with_values(host: Any, rows: tuple[int, int] | None) -> Any:
    """The same in float32, where there are none with random values."""
    layer = plain(host, rows).float()
    if next(layer.parameters()).is_meta:
        layer = layer.to_empty(device="cpu")
        for p in layer.parameters():
            nn.init.normal_(p, 0.0, 0.02)
    return layer


def move(layers: list[nn.Module], like: Tensor) -> None:
    """Brings what peft made to the network's device and precision; what shares a tensor goes on to share it."""
    made: dict[int, Any] = {}

    def there(tensor: Tensor) -> Any:
        if id(tensor) not in made:
            wide = tensor.is_floating_point() and tensor.dtype != like.dtype and like.dtype == torch.float64
            new = tensor.detach().to(like.device, like.dtype if wide else tensor.dtype)
            changed = nn.Parameter(new, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else new
            made[id(tensor)] = (
                tensor if new.data_ptr() == tensor.data_ptr() and new.device == tensor.device else changed
            )
        return made[id(tensor)]

    for module in (each for layer in layers for each in layer.modules()):
        for held in (module._parameters, module._buffers):
            held.update({name: there(tensor) for name, tensor in held.items() if tensor is not None})


def same(one: nn.Module, other: nn.Module) -> bool:
    """Whether two layers have equal Parameters; on shapes alone, equal shapes."""
    pairs = list(zip(one.parameters(), other.parameters(), strict=True))
    return all(a.shape == b.shape and (a.is_meta or torch.equal(a, b)) for a, b in pairs)


class _Rows(nn.Linear):
    """Some rows of another Linear, as they are now."""

    def __init__(self, host: nn.Linear, rows: tuple[int, int]) -> None:
        nn.Module.__init__(self)
        vars(self)["host"] = host
        self.part, self.in_features, self.out_features = slice(*rows), host.in_features, rows[1] - rows[0]

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """Of the rows."""
        return vars(self)["host"].weight[self.part]  # type: ignore[no-any-return]

    @property
    def bias(self) -> Tensor | None:  # type: ignore[override]
        """Of the rows."""
        bias = vars(self)["host"].bias
        return None if bias is None else bias[self.part]


def _shadow(host: nn.Module) -> nn.Module:
    """The host without what hangs on it: one class, the same Parameters and buffers."""
    found = type(host).__new__(type(host))
    vars(found).update({key: value for key, value in vars(host).items() if key not in ("forward", "peft_rows")})
    for key, value in vars(host).items():
        if key.endswith("_hooks") or "_hooks_" in key:
            vars(found)[key] = type(value)() if value is not None else None
    vars(found)["_modules"] = {name: each for name, each in host._modules.items() if name != "peft"}
    return found


def hang(host: Any, site: Site, layer: Any) -> None:
    """Hangs a tuner's layer on its host, whose weight it reads in place of the copy that it was made on."""
    if "peft" in host._modules and (site.rows is None or site.role in host.peft):
        raise BadInput(f"{site.path} already has a tuner of peft: was a method applied twice?")
    if "peft" not in host._modules:
        host.peft, host.peft_rows = nn.ModuleDict(), {}
    del layer._modules["base_layer"]
    vars(layer)["base_layer"] = _Rows(host, site.rows) if site.rows else _shadow(host)
    host.peft[site.role], host.peft_rows[site.role] = layer, site.rows
    host.forward = partial(_forward, host)


def layers_of(host: Any) -> list[tuple[tuple[int, int] | None, Any]]:
    """What hangs on a host: the rows (None for all), and the tuner's layer."""
    return [(host.peft_rows[name], layer) for name, layer in host.peft.items()]


def _forward(host: Any, x: Tensor) -> Tensor:
    """The tuner's layer in the host's place; of a fused one, part by part."""
    parts, at = [], 0
    for rows, layer in layers_of(host):
        layer.train(any(each.training for each in layer.modules()))  # its dropouts have no parameter that trains
        if rows is None:
            return layer(x)  # type: ignore[no-any-return]
        parts += [_of_rows(host, at, rows[0], x)] * (rows[0] > at) + [layer(x)]
        at = rows[1]
    parts += [_of_rows(host, at, host.out_features, x)] * (host.out_features > at)
    return torch.cat(parts, dim=-1)


def _of_rows(host: Any, start: int, stop: int, x: Tensor) -> Tensor:
    bias = None if host.bias is None else host.bias[start:stop]
    return F.linear(x, host.weight[start:stop], bias)
