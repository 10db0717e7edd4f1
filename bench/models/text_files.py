"""Which files determine a text model, and what they hash to."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from bench.assets.remembered import digests
from bench.models.hub import cached_on_hub

DESCRIBE = re.compile(
    r"(config|.*\.index|tokenizer.*|vocab.*|special_tokens_map|added_tokens)\.json|(vocab|merges|bpe).*|.*\.(model|tiktoken)"
)
"""Names of files that say which network it is and how texts are cut: configuration, lists of shards, tokenizers'."""


def hashes(place: Path) -> dict[str, str | None]:
    """For the provenance: of the files with weights, and of all that determine the model."""
    weights = " ".join(digests(weight_files(place)))
    return {"weights_sha256": weights or None, "model_sha256": fingerprint(place)}


def snapshot(name: str, revision: str) -> Path | None:
    """The folder of a model's files in the hub's cache; None where it is not there."""
    config = cached_on_hub(name, "config.json", revision)
    return config.parent if config else None


def weight_files(folder: Path | None) -> list[Path]:
    """The files with weights in a folder, of the kind that is loaded."""
    kinds = ("*.safetensors", "*.bin", "*.onnx") if folder else ()
    return next((paths for kind in kinds if (paths := sorted(folder.glob(kind)))), [])  # type: ignore[union-attr]


def described(folder: Path | None) -> list[Path]:
    """The files in a folder that say which network it is, and what it makes of a text."""
    return [file for file in sorted(folder.iterdir()) if DESCRIBE.fullmatch(file.name)] if folder else []


def fingerprint(place: Path, *, weights: bool = True) -> str:
    """sha256 of all files that determine a model: configuration, tokenizer and, if wanted, weights.

    Args:
        place: a folder, or a configuration in JSON in one.
        weights: whether those of the folder are loaded.
    """
    folder = place if place.is_dir() else place.parent
    files = [*described(folder), *(weight_files(folder) if weights else [])]
    files += [place] if place != folder and place not in files else []
    named = [f"{file.name} {sha}\n" for file, sha in zip(files, digests(files), strict=True)]
    return hashlib.sha256("".join(named).encode("utf-8", "surrogateescape")).hexdigest()
