"""A training step: LoRA by us, by peft, and the limit; full fine-tuning by us and by the library alone.

All on the same backbone, batch, head and placement, interleaved. The limit is what no LoRA can undercut: the frozen
network's forward pass and the gradient with respect to its input. Random weights: speed does not depend on them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.methods import FullFineTuning, LoRA, Method
from bench.models import HuggingFace, Timm, adapt
from bench.training.recipe import set_mode
from tests.benchmarks.pairs import interleaved

BATCH, RANK, LENGTH = 32, 8, 64


@dataclass(frozen=True)
class Case:
    """What is stepped.

    Args:
        title: for the table.
        model: the backbone.
        at, targets: the same placement for us and for peft.
        batch: inputs for a built module.
        embedded: a forward pass from a floating-point input, for the limit.
    """

    title: str
    model: Any
    at: tuple[str, ...]
    targets: list[str]
    batch: Callable[[nn.Module], Any]
    embedded: Callable[[nn.Module], tuple[Tensor, Callable[[Tensor], Tensor]]]


def _picture(module: nn.Module) -> Tensor:
    return torch.randn(BATCH, 3, 98, 98)


def _tokens(module: Any) -> Any:
    from transformers import BatchEncoding

    ids = torch.randint(1000, module.body.config.vocab_size, (BATCH, LENGTH))
    return BatchEncoding({"input_ids": ids, "attention_mask": torch.ones_like(ids)})


def _from_embeddings(module: Any) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    x, mask = torch.randn(BATCH, LENGTH, 384, requires_grad=True), torch.ones(BATCH, LENGTH, dtype=torch.long)
    return x, lambda x: module.body(inputs_embeds=x, attention_mask=mask).last_hidden_state


VIT = Timm("vit_small_patch14_dinov2", weights="random", image_size=98)
BERT = HuggingFace("minilm-l6", weights="random", max_length=LENGTH)
CASES = (
    Case("ViT-S/14, 98 px", VIT, ("qkv",), ["attn.qkv"], _picture, lambda m: (_picture(m).requires_grad_(), m)),
    Case(f"MiniLM-L6, {LENGTH} tokens", BERT, ("q", "v"), ["query", "value"], _tokens, _from_embeddings),
)


def step_of(network: nn.Module, x: Any, *, bf16: bool) -> Callable[[], None]:
    """A training step with a linear head and AdamW over what trains in `network`."""
    torch.manual_seed(0)
    head, y = nn.Linear(384, 2), torch.randint(2, (BATCH,))
    trainable = [p for p in (*network.parameters(), *head.parameters()) if p.requires_grad]
    rule = torch.optim.AdamW(trainable, lr=1e-3, fused=True)

    def step() -> None:
        rule.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = nn.functional.cross_entropy(head(network(x)).float(), y)
        loss.backward()
        rule.step()

    return step


def limit_of(case: Case, network: nn.Module, *, bf16: bool) -> Callable[[], None]:
    """Forward and input-gradient pass of the frozen network."""
    x, forward = case.embedded(network)

    def step() -> None:
        x.grad = None
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = forward(x).float().square().mean()
        loss.backward()

    return step


def adapted(case: Case, method: Method) -> nn.Module:
    """The backbone under a method of ours, in the mode that it trains in."""
    built = case.model.build()
    adapt(built, method)
    set_mode(built.module)
    return built.module


def variants(case: Case, *, bf16: bool) -> dict[str, Callable[[], None]]:
    """The steps that are compared."""
    from peft import LoraConfig, get_peft_model

    plain: Any = case.model.build().module
    x = case.batch(plain)
    frozen = copy.deepcopy(plain).requires_grad_(False).eval()
    config = LoraConfig(r=RANK, lora_alpha=16, target_modules=case.targets, lora_dropout=0.0)
    theirs: Any = get_peft_model(copy.deepcopy(plain), config).eval()
    return {
        "limit": limit_of(case, frozen, bf16=bf16),
        "LoRA, peft": step_of(theirs.base_model, x, bf16=bf16),
        "LoRA, ours": step_of(adapted(case, LoRA(rank=RANK, at=case.at)), x, bf16=bf16),
        "full, library alone": step_of(plain.requires_grad_(True).train(), x, bf16=bf16),
        "full, ours": step_of(adapted(case, FullFineTuning()), x, bf16=bf16),
    }


def run(rounds: int = 20) -> list[tuple[str, str, str]]:
    """Rows of (what, median time, ratio to the limit)."""
    rows = []
    for case in CASES:
        for name, bf16 in (("fp32", False), ("bf16", True)):
            steps = variants(case, bf16=bf16)
            times = interleaved(steps, rounds=rounds)
            rows += [(f"{case.title}, {name}: {step}", *times.row(step, against="limit")) for step in steps]
            for one, other in (("LoRA, ours", "LoRA, peft"), ("full, ours", "full, library alone")):
                rows.append((f"{case.title}, {name}: {one} / {other}", "", times.ratio(one, other)))
    return rows
