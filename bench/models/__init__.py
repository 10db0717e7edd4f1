"""The models. `resolve` turns what a user writes into a specification with `build`."""

from __future__ import annotations

from bench.models.backbone import Backbone, adapt, count
from bench.models.timm_models import Timm
from bench.spec import parse

MODELS: dict[str, type] = {"Timm": Timm}

__all__ = ["MODELS", "Backbone", "Timm", "adapt", "count", "resolve"]


def resolve(text: str) -> Timm:
    """A model specification, "Timm('resnet50', image_size=96)", or just a timm name, "resnet50".

    Raises:
        BadInput: no such model (did you mean).
    """
    model: Timm = parse(text, known=MODELS, kind="model") if text.rstrip().endswith(")") else Timm(text)
    return model
