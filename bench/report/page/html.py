"""The page as one file that opens without network: figures, tables and the libraries that draw them stand in it."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.records import write_atomically
from bench.report.data import flags
from bench.report.data.groups import Group, scored
from bench.report.data.measured import Record
from bench.report.data.names import headings, titles
from bench.report.figures.drawn import Drawn
from bench.report.page.answer import answer
from bench.report.page.interactive import scatter
from bench.report.page.runs import what_ran
from bench.report.tables import aggregates, frames

if TYPE_CHECKING:
    import pandas as pd


_WIDE = 1400  # pixels of a figure


def write_html(
    folder: Path,
    records: Sequence[Record],
    groups: Sequence[Group],
    drawn: Sequence[Drawn],
    *,
    title: str,
    question: str,
) -> Path:
    """Write folder/report.html.

    Args:
        folder: results/<study>/<scale>.
        records: all of the study's runs.
        groups: the same runs by what may be compared.
        drawn: the figures.
        title: the heading.
        question: below it.

    Raises:
        BadInput: the folder cannot be written.
    """
    from jinja2 import Environment

    shown = scored(groups)
    template = Environment(autoescape=True).from_string(_template())
    page = template.render(
        title=title,
        question=question,
        answer=answer(shown) if shown else ["Nothing to conclude: no final run has a score."] * (not _costs(groups)),
        flags=list(flags.of_study(records, groups)),
        ran="\n".join(map(_markdown, what_ran(records))) if records else "",
        tables=_tables(groups, shown),
        figures=[_figure(figure, name) for figure, name in _named(drawn, groups)],
        datatables=_datatables(),
        **_interactive(shown),
    )
    return write_atomically(folder / "report.html", page)


def _template() -> str:
    return (files("bench.report.page") / "report.html.jinja").read_text("utf-8")


def _interactive(shown: Sequence[Group]) -> dict[str, Any]:
    """A scatter a task, and the library that draws them."""
    from plotly.offline import get_plotlyjs

    scatters = [
        {"title": name, "html": scatter(group, element=f"scatter-{number}"), "specs": group.specs}
        for number, (group, name) in enumerate(zip(shown, titles(shown), strict=True))
    ]
    return {"scatters": scatters, "plotly": get_plotlyjs() if shown else ""}


def _costs(groups: Sequence[Group]) -> list[Group]:
    return [group for group in groups if group.costs and group.configurations]


def _tables(groups: Sequence[Group], shown: Sequence[Group]) -> list[dict[str, str]]:
    """Every table that has rows, with what it shows."""
    options = (
        ("results", "Results on test", frames.results(shown), frames.ABOUT_PPT),
        (
            "differences",
            "Differences from full fine-tuning, paired by seed",
            frames.comparisons(shown),
            frames.ABOUT_DIFFERENCES,
        ),
        ("aggregates", "Aggregates over tasks", aggregates.over_tasks(shown), aggregates.about(shown)),
        ("shares", "Shares of the Pareto fronts, per cent", aggregates.shares(shown), aggregates.ABOUT_FRONTS),
        ("costs", "What each method costs", frames.measured_costs(_costs(groups)), ""),
    )
    return [
        {"title": title, "html": _table(frame, element=name), "note": note}
        for name, title, frame, note in options
        if len(frame)
    ]


def _table(frame: pd.DataFrame, *, element: str) -> str:
    """Sorted by a click on a head, filtered below it."""
    import itables

    options: Any = {
        "connected": False, "table_id": element, "column_filters": "footer", "classes": "display compact",
        "paging": False, "maxBytes": 0, "showIndex": False, "display_logo_when_loading": False, "scrollX": True,
        "text_in_header_can_be_selected": False,  # a click there sorts
        "layout": {"topStart": "info", "topEnd": "search", "bottomStart": None, "bottomEnd": None},
    }  # fmt: skip
    return itables.to_html_datatable(frame.astype(object).where(frame.notna(), None), **options)


def _datatables() -> str:
    """DataTables itself."""
    import itables
    from itables.javascript import generate_init_offline_itables_html

    return generate_init_offline_itables_html(Path(itables.__file__).parent / "html" / "dt_bundle.js")


def _named(drawn: Sequence[Drawn], groups: Sequence[Group]) -> list[tuple[Drawn, str]]:
    """Each figure with the task that it is of, if of one."""
    shown = [group for group in groups if group.configurations]
    names = dict(zip(shown, headings(shown), strict=True))
    return [(figure, names.get(figure.group, "") if figure.group and not figure.beside else "") for figure in drawn]


def _figure(figure: Drawn, name: str) -> dict[str, str]:
    """The picture itself, at a size to be read on a screen: the page shall fit into a mail."""
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(figure.files[0]) as picture:
        small = picture.convert("RGB")
        small.thumbnail((_WIDE, 2 * _WIDE))
        small.save(buffer, "webp", quality=82, method=2)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    heading = figure.title[0].upper() + figure.title[1:]
    return {"title": f"{heading}: {name}" if name else heading, "caption": figure.caption, "data": data}


def _markdown(text: str) -> str:
    from markdown_it import MarkdownIt

    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(text))
