"""The page of one's own data as one file for a browser, without network: its Markdown with the pictures in it."""

from __future__ import annotations

import base64
import re
from importlib.resources import files
from pathlib import Path

from bench.records import write_atomically

KINDS = {".png": "image/png", ".jpg": "image/jpeg"}
THUMBNAIL = re.compile(r"&lt;img src=&quot;(pictures/\w+\.jpg)&quot; width=&quot;(\d+)&quot;&gt;&lt;br&gt;")
"""The only HTML in the Markdown that is ours: all else of the kind is one's own data, and is shown, not obeyed."""
SOURCE = re.compile(r'src="((?:figures|pictures)/[\w-]+(\.png|\.jpg))"')


def write_own_html(folder: Path, title: str, text: str) -> Path:
    """Write folder/report.html.

    Args:
        folder: results/try-<name>, with the pictures that the page shows.
        title: of the browser's tab.
        text: the page in Markdown.

    Raises:
        BadInput: the folder cannot be written.
    """
    from jinja2 import Environment
    from markdown_it import MarkdownIt

    body = str(MarkdownIt("commonmark", {"html": False}).enable("table").render(text))
    body = THUMBNAIL.sub(r'<img src="\1" width="\2" alt=""><br>', body)
    body = SOURCE.sub(lambda found: f'src="{_inside(folder / found[1], found[2])}"', body)
    body = body.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")
    template = (files("bench.report.page") / "own.html.jinja").read_text("utf-8")
    page = Environment(autoescape=True).from_string(template).render(title=title, body=body)
    return write_atomically(folder / "report.html", page)


def _inside(path: Path, ending: str) -> str:
    """A picture's bytes as an address; its own name where it is not there."""
    if not path.is_file():
        return f"{path.parent.name}/{path.name}"
    return f"data:{KINDS[ending]};base64,{base64.b64encode(path.read_bytes()).decode()}"
