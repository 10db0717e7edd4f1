"""What comes before the first run: whether it can be handed on, what is fetched, and how long all of it will take."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Sequence

from tqdm import tqdm

from bench.errors import BadInput
from bench.execution import cost_study
from bench.execution.parallelism import available
from bench.execution.ray_executor import OnRay
from bench.execution.ray_launch import timed
from bench.records import Records
from bench.study import Study
from bench.study.plan import Row, estimated, plan


def check_portable(parts: Sequence[Study]) -> None:
    """Refuses what cannot be handed to a worker process.

    Raises:
        BadInput: a task, model or method that is defined inside a function.
    """
    for part in parts:
        for cell in part.cells():
            try:
                pickle.dumps(cell)
            except (pickle.PicklingError, AttributeError, TypeError) as error:
                raise BadInput(
                    f"{cell.method!r} on {cell.task!r} cannot be handed to another process ({error}): define its class "
                    "at the top of its file, or run it in this process: --jobs 1, without --launcher"
                ) from None


def planned(study: Study, records: Records, device: str, executor: OnRay | None = None) -> tuple[list[Row], str]:
    """The plan, with a bar while steps are timed, and why it has no times, if the data cannot be had for them."""
    if study.costs:
        rows = cost_study.plan(study, records, device=device)
    else:
        rows = plan(study, records, device=device, timed=False)
    if executor is not None:
        with contextlib.suppress(BadInput):  # then there is no estimate of the time
            rows = executor.call(timed, study, rows, device)
        return rows, ""
    with tqdm(total=len(rows), desc="timing", leave=False, delay=1, unit="cell", disable=None) as bar:
        try:
            told = lambda row: bar.update() and None  # noqa: E731
            if study.costs:
                return cost_study.estimated(study, rows, device=device, told=told), ""
            return estimated(study, rows, device=device, told=told, limit=available(device)), ""
        except BadInput as error:  # the cells fit, as the plan without times has shown
            return rows, str(error)


def fetch(study: Study) -> None:
    """Brings weights and data before the first run, and splits the data of every seed, so that trouble comes early.

    A study of costs needs neither. A model that cannot be had even in its shapes is left to the plan, which refuses its
    cells and no others.
    """
    for task in () if study.costs else study.tasks:
        for model in study.models:
            try:
                model.build(device="meta", output=task.output)
            except BadInput:
                continue
            backbone = model.build(output=task.output)
            for seed in (*study.tune.seeds, *study.seeds):
                task.data(backbone.inputs, seed=seed)
