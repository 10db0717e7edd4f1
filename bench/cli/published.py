"""Our estimates of memory against figures that others have published: `bench published`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.services import RESULTS, Results
from bench.errors import BadInput

Patterns = Annotated[
    list[str] | None,
    typer.Argument(
        help="Only figures with one of these in their name or model; then nothing is written.", show_default=False
    ),
]
Update = Annotated[
    bool, typer.Option("--update", help="Put these figures into the record; the others stay as they are there.")
]
FOLDER = Path("costs", "published")
"""Of the record and its page, within the results."""


def published(
    patterns: Patterns = None,
    update: Update = False,
    results: Results = RESULTS,
) -> None:
    """Hold the estimates of memory against figures that others have published of their GPUs.

    Every figure is estimated for its own settings, which takes half an hour for all, and kept as a record; the page and
    its figure are drawn from that, by `bench figures` too. It needs no GPU, weights or data.

    Examples: `bench published`, `bench published mistral`, `bench published retinanet santacoder --update`
    """
    from tqdm import tqdm

    from bench.costs.published import figures
    from bench.execution import console
    from bench.execution.published_memory import estimated, keep, merged
    from bench.report.page.published_page import COLUMNS, lines

    wanted = [each.lower() for each in patterns or [""]]
    names = [(each, f"{each.id} {each.settings['model']}".lower()) for each in figures()]
    some = [each for each, name in names if any(pattern in name for pattern in wanted)]
    if not some:
        told_of = " or ".join(map(repr, wanted))
        raise BadInput(f"no published figure has {told_of} in its name or model: bench published shows all")
    with tqdm(total=len(some), unit="figure", leave=False, disable=None) as bar:

        def told(figure: object) -> None:
            bar.set_postfix_str(str(getattr(figure, "id", "")))
            bar.update()

        record = estimated(some, told=told)
    console.table(COLUMNS, lines(record), right=3)
    if update:
        record = merged(record, results / FOLDER)
    if update or not patterns:
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
