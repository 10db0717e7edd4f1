"""Runs a study for a person: the plan first, then the runs, with MLflow, figures and a bar beside them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bench.errors import BadInput
from bench.execution import console, data_report
from bench.execution.callbacks import Callbacks, Paced, never
from bench.execution.cost_study import Costing
from bench.execution.executor import Executor
from bench.execution.keeping import LIMIT, Keeping
from bench.execution.parallelism import Workers, share_out
from bench.execution.preparation import check_portable, fetch, planned
from bench.execution.ray_cluster import Wanted
from bench.execution.ray_executor import OnRay
from bench.execution.ray_launch import on_ray
from bench.execution.runner import Runner
from bench.execution.search import storage as open_storage
from bench.methods import Method
from bench.records import Records
from bench.study import Study, load
from bench.study.plan import Row
from bench.study.plugins import joined
from bench.study.recording import DONE, Record
from bench.training.device import choose_device


def launch(
    file: Path,
    scale: str,
    *,
    results: Path,
    device: str | None,
    mlflow: bool,
    family: str | None = None,
    jobs: int | None = None,
    storage: str | None = None,
    cluster: Wanted | None = None,
    keep: tuple[str, str] = ("best", LIMIT),
    added: Sequence[Method] = (),
) -> bool:
    """Plans, runs and reports a study, one family after the other.

    Args:
        file, scale, family, results: what to run (`bench.study.load`), and the folder of the records.
        device: torch device; by default a GPU if there is one.
        jobs: runs at once; by default as many as pay (`bench.execution.parallelism`), of a study of costs one.
        mlflow, storage: whether to log to MLflow; URL of Optuna's storage, by default a file beside the records.
        cluster: run on Ray, with so much of a cluster for each run; without, on this machine.
        keep, added: which weights are kept, in how much disk (`bench.execution.keeping`); methods that join it.

    Returns:
        Whether no final run failed or ran out of memory. (Diverging is a finding.)

    Raises:
        BadInput: anything that can be known to be wrong before training.
    """
    records = Records(results / (parts := joined(load(file, scale, family=family), added))[0].name / scale)
    how: dict[str, Any] = {"mlflow": mlflow, "storage": storage, "keeping": Keeping.asked(records.folder, *keep)}
    where, workers = at_hand(parts, records, scale=scale, device=device, jobs=jobs, cluster=cluster)
    records.prepare()
    with alone(records.folder), contextlib.ExitStack() as stack:
        if not all(part.costs for part in parts):
            open_storage(storage, records.folder)  # now, not after an hour of downloads
        on = stack.enter_context(elsewhere(parts, records, cluster, scale=scale, jobs=jobs)) if cluster else None
        return run(parts, scale, records, device=where, workers=workers, executor=on, **how)


def at_hand(
    parts: Sequence[Study],
    records: Records,
    *,
    scale: str,
    device: str | None,
    jobs: int | None,
    cluster: Wanted | None = None,
) -> tuple[str, Workers]:
    """Device and workers of this machine; of a cluster they are found out later.

    Raises:
        BadInput: they cannot be had, or what they are to run cannot be handed to another process.
    """
    where, workers = "", Workers()
    if cluster is None:
        where = choose_device(device)
        cells = sum(1 for part in parts for _ in part.cells())
        workers = share_out(at_once(parts, jobs), where, scale=scale, cells=cells, known=records.all())
    if workers.jobs > 1 or cluster is not None:
        check_portable(parts)
    return where, workers


def elsewhere(
    parts: Sequence[Study], records: Records, cluster: Wanted, *, scale: str, jobs: int | None
) -> AbstractContextManager[OnRay]:
    """Workers on a cluster, once all that they need is here."""
    print(f"{parts[0].name}, {scale}: fetching what is not cached, then starting workers on Ray", flush=True)
    return on_ray(parts, cluster, scale=scale, jobs=jobs, known=records.all(), fetch=fetch)


def at_once(parts: Sequence[Study], jobs: int | None) -> int | None:
    """How many runs at once are asked for.

    Raises:
        BadInput: several of a study of costs.
    """
    if not any(part.costs for part in parts):
        return jobs
    if jobs is not None and jobs > 1:
        raise BadInput(f"--jobs {jobs}: {parts[0].name} measures what runs cost, one at a time; leave --jobs out")
    return 1


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Holds a results folder: two processes at once would do every run twice.

    Raises:
        BadInput: another one is at work there.
    """
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise BadInput(
            f"another bench run is at work on {folder}: wait for its end, or stop it and say --jobs N for more workers"
        ) from None
    except OSError as error:
        told = error.strerror or type(error).__name__
        raise BadInput(
            f"cannot hold {folder / '.lock'} ({told}): make it a file that can be written, or remove it"
        ) from None
    try:
        yield
    finally:
        lock.release()


def run(
    parts: Sequence[Study],
    scale: str,
    records: Records,
    *,
    device: str,
    mlflow: bool,
    workers: Workers,
    storage: str | None,
    executor: OnRay | None = None,
    keeping: Keeping | None = None,
) -> bool:
    """What `launch` does once the folder is its own."""
    where, workers = (executor.device, executor.workers) if executor else (device, workers)
    print(f"{parts[0].name}, {scale}: fetching what is not cached, then timing a few steps of each method", flush=True)
    console.older(records.all())
    rows = []

    def before(part: Study) -> None:
        data_report.show(part)
        fetch(part)

    for part, plan, _ in planned(parts, records, where, jobs=workers.jobs, before=before, executor=executor):
        console.plan(part, scale, plan, device=where, jobs=workers.jobs)
        rows.append(plan)
    console.families(parts, rows, scale, jobs=workers.jobs)
    every = [row for part in rows for row in part]
    advise(records, rows)
    workers = workers if executor else workers.within_memory(where)
    console.places(records, keeping, () if all(part.costs for part in parts) else every)
    finals = carry_out(
        parts, scale, records, device=where, mlflow=mlflow, rows=every, workers=workers, storage=storage,
        executor=executor, keeping=keeping,
    )  # fmt: skip
    return summed_up(parts, records, finals, every)


def summed_up(parts: Sequence[Study], records: Records, finals: Sequence[Record], rows: Sequence[Row]) -> bool:
    """Says what became of the final runs. Returns whether none is to be tried again."""
    bad = [record for record in finals if record["status"] != "ok"]
    for record in bad:
        what = f"{record['task']['name']} {record['method']['spec']} seed {record['seed']}"
        print(f"{record['status']}: {what}: {record['reason']}")
    what = "cells are measured" if all(part.costs for part in parts) else "final runs are sound"
    print(f"\n{len(finals) - len(bad)} of {len(finals)} {what}; read {records.folder / 'README.md'}")
    console.left_out(rows)
    retried = [record for record in bad if record["status"] not in DONE]
    if retried:
        print("the same command tries again what failed or ran out of memory")
    return not retried


def carry_out(
    parts: Sequence[Study],
    scale: str,
    records: Records,
    *,
    device: str,
    mlflow: bool,
    rows: Sequence[Row] = (),
    workers: Workers | None = None,
    storage: str | None = None,
    executor: OnRay | None = None,
    keeping: Keeping | None = None,
    paced: Paced = never,
) -> list[Record]:
    """Runs the parts of a study with MLflow, figures and a bar beside it. Returns the records of the final runs."""
    workers = workers or Workers()
    callbacks = Callbacks(parts[0], records, rows, mlflow=mlflow, jobs=workers.jobs, paced=paced)
    finals, left_out = [], {row.cell for row in rows if row.refused}
    trains: Executor | None = executor
    try:
        with contextlib.ExitStack() as stack:
            for part in parts:
                runner: Runner | Costing
                if part.costs:
                    seen = callbacks.watcher()
                    runner = Costing(part, scale, records, device=device, watcher=seen, left_out=left_out)
                else:
                    runner = Runner(part, scale, records, device=device, watcher=callbacks.watcher(), storage=storage)
                    runner.jobs, runner.threads, runner.left_out = workers.jobs, workers.threads, left_out
                    trains = trains or stack.enter_context(runner.trained_by())  # one for all parts
                    runner.executor, runner.expects = trains, callbacks.progress.expects
                    runner.keeping = replace(keeping, said=callbacks.progress.say_line) if keeping else None
                finals += runner()
                if len(parts) > 1:
                    callbacks.family()
        return finals
    finally:
        callbacks.close()


def advise(records: Records, parts: Sequence[Sequence[Row]]) -> None:
    """Says what records that are there already mean for this call, given the plan of each part."""
    if not sum(row.todo for rows in parts for row in rows):
        print(
            "everything is recorded for this device already; "
            "to measure again, name another folder: RESULTS=mine, --results mine"
        )
        return
    specs = [(record["task"].get("spec"), record["model"].get("spec")) for record in records.all()]
    for rows in parts:
        about = {(repr(row.cell.task), repr(row.cell.model)) for row in rows}
        there = sum(spec in about for spec in specs)
        if there and not sum(row.done for row in rows):
            print(
                f"the {there} records of {rows[0].cell.task.name} in {records.folder} are of another device, of other "
                "data or of an older study; this run puts its own in their place: RESULTS=mine keeps them"
            )
