"""New labelled data with the classes of a trained run: by name, whatever their order."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.deploy.loading import Trained
from bench.errors import BadInput, nearest, shown
from bench.tasks import SETS, TASKS, Task, class_names, resolve
from bench.tasks.recognise import recognise


def task_of(trained: Trained, data: str, *, text: Any = None, label: str | None = None) -> tuple[Task, str]:
    """The task of new data, with the run's classes, and what the data were taken to be.

    Args:
        trained: the run.
        data: a path, or a task's specification or set.
        text, label: columns of a table; those of training where it has them, else found.

    Raises:
        BadInput: no such data, another family, or classes that the run does not know.
    """
    named = data in SETS or data.partition("(")[0] in TASKS
    if named and not Path(data).exists():
        task, said = resolve(data), f"{data}, as declared"
    else:
        own = trained.run.task
        found = recognise(data, text=text or getattr(own, "text", None), label=label or getattr(own, "label", None))
        task, said = found.task, found.said
    if task.family != trained.family or task.output != trained.run.task.output:
        raise BadInput(
            f"{shown(data)} is data of {task.family}, run {trained.about['run_id']} was trained on {trained.family}"
        )
    return with_classes(task, trained.classes), said


def with_classes(task: Any, names: tuple[str, ...]) -> Task:
    """The same task with other indices of its classes.

    Raises:
        BadInput: it has classes that are not among `names`.
    """
    own = class_names(task)
    if own == names:
        return task  # type: ignore[no-any-return]
    if strange := [name for name in own if name not in names]:
        near = nearest(strange[0], names)
        hint = f"did you mean {near[0]!r}?" if near else f"it knows {', '.join(map(repr, names[:6]))}"
        raise BadInput(f"class {shown(strange[0], 60)!r} of {task.name} is none that the run was trained on: {hint}")
    order = np.array([names.index(name) for name in own], np.int64)
    members: dict[str, Any] = {"classes": property(lambda self: len(names)), "class_names": property(lambda _: names)}
    if task.family == "detection":
        source = task.source()
        truths = [replace(truth, labels=order[truth.labels]) for truth in source.truths]
        known = replace(source, classes=names, truths=truths)
        members["source"] = lambda self: known
    else:
        pool = task.pool()
        other = replace(pool, labels=order[pool.labels], classes=len(names), names=names)
        members["pool"] = lambda self: other
    viewed = copy.copy(task)
    kind = type(type(task).__name__, (type(task),), members)  # the same text, so that it is recorded as what it is
    object.__setattr__(viewed, "__class__", kind)
    return viewed  # type: ignore[no-any-return]
