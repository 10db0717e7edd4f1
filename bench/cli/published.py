"""Our estimates of memory against figures that others have published: `bench published`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.services import RESULTS, Results
from bench.errors import BadInput

FOLDER = Path("costs", "published")
"""Of the record and its page, within the results."""


def published(
    pattern: Annotated[
        str, typer.Argument(help="Only figures with this in their name or model; then nothing is written.")
    ] = "",
    results: Results = RESULTS,
) -> None:
    """Hold the estimates of memory against figures that others have published of their GPUs.

    Every figure is estimated for its own settings, which takes some minutes, and kept as a record; the page and its
    figure are drawn from that, by `bench figures` too. It needs no GPU, weights or data.

    Examples: `bench published`, `bench published mistral`
    """
    from tqdm import tqdm

    from bench.costs.published import figures
    from bench.execution import console
    from bench.execution.published_memory import estimated, keep
    from bench.report.page.published_page import COLUMNS, lines

    wanted = pattern.lower()
    some = [each for each in figures() if wanted in each.id or wanted in str(each.settings["model"]).lower()]
    if not some:
        raise BadInput(f"no published figure has {pattern!r} in its name or model: bench published shows all")
    with tqdm(total=len(some), unit="figure", leave=False, disable=None) as bar:

        def told(figure: object) -> None:
            bar.set_postfix_str(str(getattr(figure, "id", "")))
            bar.update()

        record = estimated(some, told=told)
    console.table(COLUMNS, lines(record), right=2)
    if not wanted:
        keep(record, results / FOLDER)
        redraw(results)


def redraw(results: Path) -> None:
    """Draws the page anew where there is a record."""
    from bench.report.data.published import RECORD
    from bench.report.page.published_page import redraw_published

    folder = results / FOLDER
    if (folder / RECORD).is_file():
        written = redraw_published(folder)
        print(f"{folder}: {len(written)} files; read {folder / 'README.md'}")
