"""Tiny text models for tests: by name, and saved into a folder as transformers saves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from bench.models import HuggingFace
from bench.models.text_shapes import SHAPES, byte_tokenizer

TINY = [name for name in SHAPES if name.startswith("test-")]
TEXTS = ["short", "a text that is rather longer than the first one", "in between, that is"]


def tiny(name: str, **options: Any) -> HuggingFace:
    """A model with random weights."""
    return HuggingFace(name, weights="random", **options)


def save(folder: Path, config: Any, tokenizer: Any = None, *, auto: str = "AutoModel") -> str:
    """Saves a network of random weights and a tokenizer; returns the folder's name."""
    import transformers

    torch.manual_seed(7)
    getattr(transformers, auto).from_config(config).save_pretrained(folder)
    (tokenizer or byte_tokenizer()).save_pretrained(folder)
    return str(folder)
