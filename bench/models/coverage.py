"""How much of a network a method reaches, where that is not all that its user may think."""

from __future__ import annotations

from typing import Any

from torch import nn

from bench.methods import Method
from bench.sites import LAYER_ROLES, Site, depth, select

SHOWN = 3
"""Layers that are named; of the others only how many there are."""

MUCH = 0.25
"""Share of the weights from which on layers of no role are spoken of where a method chooses none by role."""


def in_part(module: nn.Module, sites: tuple[Site, ...], method: Method, base: set[str]) -> str:
    """What to say of a method that was put on a network in part; "" where it reaches all that it names.

    Args:
        module: the network with the method.
        sites: its sites.
        method: what was put on it. Only such as choose roles or blocks are looked at.
        base: names of the parameters that the network had before.

    Returns:
        "72 of 121 layers, 55 % of the weights; no role is known for …", "in 10 of 12 blocks", or both.
    """
    methods = getattr(method, "parts", (method,))
    said = [how(module, sites, each, base) for each in methods for how in (_layers, _blocks)]
    return "; ".join(part for part in dict.fromkeys(said) if part)


def _layers(module: nn.Module, sites: tuple[Site, ...], method: Any, base: set[str]) -> str:
    """Where layers have no role at all, so that a named set, or an adapter's place, cannot mean them."""
    weights = _weights(module, base)
    roles = {site.path for site in sites if site.role in LAYER_ROLES}
    without = [path for path in weights if path not in roles]
    if not without:
        return ""
    total, more = sum(weights.values()), f" and {len(without) - SHOWN} more" if len(without) > SHOWN else ""
    unknown = f"no role is known for {', '.join(without[:SHOWN])}{more}"
    if getattr(method, "at", ()):
        chosen = [s for s in select(sites, at=method.at, blocks=getattr(method, "blocks", None)) if s.path in weights]
        share = sum(weights[s.path] * _share(module, s) for s in chosen) / total
        return (
            f"{len({s.path for s in chosen})} of {len(weights)} layers, {100 * share:.0f} % of the weights; {unknown}"
        )
    share = sum(weights[path] for path in without) / total
    return f"{unknown}: {100 * share:.0f} % of the weights" if share > MUCH and hasattr(method, "blocks") else ""


def _weights(module: nn.Module, base: set[str]) -> dict[str, int]:
    """Path → size of the weight of every layer of the network's own: matrices, kernels, experts; no embeddings."""
    found = {}
    over_words = getattr(module, "output_embedding", None)  # of a language model: an embedding, read the other way
    for path, each in module.named_modules():
        composite = any(f"{path}.{n}".lstrip(".") in base for c, m in each.named_children() for n in _names(c, m))
        theirs = [n for n, _ in each.named_parameters(recurse=False) if f"{path}.{n}" in base]
        own = [p for n in theirs if (p := getattr(each, n)).ndim > 1 and p.shape[0] > 1]  # unpacked, where it is packed
        if own and not composite and not isinstance(each, nn.Embedding) and each is not over_words:
            found[path] = sum(p.numel() for p in own)
    return found


def _names(child: str, module: nn.Module) -> list[str]:
    return [f"{child}.{name}" for name, _ in module.named_parameters()]


def _share(module: nn.Module, site: Site) -> float:
    """Of a layer's weight, that of the site's rows."""
    weight: Any = module.get_submodule(site.path).weight
    return (site.rows[1] - site.rows[0]) / len(weight) if site.rows else 1.0


def _blocks(module: nn.Module, sites: tuple[Site, ...], method: Any, base: set[str]) -> str:
    """Where some of the blocks have nothing of a method that is for all of them."""
    if getattr(method, "blocks", 0) is not None:
        return ""
    new = [name for name, p in module.named_parameters() if p.requires_grad and name not in base]
    with_it = sum(any(n.startswith(site.path + ".") for n in new) for site in sites if site.role == "block")
    return f"in {with_it} of {depth(sites)} blocks" if 0 < with_it < depth(sites) else ""
