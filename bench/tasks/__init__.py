"""The tasks. `resolve` turns what a user writes into a specification."""

from __future__ import annotations

from typing import Any

from bench.errors import unknown
from bench.spec import parse
from bench.tasks.glue import GLUE, Glue
from bench.tasks.image_sets import IMAGE_SETS
from bench.tasks.images import ImageFolder, Images
from bench.tasks.squad import Squad
from bench.tasks.task import Data, Found, Reference, Split, Task, description
from bench.tasks.text import Text, TextCsv
from bench.tasks.text_sets import TEXT_SETS

TASKS: dict[str, type] = {
    "Images": Images,
    "ImageFolder": ImageFolder,
    "Text": Text,
    "TextCsv": TextCsv,
    "Glue": Glue,
    "Squad": Squad,
}
SETS: dict[str, type] = {
    **dict.fromkeys(IMAGE_SETS, Images),
    **dict.fromkeys(TEXT_SETS, Text),
    **dict.fromkeys(GLUE, Glue),
}
"""The declared sets, and the task that takes each by its name."""

USUAL = {"images": "elpv", "text": "rotten-tomatoes"}
"""The set of each family that is taken where none is named."""

__all__ = ["SETS", "TASKS", "USUAL", "Data", "Found", "Reference", "Split", "Task", "description", "listing", "resolve"]


def resolve(text: str) -> Task:
    """A task specification, "Images('elpv', train=400)", or just a set's name, "elpv".

    Raises:
        BadInput: no such task or set (did you mean).
    """
    if not text.rstrip().endswith(")") and text not in SETS:
        raise unknown("task", text, SETS)
    task: Any = parse(text, known=TASKS, kind="task") if text not in SETS else SETS[text](text)
    return task  # type: ignore[no-any-return]


def listing() -> list[tuple[str, str, str]]:
    """Rows of (specification, what it is, classes) of every set, and of one's own data."""
    declared: dict[str, Any] = {**IMAGE_SETS, **TEXT_SETS, **GLUE}
    rows = [
        (f"{SETS[name].__name__}({name!r})", entry.about, _classes(entry.classes)) for name, entry in declared.items()
    ]
    return [
        *rows,
        ("Squad('folder')", "questions answered by a span of their context: SQuAD's JSON, or 'hub'", "spans"),
        ("ImageFolder('path')", "your own pictures: path/train/<class>/… or path/<class>/…", "yours"),
        ("TextCsv('path.csv', text='text', label='label')", "your own texts, or pairs: text=('a', 'b')", "yours"),
    ]


def _classes(number: int) -> str:
    return str(number) if number > 1 else "a number"
