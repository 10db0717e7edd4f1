"""Which kind of method works on which network: tried on shapes, never guessed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bench.errors import BadInput
from bench.methods import (
    AdaptFormer,
    BitFit,
    FeatureLoRA,
    FullFineTuning,
    Houlsby,
    LayerNormTuning,
    LinearProbe,
    LoRA,
    Method,
    Pfeiffer,
)
from bench.models.backbone import Broken, adapt, count
from bench.models.coverage import in_part
from bench.models.huggingface import HuggingFace
from bench.models.timm_models import Timm
from bench.sites import ATTENTION, CONV, MLP

WORKS = "works"

KINDS: dict[str, Method] = {
    "linear probe": LinearProbe(),
    "full": FullFineTuning(),
    "BitFit": BitFit(),
    "LayerNorm": LayerNormTuning(),
    "feature LoRA": FeatureLoRA(rank=1),
    "LoRA, attention": LoRA(rank=1, at=ATTENTION),
    "LoRA, MLP": LoRA(rank=1, at=MLP),
    "LoRA, convolutions": LoRA(rank=1, at=CONV),
    "Houlsby": Houlsby(width=1),
    "Pfeiffer": Pfeiffer(width=1),
    "AdaptFormer": AdaptFormer(width=1),
}
"""One method of each kind."""
COUNTED = (FullFineTuning, BitFit, LayerNormTuning)
"""Those that have no size of their own."""

PICTURES = {
    "ViT": "vit_base_patch16_224",
    "DINOv2": "vit_small_patch14_dinov2",
    "DINOv3": "vit_small_patch16_dinov3",
    "EVA-02": "eva02_tiny_patch14_224",
    "SigLIP": "vit_base_patch16_siglip_224",
    "CLIP": "vit_base_patch32_clip_224",
    "AIMv2": "aimv2_large_patch14_224",
    "BEiT": "beit_base_patch16_224",
    "DeiT, distilled": "deit_tiny_distilled_patch16_224",
    "Swin": "swin_tiny_patch4_window7_224",
    "SwinV2": "swinv2_tiny_window8_256",
    "ConvNeXt": "convnext_tiny",
    "ResNet": "resnet50",
    "EfficientNet": "tf_efficientnet_lite0",
    "MobileNetV2": "mobilenetv2_100",
    "MobileNetV4": "mobilenetv4_conv_small",
    "GhostNet": "ghostnet_100",
}
"""Family → a network of timm."""

TEXTS = {
    "BERT": "test-bert",
    "RoBERTa": "test-roberta",
    "DistilBERT": "test-distilbert",
    "ELECTRA": "test-electra",
    "DeBERTa": "test-deberta-v2",
    "ModernBERT": "test-modernbert",
    "GPT-2": "test-gpt2",
    "Llama": "test-llama",
    "Gemma": "tiny-gemma",
    "Gemma 2": "tiny-gemma2",
    "Gemma 3": "tiny-gemma3",
    "Phi": "tiny-phi",
    "Phi-3": "tiny-phi3",
    "Mixtral": "tiny-mixtral",
    "OPT": "tiny-opt",
    "I-BERT": "tiny-ibert",
    "T5, encoder": "tiny-t5",
    "BART, encoder": "tiny-bart",
}
"""Family → a shape of transformers in small: its blocks are those of the large ones."""


def families() -> dict[str, Any]:
    """Every family's name → a model with random weights."""
    pictures = {family: Timm(name, weights="random") for family, name in PICTURES.items()}
    return pictures | {family: HuggingFace(name, weights="random", max_length=32) for family, name in TEXTS.items()}


def matrix(models: dict[str, Any], kinds: Sequence[str] = tuple(KINDS)) -> Iterator[tuple[str, str, str]]:
    """Puts a method of each kind on each model, on tensors that have shapes and no values.

    Args:
        models: name → specification.
        kinds: of `KINDS`.

    Yields:
        (model, kind, verdict): "works", "works in part: how far", "refused: why", or "unknown: why" where shapes alone
        do not tell. Of what has no size of its own it says how many parameters train: "works: 102,912 parameters".
    """
    for name, model in models.items():
        for kind in kinds:
            yield name, kind, verdict(model.untrained(), KINDS[kind])


def verdict(model: Any, method: Method) -> str:
    """What becomes of a method on a model, in the words of `matrix`."""
    try:
        backbone = model.build(device="meta")
        base = {name for name, _ in backbone.module.named_parameters()}
        adapt(backbone, method)
    except Broken as error:
        return f"unknown: {error}"
    except BadInput as error:
        return f"refused: {error}"
    except Exception as error:  # whatever a library does on shapes: that tells nothing of the real network
        return f"unknown: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    if part := in_part(backbone.module, backbone.sites, method, base):
        return f"{WORKS} in part: {part}"
    return f"{WORKS}: {count(backbone):,} parameters" if isinstance(method, COUNTED) else WORKS
