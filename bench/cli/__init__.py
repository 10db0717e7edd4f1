"""The command line. Every command imports what it needs itself, so that `bench --help` answers at once.

To add a command: a function in the file of its subject, and its name in `PANELS`.

- own_data: try.
- studies: where studies are found; `bench studies`, and what the shell completes.
- running: plan, run, status. Here: figures.
- listing: methods, models, tasks, count, check. costs: memory; gpu_memory: as people train on
  GPUs; fit_table: what fits; memory_parts: what it is made of; explanation: the layers that hold it.
  published: memory against published figures.
- recommendation: recommend. comparison: compare, claims, statements.
- trained: predict, evaluate, retune, export, keep.
- authoring: methods from outside, --from; new. method_template: what that writes.
- services: assets, mlflow. dashboard: Optuna's.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from bench import __version__
from bench.cli import (
    comparison,
    costs,
    dashboard,
    explanation,
    listing,
    own_data,
    published,
    recommendation,
    running,
    studies,
    trained,
)
from bench.cli.authoring import new_app
from bench.cli.services import RESULTS, Results, assets_app, mlflow_app
from bench.errors import BadInput, scrubbed, shown, speak_in_lines


def said_version(wanted: bool) -> None:
    """Prints the version, for `bench --version`."""
    if wanted:
        print(f"lora-bench {__version__}")
        raise typer.Exit


app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="LoRA Bench: which fine-tuning method, with how much rank, and where in the network?\n\n"
    "A study runs methods on models and tasks, tunes them all alike, and keeps a record of every run. "
    "Tables, figures, pages and MLflow are made from the records.\n\n"
    "Start with `bench plan rank-sweep`, then `bench run rank-sweep`; read `results/rank-sweep/laptop/README.md`. "
    "Every command has examples: `bench COMMAND --help`.",
)
PANELS: dict[str, tuple[Callable[..., Any], ...]] = {
    "Your own data": (own_data.try_,),
    "Run a study": (studies.studies, running.plan, running.run, running.status, dashboard.dashboard),
    "Use a trained model": (trained.predict, trained.evaluate, trained.retune, trained.export, trained.keep),
    "Look at results": (
        recommendation.recommend,
        comparison.compare,
        comparison.claims,
        comparison.statements,
        published.published,
    ),
    "What can be compared": (listing.methods, listing.models, listing.tasks),
    "One method, before it runs": (listing.count, costs.memory, listing.check),
}
for panel, commands in PANELS.items():
    for command in commands:
        app.command(command.__name__.rstrip("_"), rich_help_panel=panel)(command)
app.add_typer(mlflow_app, name="mlflow", rich_help_panel="Look at results")
app.add_typer(new_app, name="new", rich_help_panel="One method, before it runs")
app.add_typer(assets_app, name="assets", rich_help_panel="What can be compared")


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Say the version and leave.", callback=said_version, is_eager=True)
    ] = False,
) -> None:
    """What stands before a command."""


@app.command(rich_help_panel="Look at results")
def figures(
    study: Annotated[str | None, typer.Argument(help="Draw only this study; by default all.")] = None,
    results: Results = RESULTS,
) -> None:
    """Redraw tables, figures, pages and the index of all studies from the records alone.

    Example: `bench figures rank-sweep`
    """
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    from bench.report.page.index import entry, write_index
    from bench.report.page.own_data import redrawn

    folders = every = [runs.parent for runs in sorted(results.glob("*/*/runs")) if any(runs.glob("*.json"))]
    if study is not None:
        wanted = study.replace("_", "-")
        known = {folder.parent.name for folder in folders}
        if wanted not in known:
            from bench.errors import unknown

            raise unknown("study with records", wanted, known)
        folders = [folder for folder in folders if folder.parent.name == wanted]
    if not folders:
        raise BadInput(f"no records under {str(results)!r}: run a study first, e.g. bench run rank-sweep --scale smoke")
    folders = sorted(folders, key=lambda folder: -len(list((folder / "runs").glob("*.json"))))  # the longest first
    with ProcessPoolExecutor(min(len(every), os.cpu_count() or 1), mp_context=get_context("spawn")) as pool:
        for folder, written in zip(folders, pool.map(_redrawn, folders, map(_question, folders)), strict=True):
            number = len(list((folder / "runs").glob("*.json")))
            print(f"{folder}: {len(written)} files from {number} records; read {folder / 'report.html'}")
        page, explorer = write_index(results, list(pool.map(entry, every)))
    if study in (None, "costs"):
        published.redraw(results)
        explanation.redraw(results)
    for own in dict.fromkeys(folder.parent for folder in folders):
        if drawn := redrawn(own):
            print(f"{drawn}: what to use for data of your own")
    print(f"{page}: all studies; to filter their configurations, open {explorer}")


def _redrawn(folder: Path, question: str | None) -> list[Path]:
    """What is written of a study; in a process of its own."""
    from bench.report import redraw

    return redraw(folder, question=question)


def _question(folder: Path) -> str | None:
    """What the study's file asks, for a page that has no question yet; None where there is no such file here."""
    from bench.report.page.study_page import asked

    file = studies.files().get(folder.parent.name)
    return studies.question(file) if file and not asked(folder / "README.md") else None


SPINS = "1000"
"""How often a thread that waits for others looks before it sleeps (GNU OpenMP, by default 300,000 times): beside other
work that spinning takes the very core that the others need, and a step with two threads took three to nine times as
long. Whoever sets GOMP_SPINCOUNT or OMP_WAIT_POLICY decides."""


def main() -> None:
    """Entry point: a user's mistake is one line and exit code 2. BENCH_DEBUG=1 shows its traceback."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)  # read when torch is loaded, which no command has done yet
    speak_in_lines(())
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # where it is not UTF-8, what it has no letter for is escaped
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except (BadInput, OSError) as error:
        if os.environ.get("BENCH_DEBUG"):
            raise
        if not isinstance(error, BrokenPipeError):  # who reads has seen enough, as `head`
            print(f"bench: {_line(error)}", file=sys.stderr)
        _close_output()
        raise SystemExit(2) from None


def _line(error: BadInput | OSError) -> str:
    """What went wrong, in a line; of a file system's error, with which file."""
    if isinstance(error, BadInput):
        return str(error)
    where = f" ({shown(error.filename)})" if error.filename else ""
    return scrubbed(f"{error.strerror or shown(str(error), 300)}{where}; BENCH_DEBUG=1 shows where")


def _close_output() -> None:
    """Python writes what is left once more as it leaves, and would complain of a full disk a second time."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
