"""What a method costs, before it is run: `bench memory`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.listing import Json, cell_of
from bench.cli.studies import complete_method

if TYPE_CHECKING:
    from bench.study import Cell
    from bench.training.memory_forecast import Forecast
    from bench.training.recipe import Training
    from bench.training.run import Run

Methods = Annotated[
    list[str],
    typer.Argument(
        help='One method or several, e.g. "LoRA(rank=8)" FullFineTuning; bench methods lists them.',
        show_default=False,
        autocompletion=complete_method,
    ),
]
Model = Annotated[
    str, typer.Option(help="A name in timm or transformers, or \"HuggingFace('roberta-base', max_length=128)\".")
]
Task = Annotated[
    str | None, typer.Option(help="What the head is for: a set's name, or \"Images('cifar100')\".", show_default=False)
]
Fit = Annotated[
    str | None,
    typer.Option(help="Find the largest batch that fits this, e.g. 16GiB, in place of --batch.", show_default=False),
]
Device = Annotated[
    str, typer.Option(help="Type of device to estimate for: cuda, cpu, mps, …; this machine need not have it.")
]
Checkpointing = Annotated[
    bool,
    typer.Option(
        "--checkpointing",
        help="Activation checkpointing: keep only what enters each block, and compute the rest again.",
    ),
]

Every = Annotated[int, typer.Option(help="With --checkpointing: every so manyth block only.")]
Parts = Annotated[int, typer.Option(help="Parts in which a batch passes the network before its step.")]
Explain = Annotated[
    bool, typer.Option("--explain", help="Show too which layers' operations hold the activations, the top ten.")
]


def memory(
    methods: Methods,
    model: Model = "vit_base_patch16_224",
    task: Task = None,
    batch: Annotated[int, typer.Option(help="Samples a step.")] = 32,
    fit: Fit = None,
    device: Device = "cuda",
    precision: Annotated[str, typer.Option(help="bf16 or fp32; auto for what a run would choose.")] = "auto",
    optimizer: Annotated[str, typer.Option(help="adamw or sgd.")] = "adamw",
    checkpointing: Checkpointing = False,
    checkpoint_every: Every = 1,
    accumulate: Parts = 1,
    explain: Explain = False,
    as_json: Json = False,
) -> None:
    """Estimate the memory of training: its peak, and how much of it each part takes. Needs no weights, data or GPU.

    The parts are weights, gradients, optimizer state, activations and other tensors, at the peak of a training step.

    Examples: `bench memory LoRA FullFineTuning LinearProbe --batch 64`,
    `bench memory "LoRA(rank=8)" --model vit_large_patch16_224 --fit 16GiB`,
    `bench memory LoRA --model roberta-base --batch 16 --json`, `bench memory LoRA FullFineTuning --explain`
    """
    from bench.training.recipe import Training

    training = Training(
        batch_size=batch, precision=precision, optimizer=optimizer, activation_checkpointing=checkpointing,
        checkpoint_every=checkpoint_every, accumulate=accumulate,
    )  # fmt: skip
    cells = [cell_of(method, model, task) for method in methods]
    found = {repr(cell.method): _forecast(cell, training, device=device, fit=fit) for cell in cells}
    if as_json:
        print(_json(found))
    else:
        _print(found, fit=fit)
        if explain:
            _explain(cells, training, found, device)


def _json(found: dict[str, Forecast]) -> str:
    import json

    told = [{"method": method, **each.data} for method, each in found.items()]
    return json.dumps(told[0] if len(told) == 1 else told)


def _explain(cells: list[Cell], training: Training, found: dict[str, Forecast], device: str) -> None:
    """Of the batch that was estimated."""
    from bench.cli.explanation import explain

    batches = {cell: found[repr(cell.method)].batch for cell in cells}
    explain((_run(cell, replace(training, batch_size=n)) for cell, n in batches.items()), device=device)


def _run(cell: Cell, training: Training) -> Run:
    from bench.training.run import Run

    return Run(cell.task, cell.model, cell.method, training, seed=0)


def _forecast(cell: Cell, training: Training, *, device: str, fit: str | None) -> Forecast:
    """The forecast of a batch, or of the largest that fits, with a bar while that is looked for."""
    from tqdm import tqdm

    from bench.costs.units import size
    from bench.training.memory_forecast import forecast, largest_batch

    run = _run(cell, training)
    if fit is None:
        return forecast(run, device=device)
    with tqdm(desc="largest batch", unit="try", leave=False, disable=None, delay=1) as bar:

        def told(n: int) -> None:
            bar.set_postfix_str(f"batch {n}")
            bar.update()

        return largest_batch(run, size(fit), device=device, told=told)


def _print(found: dict[str, Forecast], *, fit: str | None) -> None:
    from bench.costs.memory import PARTS
    from bench.costs.units import readable
    from bench.execution import console
    from bench.report.data.wording import memory_how

    rows = []
    for method, each in found.items():
        largest = [f"{each.batch:,}"] if fit else []
        parts = [readable(each.memory.peak.breakdown[part]) for part in PARTS]
        rows.append((method, *largest, readable(each.peak), *parts, readable(each.memory.phases["evaluation"].total)))
    head = ("method", *(["largest batch"] if fit else []), "peak", *PARTS, "evaluation")
    console.table(head, rows, right=1)
    first = next(iter(found.values()))
    size = f"the largest batch that fits {fit}" if fit else f"batch {first.batch:,}"
    print(f"\n{size}, {first.precision}, on {first.device}; {memory_how([first.kind])}")
    print("live tensors at the peak of a training step; evaluation, in batches twice as large, has a peak of its own")
    if first.device == "cuda":
        print("CUDA itself and gaps between its blocks come on top: leave a few hundred MiB free")
    if any(each.memory.peak.phase == "prefix" for each in found.values()):
        print("where the frozen part of a network runs once, before training, that pass is the peak")
