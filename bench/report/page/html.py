"""The page as one file that opens without network: figures, tables and the libraries that draw them stand in it."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.records import write_atomically
from bench.report.data.groups import Group
from bench.report.figures.drawn import Drawn
from bench.report.page.content import Content, of_costs_alone, per_task
from bench.report.page.interactive import scatter
from bench.report.tables.markdown import formatted, ranged

if TYPE_CHECKING:
    import pandas as pd


_WIDE = 1400  # pixels of a figure


def write_html(folder: Path, found: Content) -> Path:
    """Write folder/report.html.

    Args:
        folder: results/<study>/<scale>.
        found: what to say.

    Raises:
        BadInput: the folder cannot be written.
    """
    from jinja2 import Environment

    template = Environment(autoescape=True).from_string(_template())
    page = template.render(
        title=found.title,
        question=found.question,
        answer=found.answer,
        about_answer=found.about_answer,
        flags=found.flags,
        ran="\n".join(map(_markdown, found.ran)),
        tables=_tables(found),
        figures=[_figure(figure, found.names) for figure in found.drawn],
        datatables=_datatables(),
        **_interactive(found),
    )
    return write_atomically(folder / "report.html", page)


def _template() -> str:
    return (files("bench.report.page") / "report.html.jinja").read_text("utf-8")


def _interactive(found: Content) -> dict[str, Any]:
    """A scatter a task, and the library that draws them."""
    from plotly.offline import get_plotlyjs

    scatters = [
        {"title": found.names[group], "html": scatter(group, element=f"scatter-{number}"), "specs": group.specs}
        for number, group in enumerate(found.shown)
    ]
    return {"scatters": scatters, "plotly": get_plotlyjs() if scatters else ""}


def _tables(found: Content) -> list[dict[str, str]]:
    """Every table that has rows, with what it shows."""
    every = (*per_task(found), *found.over_tasks, *of_costs_alone(found))
    return [
        {"title": each.title, "html": _table(ranged(each.frame), element=each.name), "note": each.about}
        for each in every
        if len(each.frame)
    ]


def _table(frame: pd.DataFrame, *, element: str) -> str:
    """Sorted by a click on a head, filtered below it; numbers with separators sort as numbers."""
    import itables

    options: Any = {
        "connected": False, "table_id": element, "column_filters": "footer", "classes": "display compact",
        "paging": False, "maxBytes": 0, "showIndex": False, "display_logo_when_loading": False, "autoWidth": False,
        "text_in_header_can_be_selected": False,  # a click there sorts
        "layout": {"topStart": "info", "topEnd": "search", "bottomStart": None, "bottomEnd": None},
    }  # fmt: skip
    return itables.to_html_datatable(formatted(frame, missing=""), **options)


def _datatables() -> str:
    """DataTables itself."""
    import itables
    from itables.javascript import generate_init_offline_itables_html

    return generate_init_offline_itables_html(Path(itables.__file__).parent / "html" / "dt_bundle.js")


def _figure(figure: Drawn, names: Mapping[Group, str]) -> dict[str, str]:
    """The picture itself, at a size to be read on a screen: the page shall fit into a mail."""
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(figure.files[0]) as picture:
        small = picture.convert("RGB")
        small.thumbnail((_WIDE, 2 * _WIDE))
        small.save(buffer, "webp", quality=82, method=2)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    heading = figure.title[0].upper() + figure.title[1:]
    name = names.get(figure.group, "") if figure.group and not figure.beside else ""
    return {"title": f"{heading}: {name}" if name else heading, "caption": figure.caption, "data": data}


def _markdown(text: str) -> str:
    from markdown_it import MarkdownIt

    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(text))
