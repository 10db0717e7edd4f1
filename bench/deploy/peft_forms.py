"""A trained method as PEFT has it: the configuration of a tuner there, and each layer's tensors by their names in it.

A fused query-key-value layer with an A and a B for q and for v is one LoRA of twice the rank in PEFT: the A's are
stacked, and B is block-diagonal. So every layer's rank and scaling stand in `rank_pattern` and `alpha_pattern`. What
else is put on some rows of a layer has no form there. AdaLoRA, once trained, is a LoRA: P·(Λ·Q).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from bench.errors import BadInput
from bench.methods import OFT, DoRA, LoHa, LoKr, Method, Peft, VeRA
from bench.methods.adalora import Triplets
from bench.methods.branch import Branch
from bench.methods.dora import Directions, KernelDirections
from bench.methods.ia3 import InputFactor, OutputFactor
from bench.methods.loha import Hadamard
from bench.methods.lokr import Kronecker
from bench.methods.lora import ConvBranch, LinearBranch
from bench.methods.low_rank import KernelUpdate, Update, pads_by_size
from bench.methods.oft import Turned
from bench.methods.peft_layers import layers_of
from bench.methods.vera import Vectors

Tensors = dict[str, Tensor]
"""The name of a tensor in a layer of PEFT's → its values, in any shape of as many elements."""


@dataclass(frozen=True)
class Form:
    """What PEFT needs to know.

    Args:
        layers: path of a layer → its tensors.
        scales: of a LoRA, alpha/rank of each layer.
        entered: of (IA)³, the layers that are rescaled at their input.
        method: that was trained.
    """

    layers: dict[str, Tensors]
    scales: dict[str, float]
    entered: tuple[str, ...]
    method: Any

    def below(self, prefix: str) -> Form:
        """The same, with paths below a part of the network."""
        if not all(path.startswith(prefix) for path in self.layers):
            raise BadInput(f"{self.method!r} has no form in PEFT here: its layers have no names of its library's own")
        cut = lambda path: path.removeprefix(prefix)  # noqa: E731
        return replace(
            self,
            layers={cut(path): tensors for path, tensors in self.layers.items()},
            scales={cut(path): scale for path, scale in self.scales.items()},
            entered=tuple(map(cut, self.entered)),
        )

    def configuration(self, **about: Any) -> Any:
        """PEFT's configuration; `about` is added to it."""
        logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # peft imports it, and it tells of kernels to fetch
        import peft

        method, own = self.method, about | {"target_modules": any_of(self.layers)}
        if isinstance(method, Peft):
            return method.configuration({path: "down" * (path in self.entered) for path in self.layers}, **own)
        if self.scales:
            return self._lora(peft, own)
        match method:
            case LoHa():
                return peft.LoHaConfig(r=method.rank, alpha=method.alpha, **own)  # type: ignore[arg-type]
            case LoKr():
                return peft.LoKrConfig(r=method.rank, alpha=method.alpha, **own)  # type: ignore[arg-type]
            case VeRA():
                key, start = method.projection_seed, method.d_initial
                return peft.VeraConfig(r=method.rank, projection_prng_key=key, d_initial=start, **own)
            case OFT():
                return peft.OFTConfig(oft_block_size=method.block_size, use_cayley_neumann=False, **own)
        return peft.IA3Config(feedforward_modules=any_of(self.entered) if self.entered else [], **own)

    def _lora(self, peft: Any, own: dict[str, Any]) -> Any:
        ranks = {path: len(tensors["lora_A.default.weight"]) for path, tensors in self.layers.items()}
        common = max(set(ranks.values()), key=list(ranks.values()).count)
        others = {path: rank for path, rank in ranks.items() if rank != common}
        scale = next(iter(self.scales.values()))
        return peft.LoraConfig(
            r=common, lora_alpha=scale * common, use_dora=isinstance(self.method, DoRA),
            rank_pattern={f"^{re.escape(path)}$": rank for path, rank in others.items()},
            alpha_pattern={f"^{re.escape(path)}$": self.scales[path] * rank for path, rank in others.items()}, **own,
        )  # fmt: skip


def any_of(paths: Any) -> str:
    """A pattern that just these layers match: PEFT takes ends of names otherwise."""
    return "|".join(re.escape(path) for path in sorted(paths))


def form(backbone: nn.Module, method: Method) -> Form:
    """A method's form in PEFT.

    Raises:
        BadInput: it has none.
    """
    found, entered = dict[str, Tensors](), list[str]()
    scales = dict[str, float]()
    for path, host, branch in _branches(backbone):
        tensors = _tensors(host, branch) if path not in found else None
        if tensors is None:
            raise BadInput(f"{method!r} has no form in PEFT that this writes ({type(branch).__name__} on {path})")
        found[path] = tensors
        if isinstance(branch, InputFactor) or "down" in host._modules.get("peft", ()):
            entered.append(path)
        if "lora_A.default.weight" in tensors and not isinstance(method, Peft):
            scales[path] = _scale(branch)
    if not found or _trains_its_own(backbone):
        raise BadInput(f"{method!r} has no form in PEFT that this writes: it trains the network's own weights")
    return Form(found, scales, tuple(entered), method)


def _branches(backbone: nn.Module) -> Iterator[tuple[str, Any, Any]]:
    """Path of each layer adapted, the layer, and what was put on it: a branch, or peft's own layers."""
    for path, module in backbone.named_modules():
        if isinstance(module, Branch):
            host = path.rpartition(".")[0]
            yield host, backbone.get_submodule(host), module
        elif "peft" in module._modules:
            yield path, module, module._modules["peft"]


def _trains_its_own(backbone: nn.Module) -> bool:
    hung = [m._modules.get("peft", m) for m in backbone.modules() if isinstance(m, Branch) or "peft" in m._modules]
    added = {id(p) for module in hung if module is not None for p in module.parameters()}
    return any(p.requires_grad and id(p) not in added for p in backbone.parameters())


def _scale(branch: Any) -> float:
    part: Any = branch.parts[0] if isinstance(branch, Update) else getattr(branch, "part", branch)
    return 1.0 if isinstance(part, Triplets) else float(part.scale)


def _tensors(host: Any, branch: Any) -> Tensors | None:
    """The tensors of one layer; None where PEFT has no such thing."""
    match branch:
        case Directions() | KernelDirections():
            whole = isinstance(branch, KernelDirections) or branch.rows == [(0, host.out_features)]
            return _pair(branch) | {"lora_magnitude_vector.default.weight": branch.m} if whole else None
        case LinearBranch():
            return _pair(branch)
        case ConvBranch():
            return None if branch.pads else _pair(branch)
        case Turned():
            return {"oft_R.default.weight": branch.rotation.Q}
        case InputFactor():
            return {"ia3_l.default": branch.l}
        case OutputFactor():
            rows = len(host.weight)
            return {"ia3_l.default": branch.l} if branch.rows == [(0, rows)] else None
        case Update():
            whole = branch.rows == [(0, host.out_features)]
            return _of_part(branch.parts[0]) if whole else None
        case KernelUpdate():
            return None if pads_by_size(host) else _of_part(branch.part)
    return _of_peft(host)


def _pair(branch: Any) -> Tensors:
    up, down = branch.pair()
    return {"lora_A.default.weight": down, "lora_B.default.weight": up}


def _of_part(part: Any) -> Tensors | None:
    match part:
        case Triplets():
            down = part.Q * (part.E * part.scale)[:, None]
            return {"lora_A.default.weight": down, "lora_B.default.weight": part.P}
        case Vectors():
            return {"vera_lambda_b.default": part.b, "vera_lambda_d.default": part.d}
        case Hadamard():
            names = {"w1_a": part.B1, "w1_b": part.A1, "w2_a": part.B2, "w2_b": part.A2}
            return {f"hada_{name}.default": tensor for name, tensor in names.items()}
        case Kronecker():
            full = hasattr(part, "D")
            right = {"w2": part.D} if full else {"w2_a": part.B, "w2_b": part.A}
            return {f"lokr_{name}.default": tensor for name, tensor in ({"w1": part.C} | right).items()}
    return None


def _of_peft(host: Any) -> Tensors | None:
    """What a tuner of PEFT's hung on a whole layer."""
    layers = list(layers_of(host)) if "peft" in host._modules else []
    if len(layers) != 1 or (layers[0][0] or (0, len(host.weight))) != (0, len(host.weight)):
        return None
    held = dict(layers[0][1].named_parameters()) | dict(layers[0][1].named_buffers())
    return {name: tensor for name, tensor in held.items() if not name.startswith("base_layer.")}


def filled(network: nn.Module, found: Form) -> None:
    """Copies the trained tensors into a network that PEFT has wrapped by the form's configuration.

    Raises:
        BadInput: a tensor has no place there.
    """
    for path, tensors in found.layers.items():
        layer = network.get_submodule(f"base_model.model.{path}")
        there = dict(layer.named_parameters()) | dict(layer.named_buffers())
        for name, tensor in tensors.items():
            if name not in there or there[name].numel() != tensor.numel():
                raise BadInput(f"{found.method!r} has no form in the installed peft: {path} has no such {name}")
            there[name].data.copy_(tensor.detach().view_as(there[name]))
