"""What every method must hold, as checks that its author can run: `bench check "LoRA(rank=4)"`.

Each check takes a method and a model specification, works on random weights in float64, and raises `Violation`
with one line where the method breaks the rule.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import BadInput
from bench.methods import METHODS, Method, merge
from bench.methods.branch import Branch, folds
from bench.models import Backbone, Broken, HuggingFace, NeedsValues, Timm, adapt, count
from bench.models.prefix import frozen_prefix
from bench.spec import parse
from bench.training.recipe import set_mode


@dataclass(frozen=True)
class OnMaps:
    """A model where its feature maps are asked for, as object detection does, in place of a model specification.

    Args:
        model: a specification whose networks give maps.
    """

    model: Any

    @property
    def name(self) -> str:
        """Name of the model, and that it is on maps."""
        return f"{self.model.name}, maps"

    def build(self, **options: Any) -> Backbone:
        """Makes the backbone; options as the model's own `build` takes."""
        return self.model.build(output="maps", **options)  # type: ignore[no-any-return]


VIT = Timm("test_vit", weights="random", image_size=32)
CNN = Timm("test_resnet", weights="random", image_size=32)
BERT = HuggingFace("test-bert", weights="random")
VIT_MAPS, CNN_MAPS = OnMaps(VIT), OnMaps(CNN)
MODELS = (VIT, CNN, BERT, VIT_MAPS, CNN_MAPS)
"""One of each kind: what a method is checked on unless other models are named."""


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


def flat(outputs: Tensor | tuple[Tensor, ...]) -> Tensor:
    """Everything a backbone gives out for each sample, (N, …): features, or all cells of all maps."""
    maps = (outputs,) if isinstance(outputs, Tensor) else outputs
    return torch.cat([each.flatten(1) for each in maps], dim=1)


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
    difference = (flat(base.module(x)) - flat(adapted.module(x))).abs().max().item()
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
    features = flat(backbone.module(backbone.example(4)))
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
    """Merged equals unmerged (to 1e-10), and where nothing else is left the base's keys are back.

    Only of a method with a branch that can be folded: the others never said that they merge.
    """
    backbone = build(method, model)
    if not any(folds(module) for module in backbone.module.modules()):
        return
    perturb(backbone.module)
    x = backbone.example(2)
    expected, merged = flat(backbone.module(x)), copy.deepcopy(backbone.module)
    try:
        merge(merged)
    except BadInput:  # a host that changes its weight before use: that is the network's doing
        return
    difference = (flat(merged(x)) - expected).abs().max().item()
    if difference > 1e-10:
        raise Violation(f"merged and unmerged differ by {difference:.2g}")
    left = any(isinstance(m, Branch) for m in merged.modules())
    if not left and merged.state_dict().keys() != build(None, model).module.state_dict().keys():
        raise Violation("after merging, the state_dict has other keys than the base's")


def shapes_suffice(method: Method, model: Any) -> None:
    """It can be put on a network of shapes alone, as plans and counts do, and trains as much there."""
    backbone: Backbone = model.build(device="meta")
    try:
        adapt(backbone, method)
    except NeedsValues as error:
        raise Violation(str(error)) from None
    found, real = count(backbone), count(build(method, model))
    if found != real:
        raise Violation(f"on shapes alone {found:,} parameters train, on real tensors {real:,}")


def prefix_is_whole(method: Method, model: Any) -> None:
    """What the frozen part makes of a sample once serves the whole training: cached equals computed anew.

    The cache is filled first, and then all that trains is moved, as training does.
    """
    backbone = build(method, model)
    cut = frozen_prefix(backbone)
    if cut is None:
        return
    x = backbone.example(2)
    cached = cut.run(x)
    perturb(backbone.module)
    difference = (flat(cut.resume(cached)) - flat(backbone.module(x))).abs().max().item()
    if difference > 1e-10:
        raise Violation(
            f"with the frozen part cached the features differ by {difference:.2g}: what trains acts before the first "
            "module that has its parameters"
        )


def repeats(method: Method, model: Any) -> None:
    """The same seed gives the same losses."""
    first, second = [*islice(losses(method, model), 3)], [*islice(losses(method, model), 3)]
    if first != second:
        raise Violation(f"two runs with one seed differ: {first} and {second}")


def overfits(method: Method, model: Any) -> None:
    """Backbone and head together can learn eight samples by heart, within 150 steps."""
    trace = []
    for loss in islice(losses(method, model), 150):
        trace.append(loss)
        if loss < 0.1:
            return
    raise Violation(f"after 150 steps on eight samples the loss is {trace[-1]:.2g}, from {trace[0]:.2g}")


def losses(method: Method, model: Any) -> Iterator[float]:
    """Training loss of each step on eight examples with random labels: Adam at 1e-2, clipped, from seed 0."""
    backbone = build(method, model)
    x = backbone.example(8)
    labels = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1])
    torch.manual_seed(3)
    head = nn.Linear(flat(backbone.module(x)).shape[1], 2).double()
    network = nn.ModuleList([backbone.module, head])
    set_mode(network)
    rule = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=1e-2)
    while True:
        rule.zero_grad()
        loss = F.cross_entropy(head(flat(backbone.module(x))), labels)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        rule.step()
        yield loss.item()


CHECKS: dict[str, Callable[[Method, Any], None]] = {
    "its text makes it again": round_trip,
    "its shapes alone can be made": shapes_suffice,
    "identity at the start": identity_at_start,
    "the base's keys survive": keys_survive,
    "gradients reach what trains, and only that moves": gradients_reach,
    "merged equals unmerged": merges,
    "the cached prefix equals the whole network": prefix_is_whole,
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
        except Broken as error:
            rows.append((model.name, "applies", f"FAILED: {error}"))
            failed += 1
            continue
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
