"""LayerNorm tuning: only the scales and shifts of the normalisations train."""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench.errors import BadInput, say_once
from bench.methods.method import Method, freeze
from bench.sites import Site
from bench.space import Range, Space


@dataclass(frozen=True, repr=False)
class LayerNormTuning(Method):
    """γ and β of every layer normalisation, y = γ·(x − μ)/σ + β, train, and nothing else.

    Zhao et al. 2023 (arXiv:2312.11420), section 3; of RMSNorm there is only γ. ViT-B/16: 38,400 parameters.
    """

    space: ClassVar[Space] = {**Method.space, "lr": Range(3e-4, 3e-2, log=True, default=3e-3)}

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Trains the parameters of each layer normalisation, of torch or of a library's own, and says what it leaves.

        Raises:
            BadInput: the network has no such normalisation, as most convolutional networks.
        """
        freeze(model)
        norms = [module for module in model.modules() if is_layer_norm(module)]
        trained = [parameter for norm in norms for parameter in norm.parameters(recurse=False)]
        left = _others(set(model.modules()) - set(norms))
        if not trained:
            what = f"; its normalisations are of other kinds: {left}" if left else ""
            raise BadInput(f"LayerNormTuning: this network has no layer normalisation to train{what}")
        for parameter in trained:
            parameter.requires_grad_(True)
        if left:
            say_once(f"LayerNormTuning on {type(model).__name__}: {len(norms)} layer normalisations train, not {left}")


def is_layer_norm(module: nn.Module) -> bool:
    """Whether a module normalises each sample over all of its channels, and has a scale, or a shift, for each of them.

    Libraries write such modules themselves (LlamaRMSNorm, T5LayerNorm, timm's SimpleNorm), so that no class tells. What
    tells is what it computes: y does not change with the length of x; a channel's y changes with the other channels'
    x, and a sample's with no other sample. So neither batch nor group normalisation is one, but for one group.
    """
    own = list(module.parameters(recurse=False))
    if own and isinstance(module, nn.LayerNorm | nn.RMSNorm):  # over several dimensions too
        return True
    if not own or any(p.numel() != own[0].numel() or p.numel() != max(p.shape, default=0) for p in own):
        return False
    width = own[0].numel()
    return (
        _of_its_own(module)
        and width > 1
        and any(_normalises(module, shape) for shape in ((2, 3, width), (2, width, 3, 3), (2, width)))
    )


def _normalises(module: nn.Module, shape: tuple[int, ...]) -> bool:
    """Of an input (samples, …) whose channels are the last dimension, or the second where there are four."""
    twin = _with_values(module)
    x = 10 * torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    channels = 1 if len(shape) == 4 else -1
    bent = x.clone()
    bent.select(channels, 0)[0] += 7.0 * math.sqrt(
        x.shape[channels]
    )  # the wider, the less one channel moves the others
    try:
        with torch.no_grad():
            y, longer, other = (twin(each) for each in (x, 3 * x, bent))
    except Exception:  # another kind of input than this, or no module of one input
        return False
    if not isinstance(y, Tensor) or y.shape != x.shape:
        return False
    last = [each.select(channels, -1) for each in (y, other)]
    moved = not torch.allclose(last[0][0], last[1][0], rtol=1e-3)
    return moved and torch.allclose(y, longer, rtol=1e-2, atol=1e-3) and torch.allclose(y[1], other[1])


def _with_values(module: nn.Module) -> nn.Module:
    """A copy on the CPU, in float64 and evaluation, with a scale and shift of its own for each channel."""
    twin = copy.deepcopy(module).to_empty(device="cpu").double().eval()
    with torch.no_grad():
        for name, tensor in [*twin.named_parameters(), *twin.named_buffers()]:
            tensor.fill_(0.5 if "bias" in name or "mean" in name else 1.0)
    return twin


def _of_its_own(module: nn.Module) -> bool:
    """Whether it has no parts with parameters."""
    return not any(True for child in module.children() for _ in child.parameters())


def _is_named(module: nn.Module) -> bool:
    """By its class. A block without normalisations is none: timm's NormFreeBlock."""
    return "norm" in type(module).__name__.lower() and _of_its_own(module)


def _others(modules: Iterable[nn.Module]) -> str:
    """What else is called a normalisation and has parameters, with how often it occurs: "12 BatchNorm2d"."""
    named = Counter(
        type(m).__name__ for m in modules if _is_named(m) and any(True for _ in m.parameters(recurse=False))
    )
    return ", ".join(f"{n} {name}" for name, n in sorted(named.items()))
