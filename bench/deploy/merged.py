"""A trained network in its own library's format, without this package: what the method did is folded into the weights.

- timm: `timm.create_model(name, num_classes=…, checkpoint_path=…)`.
- transformers: `AutoModelForSequenceClassification.from_pretrained(folder)`. Where the library's own head computes
  something else (it has none that averages tokens), the folder brings a class of some lines, and needs
  `trust_remote_code=True`.
- torchvision: its detector's `state_dict`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save
from torch import Tensor, nn

from bench.deploy.loading import Trained
from bench.deploy.text_class import POOLED, plain_class
from bench.errors import BadInput
from bench.methods import merge
from bench.models import HuggingFace, Timm, Torchvision
from bench.records import write_atomically
from bench.training.run import Network


@dataclass(frozen=True)
class Plain:
    """How a merged network is loaded without this package.

    Args:
        lines: of Python, from imports to a network called `model`.
        load: does the same. Inputs as the network here has them → outputs.
    """

    lines: tuple[str, ...]
    load: Callable[[], Callable[[Any], Any]]


def merged(trained: Trained) -> Network:
    """A copy of the network with its method folded into the weights, in float64 on the way.

    Raises:
        BadInput: something of the method stays in the network, with the reason.
    """
    twin, method = copy.deepcopy(trained.network), trained.run.method
    twin.features = twin.backbone.__call__
    exact = all(p.dtype == torch.float32 for p in twin.parameters())
    advice = f"export it as adapter: bench export {trained.about['run_id']} --to adapter"
    try:
        body = merge(twin.backbone.double() if exact else twin.backbone, method)
    except BadInput as error:
        raise BadInput(f"{method!r} cannot be merged here ({error}): {advice}") from None
    with torch.device("meta"):
        base = trained.run.model.build(device="meta", output=trained.run.task.output).module
    own = sorted(set(body.state_dict()) ^ set(base.state_dict()))
    if own:
        raise BadInput(
            f"{method!r} cannot be merged: it computes what no weight of the base can ({own[0]} stays); {advice}"
        )
    twin.backbone = body.float() if exact else body
    twin.features = twin.backbone.__call__
    return twin.eval()


def write_merged(trained: Trained, network: Network, folder: Path) -> Plain:
    """Writes a merged network as its library loads it.

    Args:
        trained: what was merged.
        network: `merged`.
        folder: where to.

    Raises:
        BadInput: the library has no class for such a network.
    """
    model = trained.run.model
    if isinstance(model, Torchvision):
        return _torchvision(trained, model, network, folder)
    if trained.family == "detection":
        raise BadInput(
            f"{model!r} under a detector is no network of timm or torchvision: --to onnx takes it elsewhere, --to "
            "adapter keeps it for bench predict; of Torchvision's detectors merged works"
        )
    if isinstance(model, Timm):
        return _timm(trained, model, network, folder)
    assert isinstance(model, HuggingFace)
    return _transformers(trained, network, folder)


def _timm(trained: Trained, model: Timm, network: Network, folder: Path) -> Plain:
    name, classes = model.name.partition(".")[0], max(1, len(trained.classes))
    options: dict[str, Any] = {"num_classes": classes}
    options |= {"global_pool": model.pool} if model.pool else {}
    fixed = timm.get_pretrained_cfg(model.name)
    if model.image_size and (fixed is None or fixed.fixed_input_size):
        options["img_size"] = model.image_size
    plain: Any = timm.create_model(name, **options, device="meta")
    place, target = classifier_of(plain), plain.state_dict()
    state = network.backbone.state_dict() | {f"{place}.{key}": t for key, t in network.head.state_dict().items()}
    if state.keys() != target.keys():
        strange = sorted(state.keys() ^ target.keys())[0]
        raise BadInput(f"{model!r} as a classifier of timm has other weights ({strange}): merged is not to be had")
    state = {key: tensor.reshape(target[key].shape) for key, tensor in state.items()}
    path = write_atomically(folder / "model.safetensors", packed(state))
    said = ", ".join(f"{key}={value!r}" for key, value in options.items())
    lines = ("import timm", f"model = timm.create_model({name!r}, {said}, checkpoint_path='{path.name}').eval()")
    return Plain(lines, lambda: timm.create_model(name, **options, checkpoint_path=str(path)).eval())


def classifier_of(plain: Any) -> str:
    """The path of a timm network's classifier."""
    classifier = plain.get_classifier()
    return next((path for path, module in plain.named_modules() if module is classifier), "head")


def _transformers(trained: Trained, network: Network, folder: Path) -> Plain:
    from transformers import AutoModelForSequenceClassification
    from transformers.pytorch_utils import Conv1D
    from transformers.utils import logging

    body: Any = network.backbone.body
    config, pool = copy.deepcopy(body.config), str(network.backbone.pool)
    names = dict(enumerate(trained.classes or ("value",)))
    config.id2label, config.label2id = names, {name: i for i, name in names.items()}
    config.num_labels = len(names)
    with torch.device("meta"):
        library = type(body)(copy.deepcopy(config))
    turned = {f"{path}.weight" for path, module in library.named_modules() if isinstance(module, Conv1D)}
    state = {key: t.t() if key in turned else t for key, t in body.state_dict().items()}
    if (own := plain_class(config.model_type, pool, network.head, state)) is None:
        kind, classes = type(body).__name__, type(config).__name__
        config.bench_pool, config.bench_head = pool, "mlp" if isinstance(network.head, nn.Sequential) else "linear"
        config.auto_map = {"AutoModelForSequenceClassification": "modeling_pooled.PooledForSequenceClassification"}
        write_atomically(folder / "modeling_pooled.py", POOLED.format(body=kind, config=classes))
        state = {f"body.{key}": t for key, t in state.items()}
        state |= {f"classifier.{key}": t for key, t in network.head.state_dict().items()}
        config.architectures = ["PooledForSequenceClassification"]
    else:
        state, config.architectures = own
    config.save_pretrained(folder)
    trained.backbone.inputs.tokenizer.save_pretrained(folder)
    write_atomically(folder / "model.safetensors", packed(state))
    more, trust = ("", {}) if own else (", trust_remote_code=True", {"trust_remote_code": True})
    lines = (
        "from transformers import AutoModelForSequenceClassification",
        f"model = AutoModelForSequenceClassification.from_pretrained('.'{more}).eval()",
    )

    def load() -> Callable[[Any], Any]:
        logging.disable_progress_bar()
        loaded = AutoModelForSequenceClassification.from_pretrained(str(folder.absolute()), **trust).eval()
        return lambda inputs: loaded(**inputs).logits

    return Plain(lines, load)


def _torchvision(trained: Trained, model: Torchvision, network: Network, folder: Path) -> Plain:
    from torchvision.models import get_model

    head: Any = network.head
    classes = len(trained.classes) + int(head.background)
    body: Any = network.backbone.body
    state = {f"backbone.body.{key}": t for key, t in body.state_dict().items()}
    state |= {f"backbone.fpn.{key}": t for key, t in head.pyramid.fpn.state_dict().items()}
    state |= dict(head.detector.state_dict())
    size = int(trained.backbone.inputs.size)  # the longer side, as both together say
    options: dict[str, Any] = {
        **{"weights": None, "weights_backbone": None, "num_classes": classes, "min_size": size, "max_size": size}
    }
    plain: Any = get_model(model.name, **options)
    state = {key: t for key, t in state.items() if key in plain.state_dict()}
    plain.load_state_dict(state)
    path = write_atomically(folder / "model.safetensors", packed(state))
    said = ", ".join(f"{key}={value!r}" for key, value in options.items())
    lines = (
        "from safetensors.torch import load_file",
        "from torchvision.models import get_model",
        f"model = get_model({model.name!r}, {said}).eval()",
        f"model.load_state_dict(load_file('{path.name}'))",
    )

    def load() -> Callable[[Any], Any]:
        plain.eval()
        return lambda pictures: tuple(plain.backbone(pictures).values())

    return Plain(lines, load)


def packed(state: Mapping[str, Tensor]) -> bytes:
    """A `state_dict` as safetensors; what shares its memory is written for each name."""
    return save({key: t.detach().to("cpu", copy=True).contiguous() for key, t in state.items()}, {"format": "pt"})
