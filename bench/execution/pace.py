"""A comparison that takes much longer than foreseen is planned again, smaller, so that a budget holds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.errors import BadInput
from bench.records import Records, write_atomically
from bench.study.own_data import Size, bought, smallest, study
from bench.study.plan import Row, hours_minutes
from bench.study.study import Study

OVER, AFTER = 1.3, 0.1
"""Times the budget that may be foreseen, once so large a share of it is over."""
TRIES = 2
"""How often a comparison is planned again."""


class Slower(Exception):
    """Runs take too long for the budget.

    Args:
        pace: how many times as long as foreseen.
    """

    def __init__(self, pace: float) -> None:
        super().__init__(pace)
        self.pace = pace


def watch(budget: float) -> Callable[[float, float], None]:
    """What raises `Slower` after a run, if the rest will not fit.

    Args:
        budget: seconds from now on.
    """
    begun = time.monotonic()

    def paced(left: float, pace: float) -> None:
        over = time.monotonic() - begun
        if over > AFTER * budget and over + left > OVER * budget:
            raise Slower(pace)

    return paced


def smaller_still(
    part: Study, rows: Sequence[Row], pace: float, plan: Path, *, left: float, jobs: int
) -> tuple[Study, list[Row]]:
    """The largest comparison of the same methods that fits into what is left of the budget, at the pace seen.

    What is recorded and not of it is moved aside, as of any study that has changed.

    Args:
        part, rows: the comparison, and its plan.
        pace: how many times as long as foreseen its runs took.
        plan: the file with what was decided, which is brought up to date.
        left: seconds.
        jobs: runs at once.
    """
    known = json.loads(plan.read_text(encoding="utf-8"))
    size, sizes, task = Size(**known["size"]), tuple(known["sizes"]), _whole(part, known)
    slowed = [replace(row, speed=_slower(row, pace)) for row in rows]
    found = smallest(task.sizes(), task.classes, sizes)
    with suppress(BadInput):  # not even that fits: then it takes longer
        budget = max(left, 1.0)
        found = bought(task, slowed, found, sizes=sizes, budget=budget, jobs=jobs, timed_at=size.image_size).size
    made = study(part.name, task, part.models[0], part.methods, found)
    rest = f"for the {hours_minutes(left)} that were left" if left > 0 else "as small as it can be: the budget is over"
    note = f"runs took {pace:.1f} times as long as foreseen: planned again {rest}"
    print(f"\n{note}", flush=True)
    write_atomically(plan, json.dumps(known | {"size": vars(found), "notes": [*known["notes"], note]}, indent=1))
    scale = (found.image_size / size.image_size) ** 2 if found.image_size and size.image_size else 1.0
    return made, [resized(row, made, scale) for row in slowed]


def _whole(part: Study, known: dict[str, Any]) -> Any:
    """The task as given, without what was cut."""
    task: Any = part.tasks[0]
    return replace(task, train=None, val=None, test=None) if known["size"]["train"] else task


def _slower(row: Row, pace: float) -> Any:
    return row.speed and replace(row.speed, step=row.speed.step * pace, forward=row.speed.forward * pace)


def resized(row: Row, made: Study, scale: float = 1.0) -> Row:
    """A row of a comparison of another size, of which nothing is recorded, with what it should take.

    Args:
        row: of a plan that was timed.
        made: the other comparison.
        scale: how many times as long its steps take.
    """
    task: Any = made.tasks[0]
    speed = row.speed and replace(
        row.speed, step=row.speed.step * scale, forward=row.speed.forward * scale, sizes=task.sizes(),
        training=made.training,
    )  # fmt: skip
    cell = replace(row.cell, task=task, model=made.models[0])
    return replace(row, cell=cell, speed=speed, trials=made.tune.trials, finals=len(made.seeds), done=0)


def only(part: Study, records: Records) -> None:
    """Moves aside what is recorded of other sizes of the same data, which would stand beside it as other tasks."""
    tasks, models = {repr(task) for task in part.tasks}, {repr(model) for model in part.models}
    records.retire(
        record["run_id"]
        for record in records.all()
        if record["task"].get("spec") not in tasks
        or (record["phase"] != "reference" and record["model"].get("spec") not in models)
    )
