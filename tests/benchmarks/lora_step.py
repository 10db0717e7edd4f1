"""A training step: LoRA by us, by peft, and the limit; full fine-tuning by us and by the library alone.

All on the same backbone, batch, head and placement, interleaved. The limit is what no LoRA can undercut: the frozen
network's forward pass and the gradient with respect to its input. Random weights: speed does not depend on them.
`make gpu-check` runs it on a GPU, on networks that fill one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.methods import FullFineTuning, LinearProbe, LoRA, Method
from bench.models import HuggingFace, Timm, adapt
from bench.training.recipe import precision, set_mode
from tests.benchmarks.pairs import interleaved

RANK = 8


@dataclass(frozen=True)
class Case:
    """What is stepped.

    Args:
        title: for the table.
        model: the backbone.
        at: the placement, the same for us and for peft.
        batch: samples a step.
        size: pixels a side, or tokens.
    """

    title: str
    model: Any
    at: tuple[str, ...]
    batch: int
    size: int

    def inputs(self, module: Any, device: str) -> Any:
        """A batch for a built module."""
        if isinstance(self.model, Timm):
            return torch.randn(self.batch, 3, self.size, self.size, device=device)
        from transformers import BatchEncoding

        ids = torch.randint(100, module.body.config.vocab_size, (self.batch, self.size), device=device)
        return BatchEncoding({"input_ids": ids, "attention_mask": torch.ones_like(ids)})

    def embedded(self, module: Any, device: str) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """A floating-point input, and the forward pass from there, for the limit."""
        if isinstance(self.model, Timm):
            return self.inputs(module, device).requires_grad_(), module
        width, mask = module.body.config.hidden_size, torch.ones(self.batch, self.size, dtype=torch.long, device=device)
        x = torch.randn(self.batch, self.size, width, device=device, requires_grad=True)
        return x, lambda x: module.body(inputs_embeds=x, attention_mask=mask).last_hidden_state


def _timm(name: str, size: int) -> Timm:
    return Timm(name, weights="random", image_size=size)


def _text(name: str, length: int) -> HuggingFace:
    return HuggingFace(name, weights="random", max_length=length)


FUSED, APART = ("qkv",), ("q", "v")
CASES = (
    Case("ViT-S/14, 98 px", _timm("vit_small_patch14_dinov2", 98), FUSED, batch=32, size=98),
    Case("EfficientNet-Lite0, 96 px", _timm("tf_efficientnet_lite0", 96), ("conv",), batch=32, size=96),
    Case("MiniLM-L6, 64 tokens", _text("minilm-l6", 64), APART, batch=32, size=64),
    Case("SmolLM2-135M, 64 tokens", _text("smollm2-135m", 64), APART, batch=4, size=64),
)
ON_GPU = (
    Case("ViT-B/16, 224 px", _timm("vit_base_patch16_224", 224), FUSED, batch=64, size=224),
    Case("BERT-base, 128 tokens", _text("bert-base-uncased", 128), APART, batch=64, size=128),
)
REHEARSAL = (
    Case("test ViT, 32 px", _timm("test_vit", 32), FUSED, batch=4, size=32),
    Case("test BERT, 16 tokens", _text("test-bert", 16), APART, batch=4, size=16),
)


def step_of(network: nn.Module, x: Any, *, bf16: bool, device: str = "cpu") -> Callable[[], None]:
    """A training step with a linear head and AdamW over what trains in `network`."""
    torch.manual_seed(0)
    with torch.no_grad():
        out = network(x)
    head, y = nn.Linear(out.shape[-1], 2, device=device), torch.randint(2, (len(out),), device=device)
    trainable = [p for p in (*network.parameters(), *head.parameters()) if p.requires_grad]
    rule = torch.optim.AdamW(trainable, lr=1e-3, fused=True)

    def step() -> None:
        rule.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            loss = nn.functional.cross_entropy(head(network(x)).float(), y)
        loss.backward()
        rule.step()

    return step


def limit_of(case: Case, network: nn.Module, *, bf16: bool, device: str = "cpu") -> Callable[[], None]:
    """Forward and input-gradient pass of the frozen network."""
    x, forward = case.embedded(network, device)

    def step() -> None:
        x.grad = None
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            loss = forward(x).float().square().mean()
        loss.backward()

    return step


def adapted(case: Case, method: Method, device: str) -> nn.Module:
    """The backbone under a method of ours, in the mode that it trains in."""
    built = case.model.build(device=device)
    adapt(built, method)
    set_mode(built.module)
    return built.module


def variants(case: Case, *, bf16: bool, device: str = "cpu") -> dict[str, Callable[[], None]]:
    """The steps that are compared; peft's where it is installed."""
    backbone = case.model.build(device=device)
    plain: Any = backbone.module
    x = case.inputs(plain, device)
    frozen = copy.deepcopy(plain).requires_grad_(False).eval()
    theirs = _of_peft([site.path for site in backbone.sites if site.role in case.at], plain)

    def ours(method: Method) -> Callable[[], None]:
        return step_of(adapted(case, method, device), x, bf16=bf16, device=device)

    return {
        "limit": limit_of(case, frozen, bf16=bf16, device=device),
        **({"LoRA, peft": step_of(theirs, x, bf16=bf16, device=device)} if theirs is not None else {}),
        "LoRA, ours": ours(LoRA(rank=RANK, at=case.at)),
        "full, library alone": step_of(plain.requires_grad_(True).train(), x, bf16=bf16, device=device),
        "full, ours": ours(FullFineTuning()),
        "linear probe, through the network": ours(LinearProbe()),
    }


def _of_peft(paths: list[str], plain: nn.Module) -> nn.Module | None:
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        return None
    config = LoraConfig(r=RANK, lora_alpha=16, target_modules=paths, lora_dropout=0.0)
    adapted: Any = get_peft_model(copy.deepcopy(plain), config)  # type: ignore[arg-type]
    return adapted.eval().base_model  # type: ignore[no-any-return]


def run(rounds: int = 20, *, cases: tuple[Case, ...] = CASES, device: str = "cpu") -> list[tuple[str, str, str]]:
    """Rows of (what, median time, ratio to the limit). Where the processor only emulates bf16, it is left out."""
    rows = []
    for case in cases:
        for name, bf16 in (("fp32", False), ("bf16", True)):
            if bf16 and precision("auto", device=device, pays=True) != "bf16":
                rows.append((f"{case.title}, bf16: left out, for this processor has no instructions for it", "", ""))
                continue
            steps = variants(case, bf16=bf16, device=device)
            times = interleaved(steps, rounds=rounds, device=device)
            rows += [(f"{case.title}, {name}: {step}", *times.row(step, against="limit")) for step in steps]
            for one, other in (("LoRA, ours", "LoRA, peft"), ("full, ours", "full, library alone")):
                if other in steps:
                    rows.append((f"{case.title}, {name}: {one} / {other}", "", times.ratio(one, other)))
    return rows
