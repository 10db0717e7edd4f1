"""Where a method on a network fails, the message names the one of the two that it is about."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from bench.errors import BadInput
from bench.methods import FullFineTuning, LayerNormTuning, LoRA, Method
from bench.methods.method import freeze
from bench.models import NeedsValues, adapt
from bench.training.method_checks import VIT


@dataclass(frozen=True, repr=False)
class Peeks(Method):
    """Hangs a hook on the first block that looks at values."""

    def apply(self, model, sites):
        freeze(model)
        block = model.get_submodule(next(site.path for site in sites if site.role == "block"))
        block.shift = nn.Parameter(torch.zeros(1, device="meta"))
        block.register_forward_hook(lambda module, args, y: y + module.shift * float(y.sum() > 0))


def curious(device):
    """A network that looks at its own values."""
    backbone = VIT.build(device=device)
    forward = backbone.module.forward_features

    def looks(x, **options):
        if x.mean().item() > 1e9:
            raise ValueError("too bright")
        return forward(x, **options)

    backbone.module.forward_features = looks
    return backbone


@pytest.mark.parametrize("method", [LayerNormTuning(), FullFineTuning(), LoRA(rank=1)])
def test_a_network_that_needs_values_is_named_itself(method):
    with pytest.raises(NeedsValues, match=r"the network VisionTransformer needs values.*whatever the method") as caught:
        adapt(curious("meta"), method)
    assert type(method).__name__ not in str(caught.value)
    adapt(curious("cpu"), method)


def test_a_method_that_needs_them_is_named():
    with pytest.raises(NeedsValues, match=r"Peeks\(\) cannot do with shapes alone on VisionTransformer"):
        adapt(VIT.build(device="meta"), Peeks())


def test_a_network_that_cannot_run_at_all_is_named():
    backbone = VIT.build()
    backbone.module.forward_features = lambda x, **options: x @ torch.zeros(3, 3)
    with pytest.raises(BadInput, match="the network VisionTransformer cannot run, whatever the method"):
        adapt(backbone, FullFineTuning())
