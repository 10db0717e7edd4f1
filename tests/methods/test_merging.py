"""A branch is folded where that is exact, and refused where the host changes its weight before use."""

from __future__ import annotations

import copy

import pytest
import torch
from timm.layers import BatchNormAct2d, Conv2dSame, ScaledStdConv2d, StdConv2d, StdConv2dSame
from torch import nn

from bench.errors import BadInput
from bench.methods import SSF, LoRA, merge
from bench.sites import Site
from bench.training.method_checks import perturb


class Scaled(nn.Linear):
    def forward(self, x):
        return nn.functional.linear(x, self.weight / self.weight.norm(), self.bias)


def hosts():
    spectral = nn.utils.parametrizations.spectral_norm
    yield nn.Conv2d(4, 6, 3, padding=1), True
    yield Conv2dSame(4, 6, 3, stride=2), True
    yield Conv2dSame(4, 6, 4, dilation=2), True
    yield nn.Linear(4, 6), True
    yield type("Renamed", (nn.Linear,), {})(4, 6), True
    yield StdConv2d(4, 6, 3, padding=1), False
    yield StdConv2dSame(4, 6, 3, stride=2), False
    yield ScaledStdConv2d(4, 6, 3, padding=1), False
    yield spectral(nn.Linear(4, 6)), False
    yield nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 6, 1)), True  # which takes any weight as its own
    yield Scaled(4, 6), False


@pytest.mark.parametrize(("host", "exact"), list(hosts()), ids=lambda v: type(v).__name__)
def test_what_is_folded_computes_the_same(host, exact):
    torch.manual_seed(0)
    network = nn.Sequential(host).double().eval()
    role = "up" if isinstance(host, nn.Linear) else "conv"
    method = LoRA(rank=2, at=(role,))
    method.apply(network, [Site("0", "block", 0), Site("0", role, 0)])
    perturb(network)
    x = torch.randn(2, 4, *([9, 8] if role == "conv" else []), dtype=torch.float64)
    before, keys = network(x), set(network.state_dict())
    assert before.shape[2:] == nn.Sequential(copy.deepcopy(host))(x).shape[2:]
    if exact:
        merge(network, method)
        assert torch.allclose(network(x), before, atol=1e-10)
    else:
        with pytest.raises(BadInput, match=r"0 is a .* changes its weight before use"):
            merge(network, method)
        assert torch.equal(network(x), before) and set(network.state_dict()) == keys, "nothing was folded"


@pytest.mark.parametrize("active", [True, False])
def test_behind_an_activation_nothing_folds(active):
    """timm's normalisations with an activation inside: the reason is the activation, and without one SSF merges."""
    network = nn.Sequential(BatchNormAct2d(4, apply_act=active)).double().eval()
    SSF().apply(network, ())
    perturb(network)
    x = torch.randn(2, 4, 5, 5, dtype=torch.float64)
    before = network(x)
    if active:
        with pytest.raises(BadInput, match="0 is a BatchNormAct2d, which ends with an activation, ReLU"):
            merge(network, SSF())
    else:
        merge(network, SSF())
    assert torch.allclose(network(x), before, atol=1e-12)
