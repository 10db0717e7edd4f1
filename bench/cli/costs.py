"""What a method costs, before it is run: `bench memory`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.authoring import From, use
from bench.cli.listing import Json
from bench.cli.studies import complete_method

if TYPE_CHECKING:
    from bench.training.memory_forecast import Forecast
    from bench.training.run import Run

Methods = Annotated[
    list[str] | None,
    typer.Argument(
        help='One method or several, e.g. "LoRA(rank=8)" FullFineTuning; bench methods lists them. With --fit none is '
        "needed.",
        show_default=False,
        autocompletion=complete_method,
    ),
]
Model = Annotated[
    str,
    typer.Option(
        help="A name in timm, torchvision or on the hub (bench models llama lists some), a folder with a config.json, "
        "or \"HuggingFace('roberta-base', max_length=128)\"."
    ),
]
Task = Annotated[
    str | None,
    typer.Option(
        help="What the head is for: a set's name, or \"Images('cifar100')\"; of models that write texts, by default "
        "the next token.",
        show_default=False,
    ),
]
Length = Annotated[
    int | None,
    typer.Option(
        help="Tokens a text; by default as many as the model takes, of the next token 1,024.", show_default=False
    ),
]
Size = Annotated[
    int | None, typer.Option(help="Pixels of a picture's side; by default the model's.", show_default=False)
]
Fit = Annotated[
    str | None,
    typer.Option(
        help="In place of --batch: the largest batch that fits this memory, e.g. 16GiB. Without a method, or for a "
        "language model, a table of what fits.",
        show_default=False,
    ),
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
Base = Annotated[
    str | None,
    typer.Option(
        help="How the model's weights are stored: fp32, bf16, fp16, int8, nf4 or 'nf4 double'. By default as this "
        "suite trains (fp32, products in bf16); bf16 of language models.",
        show_default=False,
    ),
]
Attention = Annotated[str | None, typer.Option(help="sdpa, flash or eager; by default sdpa.", show_default=False)]
Loss = Annotated[
    str | None,
    typer.Option(
        help="Of the next token: float32 as transformers, 'chunked 1024', 'recomputed 1024' or fused (Liger).",
        show_default=False,
    ),
]
Optimizer = Annotated[str, typer.Option(help="adamw, sgd, 'adamw 8-bit', 'adamw paged' or adafactor.")]
Every = Annotated[int, typer.Option(help="With --checkpointing: every so manyth block only.")]
Parts = Annotated[int, typer.Option(help="Parts in which a batch passes the network before its step.")]
Explain = Annotated[
    bool, typer.Option("--explain", help="Show too which layers' operations hold the activations, the top ten.")
]
Dropout = Annotated[float, typer.Option(help="Rate of dropout, in a frozen backbone too.")]


def memory(
    methods: Methods = None,
    model: Model = "vit_base_patch16_224",
    task: Task = None,
    batch: Annotated[int, typer.Option(help="Samples a step.")] = 32,
    length: Length = None,
    size: Size = None,
    fit: Fit = None,
    device: Device = "cuda",
    precision: Annotated[str, typer.Option(help="bf16 or fp32; auto for what a run would choose.")] = "auto",
    optimizer: Optimizer = "adamw",
    checkpointing: Checkpointing = False,
    checkpoint_every: Every = 1,
    accumulate: Parts = 1,
    base: Base = None,
    attention: Attention = None,
    loss: Loss = None,
    dropout: Dropout = 0.0,
    explain: Explain = False,
    as_json: Json = False,
    plugins: From = None,
) -> None:
    """Estimate the memory of training: its peak, and how much of it each part takes. Needs no weights, data or GPU.

    Of any model by its name. The parts are weights, gradients, optimizer state, activations and other tensors.

    Examples: `bench memory LoRA FullFineTuning LinearProbe --batch 64`, `bench memory LoRA FullFineTuning --explain`,
    `bench memory "LoRA(rank=8)" --model meta-llama/Llama-2-7b-hf --batch 2 --length 2048`,
    `bench memory LoRA --model Qwen2.5-7B --base nf4 --loss fused --checkpointing`,
    `bench memory --fit 16GiB --model meta-llama/Llama-3.2-3B --length 1024`
    """
    from bench.cli.gpu_memory import Asked, as_on_gpus, chosen

    use(plugins)
    of, head = chosen(model, task, length=length, size=size, loss=loss, dropout=dropout)
    rest = (batch, precision, optimizer, checkpointing, checkpoint_every, accumulate, base, attention, dropout)
    asked = Asked(of, head, tuple(methods or ()), *rest)
    if not as_on_gpus(asked, device=device, fit=fit, explain=explain, as_json=as_json):
        _own(asked.runs(), device=device, fit=fit, explain=explain, as_json=as_json)


def _own(runs: list[Run], *, device: str, fit: str | None, explain: bool, as_json: bool) -> None:
    """As this suite itself would train."""
    import json

    found = {repr(run.method): _forecast(run, device=device, fit=fit) for run in runs}
    if as_json:
        told = [{"method": method, **each.data} for method, each in found.items()]
        print(json.dumps(told[0] if len(told) == 1 else told))
        return
    _print(found, fit=fit)
    if explain:
        from bench.cli.explanation import explain as show

        batches = {run: found[repr(run.method)].batch for run in runs}
        show((replace(run, training=replace(run.training, batch_size=n)) for run, n in batches.items()), device=device)


def _forecast(run: Run, *, device: str, fit: str | None) -> Forecast:
    """The forecast of a batch, or of the largest that fits, with a bar while that is looked for."""
    from tqdm import tqdm

    from bench.costs.units import size
    from bench.training.gpu_step import CONTEXT
    from bench.training.memory_fit import usable
    from bench.training.memory_forecast import forecast, largest_batch

    if fit is None:
        return forecast(run, device=device)
    whole = size(fit)
    limit = usable(whole, CONTEXT) if device.startswith("cuda") else whole
    with tqdm(desc="largest batch", unit="try", leave=False, disable=None, delay=1) as bar:

        def told(n: int) -> None:
            bar.set_postfix_str(f"batch {n}")
            bar.update()

        return largest_batch(run, limit, of=whole if limit < whole else 0, device=device, told=told)


def _print(found: dict[str, Forecast], *, fit: str | None) -> None:
    from bench.costs.memory import PARTS
    from bench.costs.published import MARGIN
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
        kept = f"; --fit leaves 500 MiB and {MARGIN:.0%} of the rest free" if fit else ": leave a few hundred MiB free"
        print(f"CUDA itself and gaps between its blocks come on top{kept}")
    if any(each.memory.peak.phase == "prefix" for each in found.values()):
        print("where the frozen part of a network runs once, before training, that pass is the peak")
