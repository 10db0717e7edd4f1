"""The tasks. `resolve` turns what a user writes into a specification."""

from __future__ import annotations

from typing import Any

from bench.spec import parse
from bench.tasks.image_sets import IMAGE_SETS
from bench.tasks.images import ImageFolder, Images
from bench.tasks.task import Data, Split, Task

TASKS: dict[str, type] = {"Images": Images, "ImageFolder": ImageFolder}

__all__ = ["IMAGE_SETS", "TASKS", "Data", "ImageFolder", "Images", "Split", "Task", "resolve"]


def resolve(text: str) -> Task:
    """A task specification, "Images('elpv', train=400)", or just a set's name, "elpv".

    Raises:
        BadInput: no such task or set (did you mean).
    """
    task: Any = parse(text, known=TASKS, kind="task") if text.rstrip().endswith(")") else Images(text)
    return task  # type: ignore[no-any-return]
