"""What a method costs, before it is run: `bench memory`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.authoring import From, use
from bench.cli.listing import Json
from bench.cli.studies import complete_method
from bench.errors import BadInput

if TYPE_CHECKING:
    from bench.cli.gpu_memory import Asked, Shown
    from bench.training.memory_forecast import Forecast
    from bench.training.run import Run

Methods = Annotated[
    list[str] | None,
    typer.Argument(
        help='One method or several, e.g. "LoRA(rank=8)" FullFineTuning; bench methods lists them. Without any, the '
        "usual ones beside each other.",
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
Batch = Annotated[int | None, typer.Option(help="Samples a step; by default 32.", show_default=False)]
Precision = Annotated[str, typer.Option(help="bf16 or fp32; auto for what a run would choose.")]
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
        help="Activation checkpointing: keep only what enters each block, and compute the rest again. In a study: "
        "Training(activation_checkpointing=True).",
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
Attention = Annotated[
    str | None,
    typer.Option(
        help="How attention is computed: sdpa, flash or eager, which keeps all its probabilities; by default sdpa.",
        show_default=False,
    ),
]
Loss = Annotated[
    str | None,
    typer.Option(
        help="Loss of a language model: float32 as transformers, 'chunked 1024', 'recomputed 1024' or fused (Liger).",
        show_default=False,
    ),
]
Optimizer = Annotated[str, typer.Option(help="adamw, sgd, 'adamw 8-bit', 'adamw paged' or adafactor.")]
Every = Annotated[
    int,
    typer.Option(help="With --checkpointing: only every k-th block. In a study: Training(checkpoint_every=2)."),
]
Parts = Annotated[
    int,
    typer.Option(help="Gradient accumulation: a batch in so many parts. In a study: Training(accumulate=4)."),
]
Explain = Annotated[
    bool, typer.Option("--explain", help="Show too which layers' operations hold the activations, the top ten.")
]
Figure = Annotated[Path | None, typer.Option(help="Draw what --explain shows into this folder.", show_default=False)]
Dropout = Annotated[float, typer.Option(help="Rate of dropout, in a frozen backbone too.")]


def memory(
    methods: Methods = None,
    model: Model = "vit_base_patch16_224",
    task: Task = None,
    batch: Batch = None,
    length: Length = None,
    size: Size = None,
    fit: Fit = None,
    device: Device = "cuda",
    precision: Precision = "auto",
    optimizer: Optimizer = "adamw",
    checkpointing: Checkpointing = False,
    checkpoint_every: Every = 1,
    accumulate: Parts = 1,
    base: Base = None,
    attention: Attention = None,
    loss: Loss = None,
    dropout: Dropout = 0.0,
    explain: Explain = False,
    figure: Figure = None,
    as_json: Json = False,
    plugins: From = None,
) -> None:
    """Estimate the memory of training: its peak, and how much of it each part takes. Needs no weights, data or GPU.

    The parts are weights, gradients, optimizer state, activations and other tensors. bench/costs/README.md explains.

    Examples: `bench memory`, `bench memory LoRA FullFineTuning --batch 64 --explain`,
    `bench memory "LoRA(rank=8)" --model meta-llama/Llama-2-7b-hf --batch 2 --length 2048`,
    `bench memory LoRA --model Qwen2.5-7B --base nf4 --loss fused --checkpointing`,
    `bench memory --fit 16GiB --model meta-llama/Llama-3.2-3B --length 1024`
    """
    from bench.cli.gpu_memory import Asked, Shown, chosen

    use(plugins)
    of, head = chosen(model, task, length=length, size=size, loss=loss, dropout=dropout)
    rest = (_batch(batch, fit), precision, optimizer, checkpointing, checkpoint_every, accumulate)
    asked = Asked(of, head, tuple(methods or ()), *rest, base, attention, dropout)
    _estimate(asked, device=device, fit=fit, shown=Shown(explain or figure is not None, figure, as_json))


def _batch(batch: int | None, fit: str | None) -> int:
    if fit is not None and batch is not None:
        raise BadInput(f"--fit looks for the largest batch, and --batch {batch} says one: leave either out")
    return 32 if batch is None else batch


def _estimate(asked: Asked, *, device: str, fit: str | None, shown: Shown) -> None:
    """As people train on GPUs, or as this suite itself would."""
    import json

    from bench.cli.gpu_memory import as_on_gpus

    if as_on_gpus(asked, device=device, fit=fit, shown=shown):
        return

    found = asked.each(lambda run: _forecast(run, device=device, fit=fit))
    if shown.as_json:
        told = [
            {"method": repr(run.method), "checkpointing": run.training.activation_checkpointing, **_data(each)}
            for run, each in found
        ]
        print(json.dumps(told[0] if len(told) == 1 else told))
        return
    _print(found, fit=fit)
    if shown.explain:
        from bench.cli.explanation import explain

        runs = [(replace(run, training=replace(run.training, batch_size=n.batch)), n.memory.peak) for run, n in found]
        explain(runs, device=device, precision=found[0][1].precision, figure=shown.figure)


def _data(found: Forecast) -> dict[str, Any]:
    from dataclasses import asdict

    own = found.own
    beside = (
        {"reserved": found.reserved, "nvidia_smi": found.reserved + own.context, "cuda": asdict(own)} if own else {}
    )
    return {**found.data, **beside}


def _forecast(run: Run, *, device: str, fit: str | None) -> Forecast:
    """The forecast of a batch, or of the largest that fits, with a bar while that is looked for."""
    from tqdm import tqdm

    from bench.costs.units import size
    from bench.training.gpu_setup import CONTEXT
    from bench.training.memory_fit import largest_batch, usable
    from bench.training.memory_forecast import forecast

    if fit is None:
        return forecast(run, device=device)
    whole = size(fit)
    limit = usable(whole, CONTEXT) if device.startswith("cuda") else whole
    with tqdm(desc="largest batch", unit="try", leave=False, disable=None, delay=1) as bar:

        def told(n: int) -> None:
            bar.set_postfix_str(f"batch {n}")
            bar.update()

        return largest_batch(run, limit, of=whole if limit < whole else 0, device=device, told=told)


def _print(found: Sequence[tuple[Run, Forecast]], *, fit: str | None) -> None:
    from bench.cli.explanation import named
    from bench.cli.memory_parts import parts_of, print_share
    from bench.costs.published import MARGIN
    from bench.costs.units import readable
    from bench.execution import console
    from bench.report.data.wording import memory_how

    head, cells = parts_of([each.memory.peak.breakdown for _, each in found])
    shares = [(run, each.own) for run, each in found if each.own]
    beside = ["reserved", "nvidia-smi"] if shares else []
    rows = []
    for (run, each), parts in zip(found, cells, strict=True):
        largest = [f"{each.batch:,}"] if fit else []
        kept = [readable(each.reserved), readable(each.reserved + each.own.context)] if each.own else []
        evaluation = readable(each.memory.phases["evaluation"].total)
        rows.append((named(run), *largest, readable(each.peak), *kept, *parts, evaluation))
    largest = ["largest batch"] if fit else []
    console.table(("method", *largest, "allocated" if shares else "peak", *beside, *head, "evaluation"), rows, right=1)
    first = found[0][1]
    size = f"the largest batch that fits {fit}" if fit else f"batch {first.batch:,}"
    print(f"\n{size}, {first.precision}, on {first.device}; {memory_how([first.kind])}")
    if shares:
        print(
            "allocated: live tensors at the peak of a training step; reserved: what CUDA's allocator keeps of training"
        )
    else:
        print("peak: live tensors at the peak of a training step")
    print("evaluation, in batches twice as large, has a peak of its own")
    if shares:
        print_share(shares)
    if shares and fit:
        print(f"--fit leaves 500 MiB and {MARGIN:.0%} of the rest free")
    if any(each.memory.peak.phase == "prefix" for _, each in found):
        print("where the frozen part of a network runs once, before training, that pass is the peak")
