"""What is done with a trained run: keep, predict, export."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.running import Device, KeepLimit
from bench.cli.services import RESULTS, Results

RunName = Annotated[
    str,
    typer.Argument(
        help="A run: its id or the first digits of it (the names in results/<study>/<scale>/runs/), or the path of its "
        "record or of its kept weights.",
        show_default=False,
        metavar="RUN",
    ),
]


def keep(
    runs: Annotated[list[str], typer.Argument(help="Ids of runs, or paths of their records.", metavar="RUN...")],
    results: Results = RESULTS,
    device: Device = None,
    keep_limit: KeepLimit = "4GiB",
) -> None:
    """Keep the weights of runs that are recorded without them: each is trained once more, from its record alone.

    `bench run` keeps those of each configuration's best seed by itself. The new scores stand in the file; its record
    stays as it is.

    Example: `bench keep 3f9a`
    """
    from bench.costs.units import readable
    from bench.execution.keep_again import keep_again

    for run in runs:
        path, compared = keep_again(run, results=results, device=device, limit=keep_limit)
        print(f"{path}: {readable(path.stat().st_size)}; {compared}")


def predict(
    run: RunName,
    files: Annotated[
        list[str],
        typer.Argument(help="Pictures, folders, tables (.csv, .jsonl, …), .txt files, or texts.", metavar="FILES..."),
    ],
    top: Annotated[int, typer.Option(help="The likeliest classes that are named.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write a table there: .csv, .jsonl or .parquet.")] = None,
    text: Annotated[str | None, typer.Option(help="Column with the text; that of training without.")] = None,
    draw: Annotated[Path | None, typer.Option(help="Folder to write pictures with their boxes to.")] = None,
    coco: Annotated[Path | None, typer.Option(help="File to write the boxes to, as COCO's JSON.")] = None,
    score: Annotated[float, typer.Option(help="Of boxes, the least that is shown.")] = 0.3,
    batch: Annotated[int, typer.Option(help="Samples at once.")] = 32,
    results: Results = RESULTS,
    device: Device = None,
) -> None:
    """Predict with a trained run: classes with probabilities, or boxes. What cannot be read is named and skipped.

    Examples: `bench predict 3f9a new/ photo.jpg --top 3`, `bench predict 3f9a reviews.csv --json > found.jsonl`,
    `bench predict 3f9a "a film to remember"`, `bench predict 77c0 yard/ --draw boxes/ --coco boxes.json`
    """
    from bench.deploy.loading import load_model
    from bench.deploy.output import Output
    from bench.deploy.prediction import Stream
    from bench.deploy.samples import listed

    trained = load_model(run, results=results, device=device)
    where = Output(trained, json=json, out=out, draw=draw, coco=coco)
    stream = Stream(trained, listed(trained, files, text=text), top, batch, score)
    read = where.write(stream)
    for title, reason in stream.skipped[:20]:
        print(f"skipped {title}: {reason}", file=sys.stderr)
    if stream.skipped:
        print(f"skipped {len(stream.skipped)} of {len(stream.samples)} that cannot be read", file=sys.stderr)
    raise typer.Exit(0 if read else 1)


def export(
    run: RunName,
    to: Annotated[
        str,
        typer.Option(
            help="adapter (PEFT's format where the method has one), merged (timm, transformers or torchvision alone "
            "load it), onnx, mlflow (a pyfunc model), or model-card."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="A new folder; exports/<run>-<format> without.", show_default=False)
    ] = None,
    results: Results = RESULTS,
    device: Device = None,
) -> None:
    """Export a trained run for use without this package. Each export is loaded and compared before it is called done.

    Examples: `bench export 3f9a --to merged`, `bench export 3f9a --to adapter --out my-adapter`,
    `bench export 3f9a --to onnx`
    """
    from bench.deploy.export import export as exported
    from bench.deploy.loading import load_model

    trained = load_model(run, results=results, device=device or "cpu")
    found = exported(trained, to, out or Path("exports") / f"{trained.about['run_id']}-{to}")
    checked = ""
    if found.difference is not None:
        checked = f"; outputs on {found.samples} samples differ by {found.difference:.1g} of the largest"
    print(f"{found.folder}: {found.said}{checked}")
    for line in found.lines:
        print(f"  {line}")
