"""Figures of memory that others have published, as `published.toml` beside this file quotes them. No torch."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

MARGIN = 0.08
"""Share of the memory to leave free until a GPU has measured it: the furthest that an estimate lies below a published
figure of allocated memory whose settings are all told (Swin-B, 7.7 %, unexplained; of the others, the next is below by
less than one), rounded up to a per cent. A test holds it to the record, results/costs/published/estimates.json."""
UNITS = {"B": 1, "MiB": 2**20, "GiB": 2**30, "GB": 10**9}
MEASURED = {
    "allocated": "the largest of torch.cuda.memory_allocated in a run",
    "reserved": "the largest of torch.cuda.memory_reserved in a run",
    "nvidia-smi": "what the driver reports, with CUDA's context",
    "after step": "torch.cuda.memory_allocated once a step is done",
}
NEEDED = (
    "model", "method", "batch", "padding", "precision", "base", "optimizer", "update", "checkpointing", "attention",
    "accumulation", "gpus", "loss", "code",
)  # fmt: skip
"""Settings that every figure has."""
ALSO = (
    "length", "size", "adapter", "clip", "dropout", "lora_dropout", "gradients", "outputs", "context_mib", "rounded",
    "file", "row", "note", "unknown", "marked", "cache",
    "shorter", "boxes", "norms", "stages",
)  # fmt: skip
"""Settings that some have: `length` in tokens, or `size` in pixels, is one of them."""


@dataclass(frozen=True)
class Source:
    """Where figures stand, and how they were measured."""

    name: str
    repository: str
    path: str
    commit: str
    date: str
    gpu: str
    libraries: str
    measured_by: str
    settings: str


@dataclass(frozen=True)
class Figure:
    """One published figure.

    Args:
        id: its name.
        source: where it stands.
        measured: one of `MEASURED`.
        bytes: the figure.
        said: value and unit as published.
        line: quoted from the source.
        settings: `NEEDED` and some of `ALSO`.
    """

    id: str
    source: Source
    measured: str
    bytes: int
    said: str
    line: str
    settings: Mapping[str, Any]

    @property
    def unknown(self) -> str:
        """Which setting the source does not tell; "" where all that matter are told."""
        return str(self.settings.get("unknown", ""))


@cache
def figures() -> tuple[Figure, ...]:
    """All of them, in the file's order.

    Raises:
        ValueError: the file is not as its head says.
    """
    text = (files("bench.costs") / "published.toml").read_text("utf-8")
    found = tuple(figure for source in tomllib.loads(text)["source"] for figure in _of(source))
    if len({figure.id for figure in found}) < len(found):
        raise ValueError("published.toml: two figures have one id")
    return found


def _of(table: Mapping[str, Any]) -> list[Figure]:
    source = Source(**{field.name: table[field.name] for field in fields(Source)})
    return [_figure(source, {**table["common"], **each}) for each in table["figure"]]


def _figure(source: Source, row: dict[str, Any]) -> Figure:
    name, measured, value, unit, line = (row.pop(key) for key in ("id", "measured", "value", "unit", "line"))
    if measured not in MEASURED or unit not in UNITS:
        raise ValueError(f"published.toml, {name}: {measured} in {unit}")
    missing, strange = set(NEEDED) - row.keys(), row.keys() - {*NEEDED, *ALSO}
    if missing or strange or ("length" in row) == ("size" in row) or ("unknown" in row) != ("marked" in row):
        raise ValueError(f"published.toml, {name}: missing {missing}, strange {strange}, or of two one")
    size = round(value * UNITS[unit])
    said = f"{size / 2**30:.2f} GiB" if unit == "B" else f"{value:,} {unit}"
    return Figure(name, source, measured, size, said, line, MappingProxyType(row))
