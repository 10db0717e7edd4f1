"""State dicts out of the assets, without executing pickled code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import timm
import torch
from torch import Tensor, nn

from bench import assets
from bench.assets.digests import digest
from bench.assets.remembered import digests
from bench.models.hub import cached_on_hub, check_unchanged

ASSET_OF = {
    "vit_small_patch14_dinov2": "dinov2-s14",
    "tf_efficientnet_lite0": "efficientnet-lite0",
    "mobilenetv2_100": "mobilenetv2",
}
"""timm architecture → the asset with weights for it, where none is named."""

NAMED = {"mobilenetv2_100": ("mobilenetv2-imagenet",)}
"""timm architecture → further assets with weights for it, that a model asks for by name."""


BEFORE_THE_HUB = os.environ.get("TIMM_USE_OLD_CACHE", "0") not in ("", "0")
"""Whether timm takes a file of torch's cache before one of the hub."""
SAFE = {
    "pytorch_model.bin": ("model.safetensors",),
    "open_clip_pytorch_model.bin": ("open_clip_model.safetensors",),
}
"""What timm loads rather than a file of that name, where the repository has it."""


def load(asset: str, *, like: nn.Module) -> dict[str, Tensor]:
    """The weights of `asset` under the names of `like`, a timm model without classifier.

    Raises:
        BadInput: the asset is not cached and cannot be fetched.
        RuntimeError: the file does not hold what it should.
    """
    path = _file(asset)
    if path.suffix == ".onnx":
        return _dinov2_from_onnx(path)
    state = torch.load(path, map_location="cpu", weights_only=True)
    return _in_order(getattr(state, "state_dict", lambda: state)(), like)


def provenance(asset: str) -> dict[str, str | None]:
    """Name of the package that the weights came in, and the sha256 of the file that is loaded."""
    entry = assets.ASSETS[asset]
    return {"weights": f"{asset} as shipped in {entry.package}", "weights_sha256": digest(_file(asset))}


def from_hub(name: str) -> dict[str, str | None]:
    """The tag that timm stands for by `name`, and the sha256 of its file in a cache, where it lies there."""
    tag: Any = timm.get_pretrained_cfg(name)
    named = f"timm hub: {tag.architecture}.{tag.tag}" if tag else "timm hub"
    return {"weights": named, "weights_sha256": next(iter(digests(cached(name))), None)}


def cached(name: str) -> list[Path]:
    """The file that timm loads for `name`, where it lies in the cache of the hub or, for a few networks, of torch.

    Raises:
        BadInput: it has changed since it was fetched.
    """
    tag: Any = timm.get_pretrained_cfg(name)
    if not tag:
        return []
    of_torch = Path(torch.hub.get_dir(), "checkpoints", Path(urlsplit(tag.url or "").path).name)
    found = [of_torch] if tag.url and (BEFORE_THE_HUB or not tag.hf_hub_id) and of_torch.is_file() else []
    if tag.hf_hub_id and not found:
        repository, _, revision = tag.hf_hub_id.partition("@")
        file = tag.hf_hub_filename or "pytorch_model.bin"
        names = (*SAFE.get(file, (f"{file.removesuffix('.bin')}.safetensors",)), file)
        found = [path for each in names if (path := cached_on_hub(repository, each, revision))][:1]
    check_unchanged(found)
    return found


def _file(asset: str) -> Path:
    folder = assets.fetch(asset)
    return next(p for p in sorted(folder.rglob("*")) if p.suffix in (".onnx", ".pth", ".pt"))


def _in_order(state: dict[str, Tensor], like: nn.Module) -> dict[str, Tensor]:
    """Renames a state dict that lists the same tensors in the same order under other names.

    `num_batches_tracked` plays no part in inference and is missing from some of these files; a classifier at the
    end is dropped.
    """
    source = [t for name, t in state.items() if not name.endswith("num_batches_tracked")]
    target = like.state_dict()
    names = [name for name in target if not name.endswith("num_batches_tracked")]
    for name, tensor in zip(names, source, strict=False):
        if tensor.shape != target[name].shape:
            raise RuntimeError(f"weights do not fit: {name} is {tuple(target[name].shape)}, not {tuple(tensor.shape)}")
    if len(source) < len(names):
        raise RuntimeError(f"weights do not fit: {len(source)} tensors for {len(names)}")
    return {**target, **dict(zip(names, source, strict=False))}


def _dinov2_from_onnx(path: Path) -> dict[str, Tensor]:
    """DINOv2's ViT-S/14 from an ONNX graph, under timm's names.

    The graph keeps the names of biases, norms and layer scales. The weights of its Linears are anonymous and
    transposed, so they are found through the MatMul that uses them; the position embedding is folded into the
    constants of two nodes and comes as (1, 1 + 37·37, 384), for 518 px.
    """
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(path).graph
    tensors = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer}
    constant = {n.name: tensors[i] for n in graph.node for i in reversed(n.input) if i in tensors}
    embed = "backbone.embeddings."
    position = [constant["/backbone/embeddings/" + node] for node in ("Concat_6", "Reshape_1")]
    state = {
        "cls_token": tensors[embed + "cls_token"],
        "pos_embed": torch.cat(position, dim=1),
        "patch_embed.proj.weight": tensors[embed + "patch_embeddings.projection.weight"],
        "patch_embed.proj.bias": tensors[embed + "patch_embeddings.projection.bias"],
        "norm.weight": tensors["backbone.layernorm.weight"],
        "norm.bias": tensors["backbone.layernorm.bias"],
    }
    for i in range(12):
        state.update(_dinov2_block(i, tensors, constant))
    return state


def _dinov2_block(i: int, tensors: dict[str, Tensor], constant: dict[str, Tensor]) -> dict[str, Tensor]:
    name, node, out = f"backbone.encoder.layer.{i}.", f"/backbone/encoder/layer.{i}/", f"blocks.{i}."
    attention = "attention.attention."
    fused = [
        (constant[f"{node}attention/attention/{part}/MatMul"].T, tensors[f"{name}{attention}{part}.bias"])
        for part in ("query", "key", "value")
    ]
    state = {
        out + "attn.qkv.weight": torch.cat([weight for weight, _ in fused]),
        out + "attn.qkv.bias": torch.cat([bias for _, bias in fused]),
        out + "attn.proj.weight": constant[f"{node}attention/output/dense/MatMul"].T.contiguous(),
        out + "attn.proj.bias": tensors[f"{name}attention.output.dense.bias"],
    }
    for layer in ("norm1", "norm2"):
        for part in ("weight", "bias"):
            state[f"{out}{layer}.{part}"] = tensors[f"{name}{layer}.{part}"]
    for layer in ("fc1", "fc2"):
        state[f"{out}mlp.{layer}.weight"] = constant[f"{node}mlp/{layer}/MatMul"].T.contiguous()
        state[f"{out}mlp.{layer}.bias"] = tensors[f"{name}mlp.{layer}.bias"]
    for layer in ("1", "2"):
        state[f"{out}ls{layer}.gamma"] = tensors[f"{name}layer_scale{layer}.lambda1"]
    return state
