"""Which layers hold what is kept for the backward pass."""

from __future__ import annotations

import pytest

from bench.methods import FullFineTuning, LinearProbe, LoRA
from bench.tasks import Images
from bench.training.activations import held
from bench.training.method_checks import VIT
from bench.training.recipe import Training
from bench.training.run import Run

BATCH = 8


def of(method, **changes):
    run = Run(Images("digits"), VIT, method, Training(batch_size=BATCH, precision="fp32", **changes), seed=0)
    return {(each.layer, each.operation): each for each in held(run, device="cpu")}


def test_full_fine_tuning_keeps_the_input_of_every_layer_and_lora_only_what_is_not_linear():
    """The ViT here has 6 blocks 64 wide, its MLP three times that, 5 tokens: GELU's output is fc2's input."""
    block = BATCH * 5 * 192 * 4
    full, lora = of(FullFineTuning()), of(LoRA(rank=2))
    assert full["blocks.*.mlp.fc1", "addmm"].bytes == lora["blocks.*.mlp.fc1", "addmm"].bytes == 6 * block
    assert full["blocks.*.mlp.act", "gelu"].bytes == 6 * block
    assert ("blocks.*.mlp.act", "gelu") not in lora, "a frozen fc2 needs no input for a gradient that it has not"


@pytest.mark.parametrize("less", [{"activation_checkpointing": True}, {}], ids=repr)
def test_what_frees_them(less):
    """Recomputing blocks, or a probe, whose frozen network runs once before training."""
    whole = sum(each.bytes for each in of(LoRA(rank=2)).values())
    freed = of(LoRA(rank=2), **less) if less else of(LinearProbe())
    assert sum(each.bytes for each in freed.values()) < whole / 4
    every_second = of(LoRA(rank=2), activation_checkpointing=True, checkpoint_every=2)
    assert every_second["blocks.*.mlp.fc1", "addmm"].count == 3
