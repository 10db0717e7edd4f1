"""A LoRA training step: ours, peft's, and the limit, on the same backbone, batch and placement, interleaved.

The limit is what no LoRA can undercut: the frozen network's forward pass and the gradient with respect to its input.
Random weights: speed does not depend on them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import nn

from bench.methods import FullFineTuning, LoRA
from bench.models import Timm, adapt
from bench.training import set_mode
from benchmarks.pairs import interleaved

MODEL = Timm("vit_small_patch14_dinov2", weights="random", image_size=98)
BATCH, RANK = 32, 8


def step_of(network: nn.Module, *, bf16: bool) -> Callable[[], None]:
    """A training step with a linear head and AdamW over what trains in `network`."""
    torch.manual_seed(0)
    head, x, y = nn.Linear(384, 2), torch.randn(BATCH, 3, 98, 98), torch.randint(2, (BATCH,))
    trainable = [p for p in (*network.parameters(), *head.parameters()) if p.requires_grad]
    rule = torch.optim.AdamW(trainable, lr=1e-3, fused=True)

    def step() -> None:
        rule.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = nn.functional.cross_entropy(head(network(x)).float(), y)
        loss.backward()
        rule.step()

    return step


def limit_of(network: nn.Module, *, bf16: bool) -> Callable[[], None]:
    """Forward and input-gradient pass of the frozen network."""
    x = torch.randn(BATCH, 3, 98, 98, requires_grad=True)

    def step() -> None:
        x.grad = None
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = network(x).float().square().mean()
        loss.backward()

    return step


def variants(*, bf16: bool) -> dict[str, Callable[[], None]]:
    """The four steps that are compared."""
    from peft import LoraConfig, get_peft_model

    backbone = MODEL.build()
    frozen = copy.deepcopy(backbone.module).requires_grad_(False).eval()
    config = LoraConfig(r=RANK, lora_alpha=16, target_modules=["attn.qkv"], lora_dropout=0.0)
    theirs = get_peft_model(copy.deepcopy(backbone.module), config).eval()
    steps = {"limit": limit_of(frozen, bf16=bf16), "peft": step_of(theirs, bf16=bf16)}
    for name, method in (("ours", LoRA(rank=RANK, at=("qkv",))), ("full fine-tuning", FullFineTuning())):
        built = MODEL.build()
        adapt(built, method)
        set_mode(built.module)
        steps[name] = step_of(built.module, bf16=bf16)
    return steps


def run(rounds: int = 20) -> list[tuple[str, str, str]]:
    """Rows of (what, median time, ratio to the limit)."""
    rows = []
    for name, bf16 in (("fp32", False), ("bf16", True)):
        steps = variants(bf16=bf16)
        times = interleaved(steps, rounds=rounds)
        for step in steps:
            rows.append((f"LoRA r = {RANK} step on qkv, {name}: {step}", *times.row(step, against="limit")))
        rows.append((f"ours against peft, {name}", "", times.ratio("ours", "peft")))
    return rows
