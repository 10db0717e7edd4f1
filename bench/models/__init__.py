"""The models. `resolve` turns what a user writes into a specification with `build`.

- backbone: what `build` returns, and how a method is put on it. architectures: which layer of a block plays which role;
  to add a class of block, an entry there. roles: the sites of a network by these tables. trace: which modules run.
- coverage: how much of a network a method reaches. matrix: which kind of method works on which network.
  method_matrix: every method on a network of each class.
- timm_models: pictures. huggingface, text_network: texts. torchvision_models: detectors. feature_maps: maps.
- language_models: texts with the head over the vocabulary; language_loss: their loss without all logits at once.
- weights, text_weights, hub: where weights come from. text_files: which files determine a text model.
  text_shapes: text models without files; shipped_shapes: those that people name.
- prefix: the part that neither trains nor varies, run once. dropout: none, or the same for every method.
- reduced: frozen weights in bf16, int8 or nf4. checkpointing: blocks computed again in the backward pass.
"""

from __future__ import annotations

import fnmatch
from pathlib import Path

import timm

from bench.assets import ASSETS
from bench.errors import unknown
from bench.models.backbone import Backbone, Broken, NeedsValues, adapt, count
from bench.models.checkpointing import checkpoint
from bench.models.huggingface import HuggingFace
from bench.models.shipped_shapes import TOWERS
from bench.models.text_shapes import SHAPES, shape_of
from bench.models.text_weights import TEXT_ASSETS, is_local
from bench.models.timm_models import Timm
from bench.models.torchvision_models import DETECTORS, Torchvision
from bench.models.weights import ASSET_OF, NAMED
from bench.spec import parse

MODELS: dict[str, type] = {"Timm": Timm, "HuggingFace": HuggingFace, "Torchvision": Torchvision}

__all__ = [
    "MODELS",
    "Backbone",
    "Broken",
    "HuggingFace",
    "NeedsValues",
    "Timm",
    "Torchvision",
    "adapt",
    "checkpoint",
    "count",
    "known",
    "offline",
    "resolve",
]


def known(pattern: str) -> list[str]:
    """Names that match a pattern ("vit_base*"): timm's, torchvision's detectors, and models of known shape."""
    names = [*timm.list_models(), *DETECTORS, *sorted({*SHAPES, *TEXT_ASSETS, *TOWERS}, key=str.lower)]
    return [name for name in names if fnmatch.fnmatchcase(name.lower(), pattern.lower())]


def offline() -> list[tuple[str, str, str]]:
    """Rows of (specification, what it is, asset) of the models whose weights are assets."""
    images = [(f"Timm({name!r})", ASSETS[asset].what, asset) for name, asset in ASSET_OF.items()]
    images += [
        (f"Timm({name!r}, weights={asset!r})", ASSETS[asset].what, asset) for name in NAMED for asset in NAMED[name]
    ]
    return [*images, *((f"HuggingFace({name!r})", ASSETS[name].what, name) for name in TEXT_ASSETS)]


def resolve(text: str) -> Timm | HuggingFace | Torchvision:
    """A model specification, "Timm('resnet50', image_size=96)", or just a name.

    A bare name is one of timm or a detector of torchvision ("fcos_resnet50_fpn"), else of a text model: an asset or
    shape ("minilm-l6", "Llama-3.2-3B"), a local folder or config.json, or a name on the Hugging Face hub with its owner
    ("FacebookAI/roberta-base").

    Raises:
        BadInput: no such model (did you mean).
    """
    if text.rstrip().endswith(")"):
        return parse(text, known=MODELS, kind="model")  # type: ignore[no-any-return]
    architecture = text.partition(".")[0]
    if timm.is_model(architecture):
        return Timm(text)
    if text in DETECTORS:
        return Torchvision(text)
    if text in TOWERS:
        return Timm(TOWERS[text])
    if is_local(text):
        return HuggingFace(text)
    if (shape := shape_of(text)) or "/" in text:
        return HuggingFace(text if "/" in text else shape or text)
    raise unknown("model", text, [*timm.list_models(), *DETECTORS, *SHAPES, *(n.rpartition("/")[2] for n in SHAPES)])
