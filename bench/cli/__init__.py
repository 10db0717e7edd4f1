"""The command line. Every command imports what it needs itself, so that `bench --help` answers at once.

- here: run, plan, figures. To add a command: a function in a file of its subject, and its name in `commands`.
- listing: methods, models, tasks, count, check. costs: memory. verdicts: compare, claims.
- services: assets, mlflow. dashboard: Optuna's.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from bench.cli import costs, dashboard, listing, verdicts
from bench.cli.services import RESULTS, Results, assets_app, mlflow_app
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
app.add_typer(assets_app, name="assets")
app.add_typer(mlflow_app, name="mlflow")
commands = (
    listing.methods,
    listing.models,
    listing.tasks,
    listing.count,
    costs.memory,
    listing.check,
    dashboard.dashboard,
    verdicts.compare,
    verdicts.claims,
)
for command in commands:
    app.command()(command)

Study = Annotated[str, typer.Argument(help="A file in studies/, e.g. rank-sweep.", show_default=False)]
Scale = Annotated[
    str, typer.Option(help="smoke (seconds), laptop (two cores, about half an hour a family) or full (one GPU).")
]
Device = Annotated[str | None, typer.Option(help="A torch device; by default CUDA where there is one, else the CPU.")]
Family = Annotated[
    str | None, typer.Option(help="Only this part of the study, e.g. images, text or detection; by default all.")
]


Jobs = Annotated[
    int | None,
    typer.Option(
        help="Runs at once, each in a process of its own, the cores shared out among them. By default one for each "
        "core (four at most), one at scale smoke, and on CUDA one for each GPU.",
        show_default=False,
    ),
]


@app.command()
def run(
    study: Study,
    scale: Scale = "laptop",
    results: Results = RESULTS,
    device: Device = None,
    family: Family = None,
    mlflow: Annotated[
        bool, typer.Option(help="Log to MLflow ($MLFLOW_TRACKING_URI, or a file in the results folder).")
    ] = True,
    jobs: Jobs = None,
    storage: Annotated[
        str | None,
        typer.Option(
            help="Optuna's storage, e.g. postgresql://… or sqlite:///trials.db; by default optuna.journal beside the "
            "records, from which any storage is filled again.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run a study: tune, train, test, record, draw. What is recorded is not run again; Ctrl-C loses nothing.

    A worker that is killed is replaced at once, and its run begins anew.

    Examples: `bench run rank-sweep --scale smoke --results build/results`, `bench run rank-sweep --family text`
    """
    from bench.execution.launch import launch

    try:
        sound = launch(
            study, scale, results=results, device=device, mlflow=mlflow, family=family, jobs=jobs, storage=storage
        )
    except KeyboardInterrupt:
        print("\nbench: interrupted; what is recorded stays, the same command goes on from there", file=sys.stderr)
        raise SystemExit(130) from None
    raise typer.Exit(0 if sound else 1)


@app.command()
def plan(
    study: Study,
    scale: Scale = "laptop",
    results: Results = RESULTS,
    device: Device = None,
    family: Family = None,
    jobs: Jobs = None,
) -> None:
    """Show what a study would run: cells, exact trainable parameters, estimated time. Nothing is trained.

    Example: `bench plan rank-sweep --scale full`
    """
    from bench.execution import console, data_summary
    from bench.execution.launch import at_once, planned
    from bench.execution.parallelism import share_out
    from bench.records import Records
    from bench.study import load
    from bench.training.device import choose_device

    parts, where = load(study, scale, family=family), choose_device(device)
    records = Records(results / parts[0].name / scale)
    workers = share_out(at_once(parts, jobs), where, scale=scale, known=records.all())
    planned_rows = []
    for part in parts:
        data_summary.show(part)
        rows, why = planned(part, records, where)
        console.plan(part, scale, rows, device=where, jobs=workers.jobs)
        if why:
            print(f"no estimate of the time: {why}")
        planned_rows.append(rows)
    console.families(parts, planned_rows, scale, jobs=workers.jobs)


@app.command()
def figures(
    study: Annotated[str | None, typer.Argument(help="Draw only this study; by default all.")] = None,
    results: Results = RESULTS,
) -> None:
    """Redraw tables, figures and pages from the records alone.

    Example: `bench figures rank-sweep`
    """
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

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
    folders.sort(key=lambda folder: -len(list((folder / "runs").glob("*.json"))))  # the longest first
    with ProcessPoolExecutor(min(len(folders), os.cpu_count() or 1), mp_context=get_context("spawn")) as pool:
        for folder, written in zip(folders, pool.map(redraw, folders), strict=True):
            number = len(list((folder / "runs").glob("*.json")))
            print(f"{folder}: {len(written)} files from {number} records; read {folder / 'report.html'}")


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
