"""`bench try`: from data of one's own to a recommendation."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bench.cli.services import RESULTS, Results
from bench.errors import BadInput

Data = Annotated[
    str,
    typer.Argument(
        help="A folder of pictures (`<class>/…`), of boxes in COCO's or Pascal VOC's format, or a CSV, TSV, JSON lines "
        "or Parquet file of texts.",
        show_default=False,
    ),
]
Text = Annotated[str | None, typer.Option(help="The column of the texts; a,b for pairs.", show_default=False)]
Label = Annotated[str | None, typer.Option(help="The column of the classes.", show_default=False)]
Budget = Annotated[str, typer.Option(help="How long it may take, e.g. 30m or 2h.")]
Memory = Annotated[
    str | None, typer.Option(help="Training may take so much, e.g. 8GiB; by default what is free.", show_default=False)
]
Metric = Annotated[
    str | None, typer.Option(help="What is to be good, e.g. macro_f1; by default the task's own.", show_default=False)
]
Model = Annotated[
    str | None,
    typer.Option(help="A model, e.g. resnet50; by default the best whose weights are here.", show_default=False),
]
Name = Annotated[str | None, typer.Option(help="Of the results; by default the data's own.", show_default=False)]
Device = Annotated[str | None, typer.Option(help="A torch device; by default CUDA where there is one, else the CPU.")]
Jobs = Annotated[int | None, typer.Option(help="Runs at once; by default as many as pay.", show_default=False)]


def try_(
    data: Data,
    text: Text = None,
    label: Label = None,
    budget: Budget = "20m",
    memory: Memory = None,
    metric: Metric = None,
    model: Model = None,
    name: Name = None,
    results: Results = RESULTS,
    device: Device = None,
    jobs: Jobs = None,
    mlflow: Annotated[bool, typer.Option(help="Log to MLflow too.")] = False,
) -> None:
    """Try methods on your own data and recommend one, with its reasons: what it reaches, costs, and gets wrong.

    It says what it understood, estimates time and memory of each candidate (a linear probe, LoRA at two placements, an
    adapter, full fine-tuning), drops what does not fit, and compares the rest fairly within the budget: equal trials,
    fresh seeds, a test part that nothing is chosen on. Ctrl-C loses nothing: the same command goes on. The page is
    results/try-NAME/README.md.

    Examples: `bench try pictures/`,
    `bench try reviews.csv --text review --label stars --budget 30m --memory 8GiB --metric macro_f1`
    """
    from bench.costs.units import seconds, size
    from bench.execution.own_data import Wanted, try_data

    wanted = Wanted(
        data, pair(text), label, budget=seconds(budget), memory=size(memory) if memory else None, metric=metric or "",
        model=model, name=name or "", results=results, device=device, jobs=jobs, mlflow=mlflow,
    )  # fmt: skip
    try:
        try_data(wanted)
    except KeyboardInterrupt:
        print("\nbench: interrupted; what is recorded stays, the same command goes on from there", file=sys.stderr)
        raise SystemExit(130) from None


def pair(text: str | None) -> str | tuple[str, str] | None:
    """One column, or two that are parted by a comma.

    Raises:
        BadInput: three and more.
    """
    parts = [part.strip() for part in (text or "").split(",")]
    if len(parts) > 2:
        raise BadInput(f"--text {text}: name one column, or two for pairs")
    return (parts[0], parts[1]) if len(parts) == 2 else text
