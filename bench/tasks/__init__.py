"""The tasks. `resolve` turns what a user writes into a specification.

- contract: what a task must have. pools: all samples, and how they are split. caches: decoded data on disk.
- images, text, detection: a family each, with its declared sets (`sets`) and its readers of one's own files.
- recognise: which task reads a path of one's own.
- folder_listing, pictures, class_names: how every reader lists files, opens pictures and tells classes apart.
  picture_checks: which pictures cannot be read.
  data_notes: what it did to the data.
  data_summary: what a plan says of it.
- classification: what images and text share. metrics: scores of classes and of numbers. baselines: scores without a
  network. precomputed: features computed once.

A new data format is a reader in its family, named in `TASKS` here; a new set an entry in the family's `sets`; a new
metric a value more of what a function in `metrics` returns. README.md here shows each.
"""

from __future__ import annotations

from typing import Any

from bench.errors import unknown
from bench.spec import parse
from bench.tasks.contract import (
    Baseline,
    Corruptible,
    Data,
    Example,
    Found,
    Judged,
    PerSample,
    Searched,
    Shows,
    Split,
    Task,
    description,
)
from bench.tasks.detection.own_folders import CocoFolder, VocFolder
from bench.tasks.detection.sets import BOX_SETS
from bench.tasks.detection.task import Detection
from bench.tasks.images.sets import IMAGE_SETS
from bench.tasks.images.task import ImageFolder, Images
from bench.tasks.text.glue import GLUE, Glue
from bench.tasks.text.language import LanguageModelling
from bench.tasks.text.sets import TEXT_SETS
from bench.tasks.text.squad import Squad
from bench.tasks.text.task import Text, TextCsv

TASKS: dict[str, type] = {
    "Images": Images,
    "ImageFolder": ImageFolder,
    "Text": Text,
    "TextCsv": TextCsv,
    "Glue": Glue,
    "Squad": Squad,
    "LanguageModelling": LanguageModelling,
    "Detection": Detection,
    "CocoFolder": CocoFolder,
    "VocFolder": VocFolder,
}
SETS: dict[str, type] = {
    **dict.fromkeys(IMAGE_SETS, Images),
    **dict.fromkeys(TEXT_SETS, Text),
    **dict.fromkeys(GLUE, Glue),
    **dict.fromkeys(BOX_SETS, Detection),
}
"""The declared sets, and the task that takes each by its name."""

USUAL = {"images": "elpv", "text": "rotten-tomatoes", "detection": "tree-crowns"}
"""The set of each family that is taken where none is named."""

__all__ = [
    "SETS",
    "TASKS",
    "USUAL",
    "Baseline",
    "Corruptible",
    "Data",
    "Example",
    "Found",
    "Judged",
    "LanguageModelling",
    "PerSample",
    "Shows",
    "Split",
    "Task",
    "class_names",
    "description",
    "listing",
    "resolve",
    "usual",
]  # fmt: skip


def resolve(text: str) -> Task:
    """A task specification, "Images('elpv', train=400)", or just a set's name, "elpv".

    Raises:
        BadInput: no such task or set (did you mean).
    """
    if not text.rstrip().endswith(")") and text not in SETS and text != LanguageModelling.__name__:
        raise unknown("task", text, SETS)
    task: Any = parse(text, known=TASKS, kind="task") if text not in SETS else SETS[text](text)
    return task  # type: ignore[no-any-return]


def usual(model: Any) -> Task:
    """The task that is taken for a model where none is named: of models that write texts, language modelling."""
    if getattr(model, "generates", False):
        written: Any = LanguageModelling()  # what it gives depends on its kind of loss
        return written  # type: ignore[no-any-return]
    return resolve(USUAL[model.families[0]])


def class_names(task: Task) -> tuple[str, ...]:
    """Names of a task's classes by index; none where it predicts something else."""
    return tuple(getattr(task, "class_names", ()))


def listing() -> list[tuple[str, str, str]]:
    """Rows of (specification, what it is, classes) of every set, and of one's own data."""
    declared: dict[str, Any] = {**IMAGE_SETS, **TEXT_SETS, **GLUE, **BOX_SETS}
    numbers = {name for name, entry in GLUE.items() if entry.classes == 1}  # of which one is predicted
    rows = [
        (f"{SETS[name].__name__}({name!r})", entry.about, "a number" if name in numbers else str(entry.classes))
        for name, entry in declared.items()
    ]
    return [
        *rows,
        ("Squad('folder')", "questions answered by a span of their context: SQuAD's JSON, or 'hub'", "spans"),
        ("LanguageModelling()", "the next token: for bench memory and bench count, not to train", "tokens"),
        ("ImageFolder('path')", "your own pictures: path/train/<class>/… or path/<class>/…", "yours"),
        ("TextCsv('path.csv', text='text', label='label')", "your own texts, or pairs: text=('a', 'b')", "yours"),
        ("CocoFolder('path')", "your own pictures with boxes in COCO's format", "yours"),
        ("VocFolder('path')", "your own pictures with boxes in Pascal VOC's XML", "yours"),
    ]
