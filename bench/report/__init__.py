"""From records to a table, figures and a page: no torch, and the same bytes for the same records.

- data: what is said, computed from the records. figures, tables, page: how it is shown; a new one of each goes there.
- style: colours, markers and names of methods and metrics, the same everywhere.
- claims: published claims against the records. rules: what decides on them. power: how likely they do.
- compare: two methods beside each other.
- statements: sentences of the documentation that are held to the records. queries, sentences: what they are made of.
"""

from __future__ import annotations

from pathlib import Path

from bench.records import Records
from bench.report.style import looks
from bench.report.tables.tidy import tidy, write_table


def redraw(folder: Path, *, title: str | None = None, question: str | None = None) -> list[Path]:
    """Write the table, the figures and the page of a study from its records alone.

    Args:
        folder: results/<study>/<scale>.
        title: the page's heading; the study's name without.
        question: what the study asks, below the heading; what the present page says without.

    Returns:
        What was written: table.csv, README.md, figures/*.png, and what is not committed: table.parquet, tables/*.tex,
        figures/*.svg and *.pdf, figures/column/*.pdf and report.html.

    Raises:
        BadInput: the folder cannot be written.
    """
    from bench.report.data.display import displayed
    from bench.report.data.groups import groups, methods
    from bench.report.figures.catalogue import draw_all  # here: importing `bench.report` must not wait for matplotlib
    from bench.report.page.content import content
    from bench.report.page.html import write_html
    from bench.report.page.study_page import asked, write_page
    from bench.report.tables.dataframes import write_exports

    folder = Path(folder)
    whole = Records(folder).all()
    records = [displayed(record) for record in whole]
    title = title or (f"{records[0]['study']} ({records[0]['scale']})" if records else "No runs yet")
    question = question or asked(folder / "README.md")
    frame, parts = tidy(whole), groups(records)
    tables = [write_table(folder, frame), *write_exports(folder, frame, parts)]
    drawn = draw_all(folder / "figures", parts)
    with looks(methods(parts)):
        found = content(records, parts, drawn, title=title, question=question)
        pages = [write_page(folder, found), write_html(folder, found)]
    return [*tables, *(path for figure in drawn for path in figure.written), *pages]
