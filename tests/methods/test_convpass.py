"""Convpass computes what the authors' code does, written again cell by cell, and says what it does not fit."""

from __future__ import annotations

import pytest
import torch

from bench.errors import BadInput
from bench.methods import Convpass
from bench.methods.convpass import Bypass
from bench.models import Timm, adapt, count
from bench.training.method_checks import BERT, CNN, VIT, build, perturb


def bypass(branch, x):
    """As published: down, σ, a padded 3×3 on the grid of patches and on each other token alone, σ, up."""

    def activation(u):
        return u / (1 + torch.exp(-1.702 * u))

    low = activation(x @ branch.down.weight.T + branch.down.bias)
    others, side = branch.others, int((x.shape[1] - branch.others) ** 0.5)
    mixed = branch.conv.bias.expand(*low.shape[:2], -1).clone()
    mixed[:, :others] += low[:, :others] @ branch.conv.weight[:, :, 1, 1].T
    for row in range(side):
        for column in range(side):
            for down in (-1, 0, 1):
                for right in (-1, 0, 1):
                    r, c = row + down, column + right
                    if 0 <= r < side and 0 <= c < side:
                        kernel = branch.conv.weight[:, :, down + 1, right + 1]
                        mixed[:, others + row * side + column] += low[:, others + r * side + c] @ kernel.T
    return activation(mixed) @ branch.up.weight.T + branch.up.bias


def test_a_block_is_the_authors():
    backbone = build(Convpass(width=3, scale=0.5), VIT)
    perturb(backbone.module)
    block = next(m for m in backbone.module.modules() if hasattr(m, "attn"))
    x = torch.randn(2, 5, 64, dtype=torch.float64)
    wanted = x
    for norm, part, scale in ((block.norm1, block.attn, block.ls1), (block.norm2, block.mlp, block.ls2)):
        inside = norm(wanted)
        wanted = wanted + part(inside) + 0.5 * bypass(scale.convpass, inside)
    assert torch.allclose(block(x), wanted, atol=1e-12)


@pytest.mark.parametrize(("method", "counted"), [(Convpass(), 327_552), (Convpass(mlp=False, blocks=-6), 81_888)])
def test_counts_on_vit_b(method, counted):
    """With a head of about 50 classes these are the 1.4 MB a task that the authors store."""
    backbone = Timm("vit_base_patch16_224").build(device="meta")
    adapt(backbone, method)
    assert count(backbone) == counted


@pytest.mark.parametrize("model", [BERT, CNN, Timm("pit_ti_224"), Timm("beit_base_patch16_224")], ids=str)
def test_other_networks_are_refused(model):
    with pytest.raises(BadInput, match="Convpass is for plain vision transformers"):
        adapt(model.build(device="meta"), Convpass())


def test_patches_lie_as_the_picture_does():
    like = torch.nn.LayerNorm(4)
    branch = Bypass(Convpass(), like, (2, 3), 1)
    assert branch.shape(6) == (2, 3) and branch.shape(9) == (3, 3)
    with pytest.raises(BadInput, match="8 patches make no square"):
        branch.shape(8)
