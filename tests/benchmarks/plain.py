"""A run as a careful person would write it by hand: timm or transformers, peft, AdamW, a cosine, the best epoch kept.

It shares with the suite what both must have alike: pretrained weights, samples, batches in their order, the loss. The
rest is plain: the network is built for every run, LoRA comes from `peft`, all layers are passed in every step and every
evaluation. Of classification only.
"""

from __future__ import annotations

import contextlib
import math
from typing import Any

import peft
import torch
from torch import Tensor, nn

from bench.methods import BitFit, FullFineTuning, LinearProbe, LoRA
from bench.training.recipe import precision, schedule
from bench.training.run import Run

NAMES = {
    "q": ("qkv", "query"), "k": ("qkv", "key"), "v": ("qkv", "value"), "o": ("attn.proj", "attention.output.dense"),
    "up": ("fc1", "intermediate.dense"), "down": ("fc2", "output.dense"),
}  # fmt: skip
"""What a user of peft writes for a role: in timm's vision transformers, in transformers' BERT."""


def targets(network: nn.Module, method: LoRA) -> list[str]:
    """The layers that `method` is put on; a fused qkv as a whole, as peft has it."""
    ends = [f".{name}" for role in method.at for name in NAMES[role]]
    linear = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    return [name for name in linear if any(f".{name}".endswith(end) for end in ends)]


def adapted(network: nn.Module, run: Run, sites: Any) -> None:
    """Freezes, and frees or adds what the method trains."""
    method = run.method
    network.requires_grad_(isinstance(method, FullFineTuning))
    if isinstance(method, BitFit):
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(name.endswith("bias"))
    elif isinstance(method, LoRA):
        config = peft.LoraConfig(r=method.rank, lora_alpha=method.alpha, target_modules=targets(network, method))
        peft.inject_adapter_in_model(config, network)
    elif not isinstance(method, FullFineTuning | LinearProbe):
        method.apply(network, sites)  # peft has none of these


class Model(nn.Module):
    """Backbone and head."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        built = run.model.build(seed=run.seed, output=run.task.output)
        self.backbone, self.inputs = built.module, built.inputs
        self.pays = built.mixed_precision
        adapted(self.backbone, run, built.sites)
        torch.manual_seed(run.seed)
        self.head = run.task.head(built.width)

    def forward(self, x: Any) -> Tensor:
        """Logits."""
        made: Tensor = self.head(self.backbone(x))
        return made


def train(run: Run) -> float:
    """Accuracy on test with the weights of the best epoch; of a trial the loss on validation there."""
    model, training = Model(run), run.training
    data = run.task.data(model.inputs, seed=run.seed)
    bf16 = precision(training.precision, device="cpu", pays=model.pays) == "bf16"
    autocast = (lambda: torch.autocast("cpu", torch.bfloat16)) if bf16 else contextlib.nullcontext
    alone = not any(p.requires_grad for p in model.backbone.parameters())
    body = [p for p in model.backbone.parameters() if p.requires_grad]
    groups = [
        {"params": body, "lr": training.lr},
        {"params": list(model.head.parameters()), "lr": training.lr if alone else training.head_lr},
    ]
    rule = torch.optim.AdamW([g for g in groups if g["params"]], weight_decay=training.weight_decay)
    order = torch.Generator().manual_seed(run.seed)
    steps = training.epochs * len(data.train.batches(training.batch_size, torch.Generator()))
    plan = torch.optim.lr_scheduler.LambdaLR(rule, lambda n: schedule(n, steps=steps, warmup=training.warmup))
    best, kept = (-math.inf, -math.inf), dict[str, Tensor]()
    for _ in range(training.epochs):
        model.train(not alone)
        for index in data.train.batches(training.batch_size, order):
            view = torch.randint(data.train.views, (len(index),), generator=order)
            rule.zero_grad()
            with autocast():
                loss = run.task.loss(model(data.train.inputs(index, view)), data.train.targets(index, view))
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), training.clip_norm)
            rule.step()
            plan.step()
        scores = evaluated(run, model, data.val, autocast)
        score = (scores[run.task.metric], -scores["loss"])
        if score > best:
            trained = {n for n, p in model.named_parameters() if p.requires_grad}
            best, kept = score, {n: p.detach().clone() for n, p in model.state_dict().items() if n in trained}
    if not run.test:
        return -best[1]
    model.load_state_dict(kept, strict=False)
    return evaluated(run, model, data.test, autocast)[run.task.metric]


@torch.no_grad()
def evaluated(run: Run, model: Model, split: Any, autocast: Any) -> dict[str, float]:
    """The task's metrics on a split."""
    model.eval()
    outputs, truths = [], []
    for index in torch.arange(len(split)).split(2 * run.training.batch_size):
        with autocast():
            outputs.append(model(split.inputs(index)).float())
        truths.append(split.targets(index))
    found: dict[str, float] = run.task.metrics(outputs, truths)
    return found
