"""The frozen prefix and the rest of the network are the whole, wherever a method hangs what."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import nn

import bench.models.prefix
from bench.methods import Method
from bench.methods.method import freeze
from bench.models import Timm
from bench.models.prefix import frozen_prefix
from bench.training.method_checks import Violation, build, prefix_is_whole

DEEP = Timm("test_vit3", weights="random", image_size=32)


@dataclass(frozen=True, repr=False)
class Hooked(Method):
    """A shift, kept in one module, that acts at another by a hook.

    Args:
        place: module at which it acts, "" for the network.
        kind: of hook.
        home: module that has the parameter.
    """

    place: str = "blocks.1"
    kind: str = "pre"
    home: str = "blocks.1"

    def apply(self, model, sites):
        freeze(model)
        home, place = model.get_submodule(self.home), model.get_submodule(self.place)
        home.shift = shift = nn.Parameter(torch.zeros((), dtype=next(model.parameters()).dtype))

        def moved(args):
            return (args[0] + shift * args[0].sin(), *args[1:])

        match self.kind:
            case "pre":
                place.register_forward_pre_hook(lambda module, args: moved(args))
            case "pre with kwargs":
                place.register_forward_pre_hook(lambda m, args, kwargs: (moved(args), kwargs), with_kwargs=True)
            case "post":
                place.register_forward_hook(lambda module, args, y: y + shift * y.sin())
            case "forward":
                forward = place.forward
                place.forward = lambda *args, **kwargs: forward(*moved(args), **kwargs)


@pytest.mark.parametrize("kind", ["pre", "pre with kwargs", "post", "forward"])
@pytest.mark.parametrize(
    ("place", "home", "cut"),
    [
        ("blocks.1", "blocks.1", True),
        ("norm", "norm", True),
        ("blocks.0", "blocks.1", False),
        ("blocks", "blocks.1", False),
        ("", "blocks.1", False),
    ],
)
def test_a_shift_by_hook_acts_once(place, home, cut, kind):
    backbone = build(Hooked(place, kind, home), DEEP)
    prefix = frozen_prefix(backbone)
    assert prefix is None or cut or kind == "post", "what trains acts before the cut"
    assert not cut or prefix is not None or home == "norm"
    prefix_is_whole(Hooked(place, kind, home), DEEP)


@dataclass(frozen=True, repr=False)
class Ladder(Method):
    """A side network: what leaves an early block is added, scaled, to what leaves a later module."""

    later: str = "blocks.2"

    def apply(self, model, sites):
        freeze(model)
        kept, later = {}, model.get_submodule(self.later)
        later.scale = nn.Parameter(torch.full((), 0.5, dtype=next(model.parameters()).dtype))

        def added(module, args, y):
            early = kept["early"].mean(1) if y.ndim == 2 else kept["early"]
            return y + module.scale * early

        model.blocks[0].register_forward_hook(lambda module, args, y: kept.update(early=y))
        later.register_forward_hook(added)


@pytest.mark.parametrize("later", ["blocks.2", "head"])
def test_what_reads_the_frozen_part_from_aside_is_not_cut_off_from_it(later):
    assert frozen_prefix(build(Ladder(later), DEEP)) is None
    prefix_is_whole(Ladder(later), DEEP)


def test_modes_are_left_as_they_were_and_the_prefix_has_no_gradient():
    backbone = build(Hooked(), DEEP)
    backbone.module.blocks[1].train()
    prefix = frozen_prefix(backbone)
    assert [block.training for block in backbone.module.blocks][:2] == [False, True]
    assert prefix is not None and not prefix.run(backbone.example(1)).requires_grad


def test_the_check_finds_a_cut_that_is_too_late(monkeypatch):
    monkeypatch.setattr(bench.models.prefix, "_is_whole", lambda *_: True)
    with pytest.raises(Violation, match="cached"):
        prefix_is_whole(Hooked(place="blocks.0"), DEEP)
