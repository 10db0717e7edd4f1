"""The sites of a network: which of its modules play which role, by the tables of `bench.models.architectures`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from bench.models.architectures import BLOCKS, QKV, STEMS
from bench.models.trace import Seen
from bench.sites import MODULE_ROLES, Site

LAYERS = (nn.Linear, nn.Conv2d)


def sites(model: nn.Module, called: Collection[str] | None = None) -> tuple[Site, ...]:
    """The sites of a network, stem first, then block by block.

    A network with a block of a class not in `BLOCKS` has no block sites at all: some of its blocks only would be worse
    than none. Methods that need none (full fine-tuning, probe, BitFit, feature LoRA) work there.

    Args:
        model: the network.
        called: paths of the modules that a forward pass calls, as `bench.models.trace` finds them; None where that is
            not known. A layer that is not among them has its weight read past it: its sites are `bypassed`.
    """
    known = not unknown_classes(model)
    found, index = list(_sites_below(model, "", STEMS, -1, called)), -1
    for path, block in model.named_modules():
        name = class_name(block)
        if name in BLOCKS and known:
            index += 1
            found.append(Site(path, "block", index))
            found.extend(_sites_below(block, path + ".", BLOCKS[name], index, called))
    return tuple(found)


def below(prefix: str, found: Iterable[Site]) -> tuple[Site, ...]:
    """Sites of a network that is a part of another one, under their names there."""
    return tuple(replace(site, path=prefix + site.path, source=site.source and prefix + site.source) for site in found)


def called_below(prefix: str, pass_: Seen | None) -> Collection[str] | None:
    """What a pass through the other one called of it, under its own names."""
    return None if pass_ is None else {path.removeprefix(prefix) for path in pass_.called if path.startswith(prefix)}


def unknown_classes(model: nn.Module) -> list[str]:
    """Classes of blocks that `BLOCKS` does not know: residual ones, and those that stand in a row beside known ones.

    So do GhostNet's, which its library marks in no way. And those whose parts are of a known class, as GhostNetV3's: a
    block stands in a row, under a number; what has a name of its own is a part of something else.
    """
    found = {class_name(m) for m in model.modules() if _is_residual(m) and class_name(m) not in BLOCKS}
    known = [path for path, m in model.named_modules() if class_name(m) in BLOCKS]
    beside = {path.partition(".")[0] for path in known}
    inside = tuple(path + "." for path in known)
    for name, paths in _rows_of_modules(model).items():
        apart = [p for p in paths if not p.startswith(inside) and not any(k.startswith(p + ".") for k in known)]
        if name not in BLOCKS and len([p for p in apart if p.partition(".")[0] in beside]) > 1:
            found.add(name)
    found |= {class_name(_in_a_row(model, path)) for path in known if not _numbered(path)}
    return sorted(found)


def _numbered(path: str) -> bool:
    return path.rpartition(".")[2].isdigit()


def _in_a_row(model: nn.Module, path: str) -> nn.Module:
    """What around a module stands under a number; the network itself where nothing does."""
    while path and not _numbered(path):
        path = path.rpartition(".")[0]
    return model.get_submodule(path)


def _rows_of_modules(model: nn.Module, kinds: tuple[type[nn.Module], ...] = LAYERS) -> dict[str, list[str]]:
    """Paths of numbered modules with several layers of some kinds, by their class."""
    found: dict[str, list[str]] = {}
    for path, module in model.named_modules():
        numbered = _numbered(path) and not isinstance(module, nn.Sequential | nn.ModuleList)
        if numbered and len(_layers(module, kinds)) > 1:
            found.setdefault(class_name(module), []).append(path)
    return {name: paths for name, paths in found.items() if len(paths) > 1}


def unknown_blocks(model: nn.Module) -> str:
    """The class of the blocks that `BLOCKS` does not know, and the layers in them, for a message."""
    for kinds in (LAYERS, (nn.Module,)):  # of a library's own kind, where there are none of torch's: I-BERT's
        unknown = {*unknown_classes(model)} or _rows_of_modules(model, kinds).keys() - BLOCKS.keys()
        for module in model.modules():
            if class_name(module) in unknown and (layers := _layers(module, kinds)):
                return f"{class_name(module)} with {', '.join(layers)}"
    return "no repeated blocks"


def class_name(module: nn.Module) -> str:
    """Module and class, as its library has them: "vision_transformer.Block"."""
    return f"{type(module).__module__.rpartition('.')[2]}.{type(module).__name__}"


def _layers(module: nn.Module, kinds: tuple[type[nn.Module], ...] = LAYERS) -> list[str]:
    """Paths of the layers of some kinds: what has a weight of more than one dimension."""
    found = [(path, getattr(m, "weight", None)) for path, m in module.named_modules() if isinstance(m, kinds)]
    return [path for path, weight in found if isinstance(weight, Tensor) and weight.ndim > 1]


def _is_residual(module: nn.Module) -> bool:
    """timm gives every residual block a `drop_path` of its own; transformers' blocks have a common base class."""
    return any(name.startswith("drop_path") for name, _ in module.named_children()) or any(
        base.__name__ == "GradientCheckpointingLayer" for base in type(module).__mro__
    )


def _sites_below(
    root: nn.Module, prefix: str, table: dict[str, str], block: int, called: Collection[str] | None
) -> Iterator[Site]:
    for key, role in table.items():
        source, _, suffix = key.rpartition(" > ")
        if not _has(root, suffix):
            continue
        path, layer = prefix + suffix, root.get_submodule(suffix)
        past = called is not None and path not in called
        if role == QKV:
            yield Site(path, "qkv", block, bypassed=past)
            for part, rows in zip(QKV.split(), _rows(root, layer, table), strict=True):
                yield Site(path, part, block, rows, bypassed=past)
        elif source:
            yield Site(path, role, block, source=prefix + source)
        elif role in MODULE_ROLES and not isinstance(layer, nn.Identity):
            yield Site(path, role, block)
        elif not isinstance(layer, nn.Identity | nn.Sequential):
            grouped = isinstance(layer, nn.Conv2d) and layer.groups > 1 and role in ("conv", "proj")
            yield Site(path, "dwconv" if grouped else role, block, bypassed=past)


def _rows(block: nn.Module, fused: Any, table: dict[str, str]) -> list[tuple[int, int]]:
    """Rows of queries, keys and values: as many queries as the output projection reads, and of the rest the halves."""
    output: Any = next(block.get_submodule(k) for k, role in table.items() if role == "o" and _has(block, k))
    queries = output.in_features
    keys = (fused.out_features - queries) // 2
    return [(0, queries), (queries, queries + keys), (queries + keys, fused.out_features)]


def _has(module: nn.Module, path: str) -> bool:
    try:
        return isinstance(module.get_submodule(path), nn.Module)
    except AttributeError:
        return False
