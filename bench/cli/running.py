"""`bench plan` and `bench run`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bench.cli.services import RESULTS, Results
from bench.cli.studies import Folder, complete_family, complete_scale, complete_study, find

Study = Annotated[
    str,
    typer.Argument(
        help="Name of a study, e.g. rank-sweep; bench studies lists them.",
        show_default=False,
        autocompletion=complete_study,
    ),
]
Scale = Annotated[
    str,
    typer.Option(
        help="How large: smoke (seconds, a tiny random network), laptop (two CPU cores, about half an hour a family), "
        "overnight (two CPU cores, some nights, in fp32: what is published) or full (one GPU).",
        autocompletion=complete_scale,
    ),
]
Device = Annotated[str | None, typer.Option(help="A torch device; by default CUDA where there is one, else the CPU.")]
Family = Annotated[
    str | None,
    typer.Option(
        help="Only this part of the study, e.g. images, text or detection; by default all.",
        autocompletion=complete_family,
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        help="Runs at once, each in a process of its own, the cores shared out among them. By default one for each "
        "core (four at most), one at scale smoke, and on CUDA one for each GPU.",
        show_default=False,
    ),
]
Mlflow = Annotated[bool, typer.Option(help="Log to MLflow ($MLFLOW_TRACKING_URI, or a file in the results folder).")]
Storage = Annotated[
    str | None,
    typer.Option(
        help="Optuna's storage, e.g. postgresql://… or sqlite:///trials.db; by default optuna.journal beside the "
        "records, from which any storage is filled again.",
        show_default=False,
    ),
]


def plan(
    study: Study,
    scale: Scale = "laptop",
    results: Results = RESULTS,
    device: Device = None,
    family: Family = None,
    jobs: Jobs = None,
    studies: Folder = None,
) -> None:
    """Show what a study would run: methods, exact trainable parameters, estimated time and memory. Nothing is trained.

    Weights and data that are not cached yet are fetched, as the estimates need their sizes.

    Examples: `bench plan rank-sweep`, `bench plan rank-sweep --scale full --family text`
    """
    file = find(study, studies)

    from bench.execution import console, data_report
    from bench.execution.launch import at_once, planned
    from bench.execution.parallelism import share_out
    from bench.records import Records
    from bench.study import load
    from bench.training.device import choose_device

    parts, where = load(file, scale, family=family), choose_device(device)
    records = Records(results / parts[0].name / scale)
    workers = share_out(at_once(parts, jobs), where, scale=scale, known=records.all())
    console.older(records.all())
    planned_rows = []
    for part in parts:
        data_report.show(part)
        rows, why = planned(part, records, where)
        console.plan(part, scale, rows, device=where, jobs=workers.jobs)
        if why:
            print(f"no estimate of the time: {why}")
        planned_rows.append(rows)
    console.families(parts, planned_rows, scale, jobs=workers.jobs)
    print(f"\nstudy:   {file}\nresults: {records.folder.resolve()}")


def run(
    study: Study,
    scale: Scale = "laptop",
    results: Results = RESULTS,
    device: Device = None,
    family: Family = None,
    mlflow: Mlflow = True,
    jobs: Jobs = None,
    storage: Storage = None,
    studies: Folder = None,
) -> None:
    """Run a study: tune, train, test, record, draw. What is recorded is not run again; Ctrl-C loses nothing.

    A worker that is killed is replaced at once, and its run begins anew.

    Examples: `bench run rank-sweep --scale smoke --results build/results`, `bench run rank-sweep --family text`,
    `bench run mine --studies my-studies`
    """
    file = find(study, studies)

    try:
        from bench.execution.launch import launch

        sound = launch(
            file, scale, results=results, device=device, mlflow=mlflow, family=family, jobs=jobs, storage=storage
        )
    except KeyboardInterrupt:
        print("\nbench: interrupted; what is recorded stays, the same command goes on from there", file=sys.stderr)
        raise SystemExit(130) from None
    raise typer.Exit(0 if sound else 1)
