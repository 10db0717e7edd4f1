"""What is done with a trained run: keep."""

from __future__ import annotations

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
