"""Which layers hold what is kept for the backward pass."""

from __future__ import annotations

from functools import cache

import pytest

from bench.errors import BadInput
from bench.methods import FullFineTuning, LinearProbe, LoRA
from bench.models import HuggingFace, Torchvision
from bench.tasks import Detection, Images, Text
from bench.training.activations import WEIGHTS, held
from bench.training.gpu_step import Setup
from bench.training.method_checks import VIT
from bench.training.recipe import Training
from bench.training.run import Run

BATCH = 8


@cache
def of(method, **changes):
    run = Run(Images("digits"), VIT, method, Training(batch_size=BATCH, precision="fp32", **changes), seed=0)
    return {(each.layer, each.operation): each for each in held(run, device="cpu")}


def test_full_fine_tuning_keeps_the_input_of_every_layer_and_lora_only_what_is_not_linear():
    """The ViT here has 6 blocks 64 wide, its MLP three times that, 5 tokens: GELU's output is fc2's input."""
    block = BATCH * 5 * 192 * 4
    full, lora = of(FullFineTuning()), of(LoRA(rank=2))
    assert full["blocks.*.mlp.fc1", "addmm"].bytes == lora["blocks.*.mlp.fc1", "addmm"].bytes == 6 * block
    assert full["blocks.*.mlp.act", "gelu"].places == (0, *[block] * 6, 0)
    assert ("blocks.*.mlp.act", "gelu") not in lora, "a frozen fc2 needs no input for a gradient that it has not"
    last = of(LoRA(rank=2, blocks=-2))
    assert last["blocks.*.mlp.fc1", "addmm"].places == (0, 0, 0, 0, 0, block, block, 0)
    assert all(each.places[:-1] == (0,) * 7 for each in of(LinearProbe()).values()), "all that trains is the head"


@pytest.mark.parametrize("less", [{"activation_checkpointing": True}, {}], ids=repr)
def test_what_frees_them(less):
    """Recomputing blocks, or a probe, whose frozen network runs once before training."""
    whole = sum(each.bytes for each in of(LoRA(rank=2)).values())
    freed = of(LoRA(rank=2), **less) if less else of(LinearProbe())
    assert sum(each.bytes for each in freed.values()) < whole / 4
    every_second = of(LoRA(rank=2), activation_checkpointing=True, checkpoint_every=2)
    assert every_second["blocks.*.mlp.fc1", "addmm"].count == 3


def test_a_step_is_explained_as_it_is_set_up():
    """With the base in 16 bits no weight is copied; in autocast every matrix is, and is none of a layer's."""
    run = Run(Text("unicode-names"), HuggingFace("test-bert", max_length=16), LoRA(rank=2), Training(batch_size=4), 0)
    copies = [
        sum(each.bytes for each in held(run, setup=setup) if each.layer == WEIGHTS)
        for setup in (Setup(base="bf16"), Setup(autocast=True))
    ]
    network = run.model.build(device="meta").module
    matrices = sum(2 * p.numel() for name, p in network.named_parameters() if p.ndim == 2 and "embedding" not in name)
    assert copies[0] == 0 and 0.8 * matrices < copies[1] < 1.3 * matrices


def test_a_detector_is_refused_in_a_line():
    model = Torchvision("fcos_resnet50_fpn", image_size=64)
    run = Run(Detection("composited-digits"), model, LinearProbe(), Training(batch_size=2), seed=0)
    with pytest.raises(BadInput, match="leave --explain out"):
        held(run)
