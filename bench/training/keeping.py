"""What is kept of a trained network: what training changed and what the method added, never the base's own weights."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from bench.errors import BadInput
from bench.models import Backbone
from bench.tasks import Task, class_names
from bench.training.recipe import set_mode
from bench.training.run import Network

ALIKE = 1e-5
"""Relative difference up to which sums over a base's weights are of one base: machines resample and draw with other
roundings."""


def kept(network: Network) -> dict[str, Tensor]:
    """Of a `state_dict`, what the base's own weights do not tell; by name in the network.

    That is, trainable parameters, all that the method has added (frozen parameters and persistent buffers too), and
    batch statistics that training moves. The network is left in training mode.
    """
    set_mode(network)
    added = {f"backbone.{name}" for name in network.added}
    moving = {path for path, part in network.named_modules() if part.training}
    found = {}
    for name, tensor in network.state_dict(keep_vars=True).items():
        frozen = isinstance(tensor, nn.Parameter) and not tensor.requires_grad
        if name in added or (not frozen and (tensor.requires_grad or name.rpartition(".")[0] in moving)):
            found[name] = tensor
    return found


def packed(task: Task, backbone: Backbone, network: Network) -> bytes:
    """A trained network as a safetensors file: what is kept of it, and what prediction needs beside the weights.

    Args:
        task: names the classes.
        backbone: says how its inputs are made, and where its weights come from.
        network: trained.
    """
    tensors = kept(network)
    base = {**backbone.provenance, "sums": sums(network, tensors)}
    about = {"backbone": base, "preprocessing": preprocessing(backbone.inputs), "classes": class_names(task)}
    content = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    return save(content, metadata={key: json.dumps(value) for key, value in about.items()})


def preprocessing(inputs: Any) -> dict[str, Any]:
    """What is done to a sample before the network sees it, as plain data.

    Args:
        inputs: the backbone's.
    """
    if hasattr(inputs, "tokenizer"):
        return {"tokenizer_sha256": inputs.sha256, "length": inputs.length}
    made = asdict(inputs) if is_dataclass(inputs) and not isinstance(inputs, type) else {}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in made.items()}


def sums(network: nn.Module, without: Collection[str]) -> list[float]:
    """Number, sum and sum of squares of all weights that are not kept: a base's fingerprint, whatever its file."""
    rest = [tensor for name, tensor in network.state_dict().items() if name not in without]
    numbers = [tensor.double() for tensor in rest if not tensor.is_complex()]
    total = sum(float(each.sum()) for each in numbers)
    return [float(sum(map(torch.numel, numbers))), total, sum(float(each.square().sum()) for each in numbers)]


def restore(network: Network, tensors: Mapping[str, Tensor], about: Mapping[str, Any], *, where: str) -> None:
    """Puts kept weights on a network that was assembled anew.

    Args:
        network: as `assemble` made it.
        tensors: as kept.
        about: their metadata.
        where: the file, for messages.

    Raises:
        BadInput: they are of another network, or the base has other weights.
    """
    own, here = network.state_dict(), kept(network)
    strange = [name for name in tensors if name not in own or own[name].shape != tensors[name].shape]
    missing = [name for name in here if name not in tensors and here[name].requires_grad]
    if strange or missing:
        raise BadInput(
            f"{where} does not fit {about['model']} with {about['method']} as they are made here "
            f"({(strange + missing)[0]}): it is of another version; make it again with `bench keep {about['run_id']}`"
        )
    network.load_state_dict(dict(tensors), strict=False)
    was, now = about["backbone"].get("sums"), sums(network, set(tensors))
    if was and not all(_alike(a, b, now[2] or 1.0) for a, b in zip(was, now, strict=True)):
        named = about["backbone"].get("weights") or "its weights"
        raise BadInput(
            f"{where} was trained on another backbone: {about['model']} had {named} there, and other values than here; "
            "bring back those weights, or make it again with "
            f"`bench keep {about['run_id']}`"
        )


def _alike(a: float, b: float, size: float) -> bool:
    return abs(a - b) <= ALIKE * max(abs(a), abs(b), size**0.5)
