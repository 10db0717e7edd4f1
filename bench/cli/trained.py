"""What is done with a trained run: keep, predict, export, evaluate, retune."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.authoring import From, use
from bench.cli.running import Device, KeepLimit
from bench.cli.services import RESULTS, Results
from bench.errors import masked

if TYPE_CHECKING:
    from bench.deploy.loading import Trained

RunName = Annotated[
    str,
    typer.Argument(
        help="A run: its id or the first digits of it (the names in `results/<study>/<scale>/runs/`), or the path of "
        "its record or of its kept weights.",
        show_default=False,
        metavar="RUN",
    ),
]


def keep(
    runs: Annotated[list[str], typer.Argument(help="Ids of runs, or paths of their records.", metavar="RUN...")],
    results: Results = RESULTS,
    device: Device = None,
    keep_limit: KeepLimit = "4GiB",
    plugins: From = None,
) -> None:
    """Keep the weights of runs that are recorded without them: each is trained once more, from its record alone.

    `bench run` keeps those of each configuration's best seed by itself. The new scores stand in the file; its record
    stays as it is.

    Example: `bench keep 3f9a`
    """
    from bench.costs.units import readable
    from bench.execution.keep_again import keep_again

    use(plugins)
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
    plugins: From = None,
) -> None:
    """Predict with a trained run: classes with probabilities, or boxes. What cannot be read is named and skipped.

    Examples: `bench predict 3f9a new/ photo.jpg --top 3`, `bench predict 3f9a reviews.csv --json > found.jsonl`,
    `bench predict 3f9a "a film to remember"`, `bench predict 77c0 yard/ --draw boxes/ --coco boxes.json`
    """
    from bench.deploy.loading import load_model
    from bench.deploy.output import Output
    from bench.deploy.prediction import Stream
    from bench.deploy.samples import listed

    use(plugins)
    trained = load_model(run, results=results, device=device)
    where = Output(trained, json=json, out=out, draw=draw, coco=coco)
    stream = Stream(trained, listed(trained, files, text=text), top, batch, score)
    read = where.write(stream)
    for title, reason in stream.skipped[:20]:
        print(f"skipped {title}: {reason}", file=sys.stderr)
    if stream.skipped:
        print(f"skipped {len(stream.skipped)} of {len(stream.samples)} that cannot be read", file=sys.stderr)
    raise typer.Exit(0 if read else 1)


To = Annotated[
    str,
    typer.Option(
        help="adapter (PEFT's format where the method has one), merged (timm, transformers or torchvision alone load "
        "it), onnx, mlflow (a pyfunc model), or model-card."
    ),
]
Log = Annotated[
    bool | None,
    typer.Option(
        help="Log an mlflow export to $MLFLOW_TRACKING_URI or RESULTS/mlflow.db too; by default where one of them is "
        "there.",
        show_default=False,
    ),
]


def export(
    run: RunName,
    to: To,
    out: Annotated[
        Path | None, typer.Option(help="A new folder; `exports/<run>-<format>` without.", show_default=False)
    ] = None,
    log: Log = None,
    results: Results = RESULTS,
    device: Device = None,
    plugins: From = None,
) -> None:
    """Export a trained run for use without this package. Each export is loaded and compared before it is called done.

    A model for MLflow has signature and input example. Logged, it stands under its run, and
    `mlflow.pyfunc.load_model("models:/m-…")` loads it.

    Examples: `bench export 3f9a --to merged`, `bench export 3f9a --to adapter --out my-adapter`,
    `bench export 3f9a --to onnx`, `bench export 3f9a --to mlflow --log`
    """
    from bench.deploy.export import export as exported
    from bench.deploy.loading import load_model

    use(plugins)
    trained = load_model(run, results=results, device=device or "cpu")
    found = exported(trained, to, out or Path("exports") / f"{trained.about['run_id']}-{to}")
    checked = ""
    if found.difference is not None:
        checked = f"; outputs on {found.samples} samples differ by {found.difference:.1g} of the largest"
    print(f"{found.folder}: {found.said}{checked}")
    for line in found.lines:
        print(f"  {line}")
    if to == "mlflow":
        _log(trained, found.folder, results, wanted=log)


def _log(trained: Trained, folder: Path, results: Path, *, wanted: bool | None) -> None:
    """Logs an exported model where that is wanted, or where there is a store."""
    from bench import tracking
    from bench.records import Records
    from bench.tracking.client import database

    store = tracking.uri(results)
    file = database(store)
    if wanted is False or (wanted is None and file is not None and not file.is_file()):
        return
    about, records = trained.about, Records(trained.path.parent.parent)
    made = tracking.log_model(folder, about["study"], about["run_id"], records.read(str(about["run_id"])), store)
    print(f"logged to {masked(store)}:\n  model = mlflow.pyfunc.load_model({made!r})")


Text = Annotated[str | None, typer.Option(help="Column with the text; that of training without.", show_default=False)]
Label = Annotated[str | None, typer.Option(help="Column with the class; that of training without.", show_default=False)]


def evaluate(
    run: RunName,
    data: Annotated[str, typer.Argument(help="New labelled data: a folder, a table, or a task (bench tasks).")],
    text: Text = None,
    label: Label = None,
    results: Results = RESULTS,
    device: Device = None,
) -> None:
    """Score a trained run on new labelled data, with intervals over samples, and say how sure it may be.

    Every labelled sample counts; of the data that it was trained on, only the test part. The temperature is fitted on
    the run's own validation part.

    Example: `bench evaluate 3f9a new-pictures/`
    """
    from bench.deploy.evaluation import evaluate as judged
    from bench.deploy.loading import load_model
    from bench.deploy.same_classes import task_of

    trained = load_model(run, results=results, device=device)
    task, said = task_of(trained, data, text=text, label=label)
    print(said)
    found = judged(trained, task)
    print(f"{trained.about['method']} on {found.samples} samples of {task.name}")
    for name, (value, ends) in found.scores.items():
        print(f"  {name:12} {value:.4f}" + (f"  ({ends[0]:.4f} to {ends[1]:.4f})" if ends else ""))
    if found.calibration:
        before, after = found.calibration["before"], found.calibration["after"]
        print(f"calibration, at temperature {found.calibration['temperature']:.3g} fitted on validation:")
        for name, value in before.items():
            print(f"  {name:12} {value:.4f} before, {after[name]:.4f} after")
    for note in found.notes:
        print(f"note: {note}")


def retune(
    run: RunName,
    data: Annotated[str, typer.Option(help="New labelled data: a folder, a table, or a task (bench tasks).")],
    replay: Annotated[bool, typer.Option(help="Train on the old training part too, against forgetting.")] = True,
    epochs: Annotated[int | None, typer.Option(help="Those of the run without.", min=1, show_default=False)] = None,
    lr: Annotated[float | None, typer.Option(help="That of the run without.", show_default=False)] = None,
    text: Text = None,
    label: Label = None,
    results: Results = RESULTS,
    device: Device = None,
) -> None:
    """Train a kept run on with new data, and say what it scores on the old test part before and after.

    Of its epochs the one is kept that is best on the new data's validation part, as always. The result is a run of
    study "retuned", for predict, export and evaluate.

    Examples: `bench retune 3f9a --data new-pictures/`, `bench retune 3f9a --data new.csv --no-replay --epochs 2`
    """
    from bench.deploy.loading import load_model
    from bench.deploy.retuning import retune as retuned
    from bench.deploy.same_classes import task_of

    trained = load_model(run, results=results, device=device)
    task, said = task_of(trained, data, text=text, label=label)
    print(said)
    found = retuned(trained, task, results=results, replay=replay, epochs=epochs, lr=lr)
    metric = trained.run.task.metric
    for name, (before, after) in {"old": found.old, "new": found.new}.items():
        print(f"{name} test part: {metric} {before.get(metric, 0):.4f} before, {after.get(metric, 0):.4f} after")
    print(f"{found.path}: run {found.path.stem}")
