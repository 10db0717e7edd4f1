"""From records to a table, figures and a page: no torch, and the same bytes for the same records."""

from __future__ import annotations

from pathlib import Path

from bench.records import Records
from bench.report.table import write_table


def redraw(folder: Path, *, title: str | None = None, question: str | None = None) -> list[Path]:
    """Write the table, the figures and the page of a study from its records alone.

    Args:
        folder: results/<study>/<scale>.
        title: the page's heading; the study's name without.
        question: what the study asks, below the heading; what the present page says without.

    Returns:
        What was written: table.csv, figures/*.png and *.svg, README.md.

    Raises:
        BadInput: the folder cannot be written.
    """
    from bench.report.figures import draw_all  # here: importing `bench.report` must not wait for matplotlib
    from bench.report.groups import groups
    from bench.report.page import write_page

    folder = Path(folder)
    records = Records(folder).all()
    table = write_table(folder, records)
    parts = groups(records)
    drawn = draw_all(folder / "figures", parts)
    page = write_page(folder, records, parts, drawn, title=title, question=question)
    return [table, *(path for figure in drawn for path in figure.files), page]
