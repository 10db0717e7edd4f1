"""Which layers hold the memory of a training step: `bench memory --explain`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.training.activations import Held
    from bench.training.run import Run

MOST = 10
"""Rows of the table of a method."""


def explain(runs: Iterable[Run], *, device: str) -> None:
    """Prints, for every run, what its forward pass leaves for the backward pass, the largest first."""
    from bench.training.activations import held

    for run in runs:
        print(f"\n{run.method!r} on {run.model.name}, batch {run.training.batch_size}:")
        _print(held(run, device=device))
    print(
        "\n`*` stands for the number of a block. A frozen layer keeps no input: its weight has no gradient. A\n"
        "non-linear operation behind it keeps what it needs all the same, whatever trains. What frees activations:\n"
        "adapting the last blocks alone (blocks=-2), a linear probe, --checkpointing, or --accumulate."
    )


def _print(found: Sequence[Held]) -> None:
    from bench.costs.units import readable
    from bench.execution import console

    whole = sum(each.bytes for each in found)
    rows = [
        (each.layer, each.operation, f"{each.count:,}", readable(each.bytes), f"{each.bytes / whole:.1%}")
        for each in found[:MOST]
    ]
    rest = sum(each.bytes for each in found[MOST:])
    rows.append((f"{max(len(found) - MOST, 0)} other kinds", "", "", readable(rest), f"{rest / whole:.1%}"))
    rows.append(("all of them", "", f"{sum(each.count for each in found):,}", readable(whole), "100.0%"))
    console.table(("made in layer", "by operation", "tensors", "bytes", "share"), rows, right=2)
