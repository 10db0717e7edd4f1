"""What a training step keeps for its backward pass, by operation and by block, of several methods beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bench.report.style import look, short

RECORD = "activations.json"
"""The record's name, in results/costs/activations."""
MOST = 10
"""Operations with a row of their own; the rest is one row."""
WORDS = {
    "addmm": "matrix product", "mm": "matrix product", "bmm": "matrix product", "matmul": "matrix product",
    "add": "sum", "mul": "product", "gelu": "GELU", "relu": "ReLU", "silu": "SiLU", "_softmax": "softmax",
    "_log_softmax": "log-softmax", "native_layer_norm": "LayerNorm", "native_batch_norm": "BatchNorm",
    "cudnn_batch_norm": "BatchNorm", "convolution": "convolution", "native_dropout": "dropout", "_to_copy": "cast",
    "_scaled_dot_product_flash_attention_for_cpu": "attention", "nll_loss_forward": "loss", "clone": "copy",
    "embedding": "embedding",
}  # fmt: skip
"""torch's operations in words; others go by their own name."""


def operation(name: str) -> str:
    """An operation of torch in words: "GELU", "LayerNorm", "cast" of a tensor into another precision."""
    return WORDS.get(name, name.strip("_").replace("_", " "))


def layer(path: str) -> str:
    """A layer without what stands before its block's number: "mlp.fc1", and "block" for the block itself."""
    *_, inner = path.rpartition("*")
    return (inner.removeprefix(".") or "block") if "*" in path else path


@dataclass(frozen=True)
class Column:
    """One method: what its forward pass leaves.

    Args:
        run: as the record has it.
    """

    run: Mapping[str, Any]

    @property
    def label(self) -> str:
        """As readers see it: "LoRA r=8 q+v, checkpointing"."""
        config = self.run["config"]
        said = [short(key, config[key]) for key in ("rank", "width", "at", "blocks") if config.get(key) is not None]
        words = " ".join([look(self.run["name"]).name, *said])
        return f"{words}, checkpointing" if self.run["checkpointing"] else words

    @cached_property
    def by_operation(self) -> dict[str, int]:
        """Bytes by layer and operation."""
        found: dict[str, int] = {}
        for row in self.run["held"]:
            key = f"{layer(row['layer'])}: {operation(row['operation'])}".replace("block: sum", "block: residual sum")
            found[key] = found.get(key, 0) + sum(row["places"])
        return found

    @cached_property
    def by_place(self) -> list[int]:
        """Bytes before the blocks, in each block, and behind them."""
        columns = [row["places"] for row in self.run["held"]]
        return [sum(each) for each in zip(*columns, strict=True)]

    @property
    def total(self) -> int:
        """Bytes of all together."""
        return sum(self.by_place)

    @property
    def peak(self) -> int:
        """Bytes at the peak of the whole step, weights and all."""
        return int(self.run["peak"])


def columns(record: Mapping[str, Any]) -> list[Column]:
    """The record's methods, in its order."""
    return [Column(run) for run in record["runs"]]


def operations(found: Sequence[Column]) -> list[str]:
    """The operations that hold most in any method, most first."""
    most: dict[str, int] = {}
    for column in found:
        for key, size in column.by_operation.items():
            most[key] = max(most.get(key, 0), size)
    return sorted(most, key=lambda key: -most[key])[:MOST]


def places(found: Sequence[Column]) -> list[str]:
    """Names of what `by_place` counts."""
    blocks = max(len(column.by_place) for column in found) - 2
    return ["before the blocks", *(f"block {n}" for n in range(1, blocks + 1)), "head and loss"] if blocks > 0 else []
