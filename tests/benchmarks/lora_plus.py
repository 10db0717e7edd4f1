"""LoRA+ beside LoRA with alpha·ratio at A's rate, and beside plain LoRA: the figures in bench/methods/lora_plus.py.

The largest difference of an output after training, as a share of the largest output. Some CPU seconds.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.methods import LoRA, LoRAPlus, Method
from bench.models import Timm, adapt
from bench.training.recipe import Training, optimizer

RANK, ALPHA, RATIO, RATE, STEPS, PICTURES = 4, 16.0, 16.0, 1e-4, 100, 8
PLUS = LoRAPlus(rank=RANK, alpha=ALPHA, ratio=RATIO)
OTHER, PLAIN = LoRA(rank=RANK, alpha=ALPHA * RATIO), LoRA(rank=RANK, alpha=ALPHA)


def trained(method: Method, *, weight_decay: float, clip: float) -> Tensor:
    """Features of the pictures after training towards classes by chance, with the suite's AdamW."""
    backbone = Timm("test_vit", weights="random", image_size=32).build(seed=0)
    network = backbone.module.double()
    torch.manual_seed(0)
    adapt(backbone, method)
    network.double()
    head = nn.Linear(backbone.width, PICTURES).double()
    pictures, classes = torch.randn(PICTURES, 3, 32, 32, dtype=torch.float64), torch.arange(PICTURES)
    rule = optimizer(network, head, Training(lr=RATE, weight_decay=weight_decay), rates=method.rates)
    for _ in range(STEPS):
        rule.zero_grad()
        nn.functional.cross_entropy(head(network(pictures)), classes).backward()
        if clip:
            nn.utils.clip_grad_norm_([p for group in rule.param_groups for p in group["params"]], clip)
        rule.step()
    return network(pictures).detach()


def apart(one: Tensor, other: Tensor) -> float:
    """The largest difference, as a share of the largest of the first."""
    return float((one - other).abs().max() / one.abs().max())


def run() -> list[tuple[str, str, str]]:
    """A row for every setting of AdamW: how far LoRA with another alpha, and plain LoRA, are from LoRA+."""
    rows = []
    for name, weight_decay, clip in (
        ("neither weight decay nor clipping", 0.0, 0.0),
        ("weight decay 0.01", 0.01, 0.0),
        ("clipped to 1", 0.0, 1.0),
    ):
        plus, other, plain = (trained(method, weight_decay=weight_decay, clip=clip) for method in (PLUS, OTHER, PLAIN))
        rows.append((f"{name}: alpha × {RATIO:.0f}", f"{apart(plus, other):.1e}", ""))
        rows.append((f"{name}: plain LoRA", f"{apart(plus, plain):.1e}", ""))
    return rows
