"""What every method must hold, as checks that its author can run: `bench check "LoRA(rank=4)"`.

Each check takes a method and a model specification, works on random weights in float64, and raises `Violation`
with one line where the method breaks the rule.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from bench.errors import BadInput
from bench.methods import METHODS, Method, merge
from bench.methods.branch import Branch
from bench.models import Backbone, HuggingFace, Timm, adapt
from bench.spec import parse
from bench.training import set_mode

VIT = Timm("test_vit", weights="random", image_size=32)
CNN = Timm("test_resnet", weights="random", image_size=32)
BERT = HuggingFace("test-bert", weights="random")
MODELS = (VIT, CNN, BERT)
"""One of each family: what a method is checked on unless other models are named."""


class Violation(AssertionError):
    """A method breaks a rule; the message says which tensor and by how much."""


def build(method: Method | None, model: Any) -> Backbone:
    """A random backbone in float64 and evaluation mode, adapted by `method` if one is given.

    Its scales are drawn around one, as a trained network's are: timm starts the last normalisation of a residual
    branch at zero, behind which nothing would have a gradient.
    """
    backbone: Backbone = model.build(seed=0)
    backbone.module.double().eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for p in backbone.module.parameters():
            if p.ndim == 1:
                p.add_(torch.where(p == 0, 0.0, 0.2) * torch.randn_like(p))
        for module in backbone.module.modules():
            if isinstance(module, nn.BatchNorm2d) and not module.weight.any():
                module.weight.uniform_(0.5, 1.5)
    if method is not None:
        adapt(backbone, method)
    return backbone


def perturb(module: nn.Module) -> None:
    """Moves every trainable tensor off its start, as training would."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in module.parameters():
            if p.requires_grad:
                p.add_(0.05 * torch.randn(p.shape, generator=generator, dtype=p.dtype))


def round_trip(method: Method, model: Any) -> None:
    """The text of a method makes an equal method."""
    again = parse(repr(method), known={**METHODS, type(method).__name__: type(method)}, kind="method")
    if again != method:
        raise Violation(f"{method!r} reads back as {again!r}: keep the fields plain and `__repr__` that of Spec")


def identity_at_start(method: Method, model: Any) -> None:
    """Before training, the adapted network computes exactly what the base does."""
    base, adapted = build(None, model), build(method, model)
    x = base.example(2)
    difference = (base.module(x) - adapted.module(x)).abs().max().item()
    if difference != 0:
        raise Violation(f"at the start the features differ from the base's by {difference:.2g}: start branches at zero")


def keys_survive(method: Method, model: Any) -> None:
    """Every key of the base's `state_dict` is still there, with the same tensor."""
    base, adapted = build(None, model).module.state_dict(), build(method, model).module.state_dict()
    for key, tensor in base.items():
        if key not in adapted or not torch.equal(adapted[key], tensor):
            raise Violation(f"{key} of the base is gone or changed: hang branches on modules, do not replace them")


def gradients_reach(method: Method, model: Any) -> None:
    """Every trainable tensor gets a non-zero gradient; a step moves those and nothing else.

    A bias of keys shifts all scores of a query alike, and the softmax takes no notice: it is let off.
    """
    backbone = build(method, model)
    perturb(backbone.module)
    before = {name: p.detach().clone() for name, p in backbone.module.named_parameters()}
    trainable = {name: p for name, p in backbone.module.named_parameters() if p.requires_grad}
    if not trainable:
        return
    features = backbone.module(backbone.example(4))
    target = torch.randn(features.shape, generator=torch.Generator().manual_seed(2), dtype=features.dtype)
    F.mse_loss(features, target).backward()
    unseen = {f"{site.path}.bias" for site in backbone.sites if site.role == "k" and site.rows is None}
    for name in unseen & trainable.keys():
        trainable.pop(name), before.pop(name)
    for name, p in trainable.items():
        if p.grad is None or not p.grad.abs().max() > 0:
            raise Violation(f"no gradient reaches {name}")
    torch.optim.SGD(backbone.module.parameters(), lr=1e-2).step()
    for name, p in backbone.module.named_parameters():
        if name in before and torch.equal(p, before[name]) == (name in trainable):
            raise Violation(f"{name} {'does not move' if name in trainable else 'moves, though it is frozen'}")


def merges(method: Method, model: Any) -> None:
    """Merged equals unmerged (to 1e-10), and where nothing else is left the base's keys are back."""
    backbone = build(method, model)
    perturb(backbone.module)
    x = backbone.example(2)
    expected, merged = backbone.module(x), copy.deepcopy(backbone.module)
    merge(merged)
    difference = (merged(x) - expected).abs().max().item()
    if difference > 1e-10:
        raise Violation(f"merged and unmerged differ by {difference:.2g}")
    left = any(isinstance(m, Branch) for m in merged.modules())
    if not left and merged.state_dict().keys() != build(None, model).module.state_dict().keys():
        raise Violation("after merging, the state_dict has other keys than the base's")


def repeats(method: Method, model: Any) -> None:
    """The same seed gives the same losses."""
    first, second = losses(method, model, steps=3), losses(method, model, steps=3)
    if first != second:
        raise Violation(f"two runs with one seed differ: {first} and {second}")


def overfits(method: Method, model: Any) -> None:
    """Backbone and head together can learn eight samples by heart."""
    trace = losses(method, model, steps=150)
    if not trace[-1] < 0.1:
        raise Violation(f"after 150 steps on eight samples the loss is {trace[-1]:.2g}, from {trace[0]:.2g}")


def losses(method: Method, model: Any, *, steps: int) -> list[float]:
    """Training losses on eight examples with random labels: Adam at 1e-2, clipped, from seed 0."""
    backbone = build(method, model)
    torch.manual_seed(3)
    head = nn.Linear(backbone.width, 2).double()
    x = backbone.example(8)
    labels = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1])
    network = nn.Sequential(backbone.module, head)
    set_mode(network)
    rule = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=1e-2)
    trace = []
    for _ in range(steps):
        rule.zero_grad()
        loss = F.cross_entropy(network(x), labels)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        rule.step()
        trace.append(loss.item())
    return trace


CHECKS: dict[str, Callable[[Method, Any], None]] = {
    "its text makes it again": round_trip,
    "identity at the start": identity_at_start,
    "the base's keys survive": keys_survive,
    "gradients reach what trains, and only that moves": gradients_reach,
    "merged equals unmerged": merges,
    "same seed, same losses": repeats,
    "overfits eight samples": overfits,
}


def report(method: Method, models: list[Any]) -> tuple[list[tuple[str, str, str]], int]:
    """Runs every check of a method on some models.

    Returns:
        (model, check, result) rows, and how many failed. A model without a matching site is skipped, and said.
    """
    rows, failed = [], 0
    for model in models:
        try:
            build(method, model)
        except BadInput as error:
            rows.append((model.name, "applies", f"skipped: {error}"))
            continue
        for name, check in CHECKS.items():
            try:
                check(method, model)
            except (Violation, BadInput) as violation:
                rows.append((model.name, name, f"FAILED: {violation}"))
                failed += 1
            except Exception as error:  # a shape that does not fit, say: its author wants the other checks too
                rows.append((model.name, name, f"FAILED: {type(error).__name__}: {error}"))
                failed += 1
            else:
                rows.append((model.name, name, "ok"))
    return rows, failed
