"""Which layers hold the memory of a training step: `bench memory --explain`, as a table and as a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.costs.memory import Moment
    from bench.training.activations import Held
    from bench.training.gpu_step import Setup
    from bench.training.run import Run

FOLDER = Path("costs", "activations")
"""Of the committed record and its figure, within the results."""


def explain(
    runs: Sequence[tuple[Run, Moment]], *, device: str, precision: str, setup: Setup | None = None, figure: Path | None
) -> None:
    """Prints, for every run, what its forward pass leaves for the backward pass, the largest first; draws it too.

    Args:
        runs: each with the peak of its step.
        device: type of device.
        precision: of the step, in words.
        setup: how it is carried out, where not as this suite trains.
        figure: folder of the record and the figure, if they are wanted.
    """
    from bench.training.activations import held

    found = []
    for run, peak in runs:
        kept = held(run, device=device, setup=setup)
        print(f"\n{named(run)} on {run.model.name}, batch {run.training.batch_size:,}, when its forward pass ends:")
        _print(kept)
        found.append((run, peak, kept))
    print(
        "\n`*` stands for the number of a block; a cast is a copy in another precision. A frozen layer keeps no\n"
        "input: its weight has no gradient. A non-linear operation behind it keeps what it needs all the same,\n"
        "whatever trains. What frees activations: adapting the last blocks alone (blocks=-2), a linear probe,\n"
        "--checkpointing, or --accumulate."
    )
    if figure is not None:
        _keep(found, figure, device=device, precision=precision, setup=setup)


def named(run: Run) -> str:
    """A run's method, and whether its blocks are computed again."""
    return f"{run.method!r}" + " + checkpointing" * run.training.activation_checkpointing


def _print(found: Sequence[Held]) -> None:
    from bench.costs.units import readable
    from bench.execution import console
    from bench.report.data.activations import MOST, operation

    whole = sum(each.bytes for each in found)

    def line(layer: str, how: str, some: Sequence[Held]) -> tuple[str, ...]:
        size = sum(each.bytes for each in some)
        share = f"{size / whole:.1%}" if whole else "–"
        return layer, how, f"{sum(each.count for each in some):,}", readable(size), share

    rows = [line(each.layer, operation(each.operation), [each]) for each in found[:MOST]]
    if found[MOST:]:
        rows.append(line(f"{len(found) - MOST} other kinds", "", found[MOST:]))
    console.table(
        ("made in layer", "by operation", "tensors", "bytes", "share"), [*rows, line("all", "", found)], right=2
    )


def _keep(
    found: Sequence[tuple[Run, Moment, Sequence[Held]]],
    folder: Path,
    *,
    device: str,
    precision: str,
    setup: Setup | None,
) -> None:
    from dataclasses import asdict

    from bench.execution.activation_record import keep, recorded

    how: Mapping[str, Any] = asdict(setup) if setup else {}
    keep(recorded(found, device=device, precision=precision, setup=how), folder)
    print(f"\n{draw(folder)[0]}: the same as a figure; its record is beside it")


def draw(folder: Path) -> tuple[Path, ...]:
    """Draws the figure from the record in a folder."""
    import json

    from bench.report import style
    from bench.report.data.activations import RECORD
    from bench.report.figures.activations import activations

    with style.drawing():
        return activations(json.loads((folder / RECORD).read_text("utf-8"))).save(folder / "figures", "activations")


def redraw(results: Path) -> None:
    """Draws the committed figure anew where there is a record."""
    from bench.report.data.activations import RECORD

    if (results / FOLDER / RECORD).is_file():
        print(f"{results / FOLDER}: {len(draw(results / FOLDER))} files; bench/costs/README.md explains them")
