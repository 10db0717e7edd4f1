"""What comes before the first run: whether it can be handed on, what is fetched, and how long all of it will take."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable, Iterator, Sequence

from tqdm import tqdm

from bench.errors import BadInput
from bench.execution import cost_study
from bench.execution.forecasts import Beside
from bench.execution.parallelism import available
from bench.execution.ray_executor import OnRay
from bench.execution.ray_launch import timed
from bench.records import Records
from bench.study import Study
from bench.study.plan import Row, estimated, plan, run_of


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


def planned(
    parts: Sequence[Study],
    records: Records,
    device: str,
    *,
    jobs: int,
    before: Callable[[Study], object],
    executor: OnRay | None = None,
) -> Iterator[tuple[Study, list[Row], str]]:
    """The plan of each part. All cells are counted first; then one part after the other is timed, with a bar.

    Args:
        parts: of a study.
        records: what is there already.
        device: torch device to time on.
        jobs: runs at once; with several, and for a study of costs, another process estimates memory beside this one.
        before: called with a part before it is timed.
        executor: times and estimates on its machine instead.

    Yields:
        A part, its plan, and why that has no times, if the data cannot be had for them.
    """
    several = jobs if not any(part.costs for part in parts) else 2
    with Beside(device, 1 if executor else several, soon=not any(records.runs.glob("*.json"))) as beside:
        counted = [_counted(part, records, device) for part in parts]
        each = zip(parts, counted, strict=True)
        beside.ask([run_of(part, row.cell) for part, rows in each for row in rows if row.todo])
        for part, rows in zip(parts, counted, strict=True):
            before(part)
            if executor is None:
                yield part, *_timed(part, rows, device, beside)
                continue
            with contextlib.suppress(BadInput):  # then there is no estimate of the time
                rows = executor.call(timed, part, rows, device)
            yield part, rows, ""


def _counted(part: Study, records: Records, device: str) -> list[Row]:
    if part.costs:
        return cost_study.plan(part, records, device=device)
    return plan(part, records, device=device, timed=False)


def _timed(part: Study, rows: list[Row], device: str, beside: Beside) -> tuple[list[Row], str]:
    with tqdm(total=len(rows), desc="timing", leave=False, delay=1, unit="cell", disable=None) as bar:
        told = lambda row: bar.update() and None  # noqa: E731
        try:
            if part.costs:
                return cost_study.estimated(part, rows, device=device, told=told, forecast=beside.forecast), ""
            free = available(device)
            return estimated(part, rows, device=device, told=told, limit=free, forecast=beside.forecast), ""
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
