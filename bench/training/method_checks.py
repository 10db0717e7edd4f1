"""What every method must hold, as checks that its author can run: `bench check "LoRA(rank=4)"`.

Each check takes a method and a model specification, works on random weights in float64, and raises `Violation`
with one line where the method breaks the rule. It may return what is worth saying of one that keeps it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F

from bench.errors import BadInput
from bench.methods import METHODS, Method, merge
from bench.methods.branch import Branch
from bench.models import Backbone, Broken, NeedsValues, adapt, count
from bench.models.prefix import frozen_prefix
from bench.spec import parse
from bench.training.check_networks import (
    BERT,
    CNN,
    CNN_MAPS,
    MODELS,
    VIT,
    VIT_MAPS,
    OnMaps,
    Violation,
    build,
    features_of,
    flat,
    losses,
    perturb,
)

__all__ = [
    "BERT", "CHECKS", "CNN", "CNN_MAPS", "MODELS", "VIT", "VIT_MAPS", "OnMaps", "Violation", "build", "flat", "perturb",
    "report",
]  # fmt: skip

ROUNDING = 1e-12
"""Of the largest feature: what float64 may lose in what is the same."""


def round_trip(method: Method, model: Any) -> None:
    """The text of a method makes an equal method."""
    again = parse(repr(method), known={**METHODS, type(method).__name__: type(method)}, kind="method")
    if again != method:
        raise Violation(f"{method!r} reads back as {again!r}: keep the fields plain and `__repr__` that of Spec")


def identity_at_start(method: Method, model: Any) -> str | None:
    """Before training, the adapted network computes what the base does, or the method says why not (`departs`).

    To 1e-12 of the largest feature, which is float64's rounding and no departure.
    """
    base, adapted = build(None, model), build(method, model)
    x = base.example(2)
    expected, found = flat(base.module(x)), flat(adapted.module(x))
    if found.shape != expected.shape:
        raise Violation(f"the features have shape {tuple(found.shape)}, the base's {tuple(expected.shape)}")
    difference = (found - expected).abs().max().item()
    if difference <= ROUNDING * max(1.0, expected.abs().max().item()):
        return None
    if method.departs:
        return f"differs by {difference:.2g}, as declared: {method.departs}"
    raise Violation(
        f"at the start the features differ from the base's by {difference:.2g}: start branches at zero, or declare why "
        "with departs"
    )


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
    keys = tuple(f"{site.path}." for site in backbone.sites if site.role == "k" and site.rows is None)
    for name in [name for name in trainable if name.startswith(keys) and name.endswith("bias")]:
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

    Only of a method with a branch that can be folded or a `merged` of its own: the others never said that they merge.
    """
    backbone = build(method, model)
    if not method.merges(backbone.module):
        return
    perturb(backbone.module)
    same_when_merged(method, model, backbone)


def same_when_merged(method: Method, model: Any, backbone: Backbone) -> None:
    """A copy of an adapted network, merged, computes the same."""
    expected, merged = features_of(backbone), copy.deepcopy(backbone.module)
    keys, of_base = set(merged.state_dict()), set(build(None, model).module.state_dict())
    try:
        merged = merge(merged, method)
    except BadInput:  # a host that changes its weight before use: that is the network's doing
        return
    found = set(merged.state_dict())
    if found == keys != of_base:
        raise Violation("merging takes nothing off: a `merged` that cannot merge here raises BadInput")
    difference = (flat(merged.eval()(backbone.example(2))) - expected).abs().max().item()
    if difference > 1e-10:
        raise Violation(f"merged and unmerged differ by {difference:.2g}")
    if found != of_base and not any(isinstance(m, Branch) for m in merged.modules()):
        raise Violation("after merging, the state_dict has other keys than the base's")


def shapes_suffice(method: Method, model: Any) -> None:
    """It can be put on a network of shapes alone, as plans and counts do, and trains as much there."""
    backbone: Backbone = model.build(device="meta")
    try:
        adapt(backbone, method)
    except NeedsValues as error:
        raise Violation(str(error)) from None
    real = build(method, model)
    for what, found, there in (
        ("train", count(backbone), count(real)),
        ("are removed", method.removed(backbone.module), method.removed(real.module)),
    ):
        if found != there:
            raise Violation(f"on shapes alone {found:,} parameters {what}, on real tensors {there:,}")
    if not 0 <= method.removed(real.module) <= count(real):
        raise Violation(f"removed says {method.removed(real.module):,} of {count(real):,} parameters that train")


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
    first, second = ([*islice(losses(method, build(method, model)), 3)] for _ in range(2))
    if first != second:
        raise Violation(f"two runs with one seed differ: {first} and {second}")


def overfits(method: Method, model: Any) -> None:
    """Backbone and head together can learn eight samples by heart, within 300 steps."""
    trace = []
    for loss in islice(losses(method, build(method, model)), 300):
        trace.append(loss)
        if loss < 0.1:
            return
    raise Violation(f"after 300 steps on eight samples the loss is {trace[-1]:.2g}, from {trace[0]:.2g}")


def trains_by_the_rules(method: Method, model: Any) -> None:
    """Rates are above zero, a penalty is a scalar, and what the method does after a step is undone with the weights.

    After some steps, the weights and persistent buffers of before make the network what it was: what else it needs is
    not lost with an epoch that was not the best. What does not train, frozen statistics too, is as it was; what can be
    merged still can.
    """
    backbone = build(method, model)
    module, trains = backbone.module, {name for name, p in backbone.module.named_parameters() if p.requires_grad}
    if not trains:
        return
    moves = {name.rpartition(".")[0] for name in trains}  # batch statistics move where scale and shift train
    still = [name for name in module.state_dict() if name not in trains and name.rpartition(".")[0] not in moves]
    start = {name: module.state_dict()[name].clone() for name in still}
    training = losses(method, backbone, steps=8)
    list(islice(training, 4))
    kept = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    expected = features_of(backbone)
    list(islice(training, 4))
    moving = {path for path, part in module.named_modules() if part.training}  # whose batch statistics train too
    for name, tensor in module.state_dict().items():
        frozen = name in start and name not in backbone.added and name.rpartition(".")[0] not in moving
        if frozen and not torch.equal(tensor, start[name]):
            raise Violation(f"{name} of the base changes in training, though it is frozen")
        if not tensor.isfinite().all():
            raise Violation(f"{name} is not finite after 8 steps")
    if method.merges(module):
        same_when_merged(method, model, backbone)
    module.load_state_dict(kept)
    difference = (features_of(backbone) - expected).abs().max().item()
    if difference > ROUNDING * max(1.0, expected.abs().max().item()):
        raise Violation(
            f"with weights and buffers of an earlier step the features differ by {difference:.2g} from that step's: "
            "keep what they depend on in a persistent buffer"
        )


CHECKS: dict[str, Callable[[Method, Any], str | None]] = {
    "its text makes it again": round_trip,
    "its shapes alone can be made": shapes_suffice,
    "identity at the start": identity_at_start,
    "the base's keys survive": keys_survive,
    "gradients reach what trains, and only that moves": gradients_reach,
    "merged equals unmerged": merges,
    "the cached prefix equals the whole network": prefix_is_whole,
    "its training keeps to the rules": trains_by_the_rules,
    "same seed, same losses": repeats,
    "overfits eight samples": overfits,
}


def report(method: Method, models: list[Any], *, without: Sequence[str] = ()) -> tuple[list[tuple[str, str, str]], int]:
    """Runs every check of a method on some models, but for those named in `without`.

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
            if name in without:
                continue
            try:
                note = check(method, model)
            except (Violation, BadInput) as violation:
                rows.append((model.name, name, f"FAILED: {violation}"))
                failed += 1
            except Exception as error:  # a shape that does not fit, say: its author wants the other checks too
                rows.append((model.name, name, f"FAILED: {type(error).__name__}: {error}"))
                failed += 1
            else:
                rows.append((model.name, name, f"ok: {note}" if note else "ok"))
    return rows, failed
