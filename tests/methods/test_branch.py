"""Branches: before a layer and after it, several on one, folded in an order that keeps what the network computes."""

from __future__ import annotations

import copy
from itertools import permutations

import pytest
import torch
from torch import Tensor, nn

from bench.errors import BadInput
from bench.methods import merge
from bench.methods.bottleneck import Bottleneck
from bench.methods.branch import Branch, attach, merge_branches
from bench.methods.lora import LinearBranch, LoRA
from bench.models import checkpoint
from bench.models.prefix import frozen_prefix
from bench.training.check_networks import VIT, build, features_of, perturb
from bench.training.recipe import set_mode
from tests.support.toy_methods import Gain, InputGain

pytestmark = pytest.mark.usefixtures("one_thread")


class Scale(Branch):
    """y ← l ⊙ y."""

    def __init__(self, host: nn.Linear) -> None:
        super().__init__()
        self.l = nn.Parameter(torch.ones(host.out_features, dtype=host.weight.dtype))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return y * self.l

    @torch.no_grad()
    def fold(self, host: nn.Linear) -> None:
        host.weight *= self.l[:, None]
        host.bias *= self.l


class Both(Gain):
    """Turns in both directions, so that folding it is W ← R·W·D."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return y.flip(-1)

    @torch.no_grad()
    def fold(self, host: nn.Linear) -> None:
        super().fold(host)
        host.weight.copy_(host.weight.flip(0))
        host.bias.copy_(host.bias.flip(0))


def made(kinds: str) -> nn.Sequential:
    """A Linear with branches, moved off their start: g before it, s and l (LoRA) after it, a an adapter, b both."""
    torch.manual_seed(0)
    host = nn.Linear(4, 5, dtype=torch.float64)
    kind = {
        "g": lambda: Gain(host),
        "s": lambda: Scale(host),
        "l": lambda: LinearBranch(host, LoRA(rank=2), [(0, 5)]),
        "a": lambda: Bottleneck(host, width=2, parallel=False, act=nn.functional.gelu),
        "b": lambda: Both(host),
    }
    for name in kinds:
        attach(host, name, kind[name[0]]())
    network = nn.Sequential(host).requires_grad_(False)
    for branch in host.children():
        branch.requires_grad_(True)
    perturb(network)
    return network


X = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kinds", ["g", "s", "b", *map("".join, permutations("gsl")), "la", "lsa", "lb", "sb", "gb"])
def test_what_folds_computes_the_same_in_whatever_order_it_was_attached(kinds):
    network = made(kinds)
    before = network(X)
    assert merge_branches(network)
    assert torch.allclose(network(X), before, atol=1e-12)
    assert [name for name, _ in network[0].named_children()] == [name for name in kinds if name == "a"]
    assert not network[0]._forward_pre_hooks and len(network[0]._forward_hooks) == kinds.count("a")


@pytest.mark.parametrize("kinds", ["al", "as", "bl", "bs"])
def test_branches_that_do_not_commute_are_refused_and_nothing_is_folded(kinds):
    network = made(kinds)
    before, keys = network(X), set(network.state_dict())
    with pytest.raises(BadInput, match=f"0 is a Linear, which has the branches {', '.join(kinds)}: give the one"):
        merge_branches(network)
    assert torch.equal(network(X), before) and set(network.state_dict()) == keys


def test_an_adapter_that_reads_elsewhere_may_stay_behind_what_folds():
    for order, merges in (("la", True), ("al", False)):
        network = nn.Sequential(nn.Linear(4, 4), *made(""))
        for name in order:
            branch = (
                LinearBranch(network[1], LoRA(rank=2), [(0, 5)]) if name == "l" else
                Bottleneck(network[1], width=2, parallel=True, act=torch.tanh, source=network[0])
            )  # fmt: skip
            attach(network[1], name, branch, network[0] if name == "a" else None)
        network.double()
        perturb(network)
        before = network(X)
        if merges:
            merge_branches(network)
        else:
            with pytest.raises(BadInput, match="give the one that merges first"):
                merge_branches(network)
        assert torch.allclose(network(X), before, atol=1e-12)


class Doubled(nn.LayerNorm):
    def forward(self, x):
        return 2 * super().forward(x) + x


class Shift(Branch):
    def forward(self, x, y):
        return y + 1

    def fold(self, host):
        host.bias.data += 1


@pytest.mark.parametrize(
    ("host", "exact", "shape"),
    [
        (nn.LayerNorm(4), True, (2, 4)),
        (Doubled(4), False, (2, 4)),
        (type("Own2d", (nn.BatchNorm2d,), {})(4), True, (2, 4, 3, 3)),
        (type("Own", (nn.Linear,), {})(4, 5), True, (2, 4)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_normalisations_fold_too(host, exact, shape):
    attach(host, "shift", Shift())
    network, x = nn.Sequential(host).double().eval(), torch.randn(shape, dtype=torch.float64)
    before = network(x)
    if exact:
        merge_branches(network)
        assert torch.allclose(network(x), before, atol=1e-12) and not list(host.children())
    else:
        with pytest.raises(BadInput, match="changes its weight before use"):
            merge_branches(network)


def test_a_branch_that_does_nothing_is_a_mistake():
    with pytest.raises(TypeError, match="Branch has neither `before` nor `forward`"):
        attach(nn.Linear(2, 2), "nothing", Branch())


def test_a_copy_has_its_own_and_the_recomputed_pass_is_the_same():
    backbone = build(InputGain(), VIT)
    perturb(backbone.module)
    x, twin = backbone.example(2), copy.deepcopy(backbone.module)
    expected = backbone.module(x)
    set_mode(backbone.module)
    backbone.module(x).square().sum().backward()
    wanted = {name: p.grad.clone() for name, p in backbone.module.named_parameters() if p.requires_grad}
    backbone.module.zero_grad()
    checkpoint(backbone)
    again = backbone.module(x)
    again.square().sum().backward()
    assert torch.equal(again, expected)
    assert all(torch.equal(p.grad, wanted[n]) for n, p in backbone.module.named_parameters() if p.requires_grad)
    merge(backbone.module, InputGain())
    assert torch.equal(twin(x), expected), "which a copy does not notice"


def test_a_cut_takes_the_input_as_it_was_before_any_branch():
    backbone = build(InputGain(at=("up",), blocks=-1), VIT)
    block = next(site.path for site in reversed(backbone.sites) if site.role == "block")
    attach(backbone.module.get_submodule(block), "first", Gain(nn.Linear(64, 64).double()))
    cut = frozen_prefix(backbone)
    assert cut is not None
    cached = cut.run(backbone.example(2))
    perturb(backbone.module)
    assert torch.allclose(cut.resume(cached), features_of(backbone), atol=1e-12)


def test_where_nothing_folds_nothing_is_merged():
    network = made("a")
    assert not merge_branches(network) and isinstance(network[0].a, Bottleneck)
