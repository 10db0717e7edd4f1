"""`bench plan` and `bench run`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from bench.cli.authoring import From, use
from bench.cli.services import RESULTS, Results
from bench.cli.studies import Folder, complete_family, complete_scale, complete_study, find
from bench.errors import BadInput, unknown

Study = Annotated[
    str,
    typer.Argument(
        help="Name of a study, e.g. rank-sweep; bench studies lists them. How it trains stands in its file: "
        "Training(batch_size=32, accumulate=4, activation_checkpointing=True).",
        show_default=False,
        autocompletion=complete_study,
    ),
]
Scale = Annotated[
    str,
    typer.Option(
        help="How large: smoke (seconds, a tiny random network), laptop (two CPU cores, about half an hour), "
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
        "core (four at most), at scale smoke one where there is little to do, and on CUDA one for each GPU.",
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
OnPaper = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Simulate the study on up to so many workers.", show_default=False),
]
LAUNCHERS = ("local", "ray")
Launcher = Annotated[
    str,
    typer.Option(help="Where runs go on: local (processes of this machine) or ray (a Ray cluster: lora-bench[ray])."),
]
Address = Annotated[
    str | None,
    typer.Option(
        help="Of the Ray cluster: auto, host:port or ray://host:port. By default $RAY_ADDRESS, the cluster that was "
        "started on this machine, or one that is started now.",
        show_default=False,
    ),
]
Gpus = Annotated[
    float | None,
    typer.Option(
        help="On Ray, of each run: 0.25 puts four on a GPU. By default 1 where there are GPUs.", show_default=False
    ),
]
Cpus = Annotated[
    int | None, typer.Option(help="On Ray, of each run, and its threads. By default 1.", show_default=False)
]
Keep = Annotated[
    str,
    typer.Option(
        help="Trained weights to keep in weights/ beside the records, without the base's own: best (of each "
        "configuration's seed that is best on validation), all (of every final run) or none. With LoRA they are a few "
        "MB, with full fine-tuning the whole network."
    ),
]
KeepLimit = Annotated[str, typer.Option(help="Disk that a study's kept weights may take.")]


def plan(
    study: Study,
    scale: Scale = "laptop",
    results: Results = RESULTS,
    device: Device = None,
    family: Family = None,
    jobs: Jobs = None,
    workers: OnPaper = None,
    studies: Folder = None,
    plugins: From = None,
) -> None:
    """Show what a study would run: methods, exact trainable parameters, estimated time and memory. Nothing is trained.

    Weights and data that are not cached yet are fetched, as the estimates need their sizes. With --workers, it also
    simulates how long the whole study takes on 1, 2, 4 and more workers, and says what binds it.

    Examples: `bench plan rank-sweep`, `bench plan rank-sweep --scale full --family text --from rescale.py`, `bench plan
    placement --workers 64`
    """
    file, added = find(study, studies), use(plugins)
    from bench.execution.launch import at_hand
    from bench.records import Records
    from bench.study import load
    from bench.study.plugins import joined

    parts = joined(load(file, scale, family=family), added)
    records = Records(results / parts[0].name / scale)
    where, shared = at_hand(parts, records, scale=scale, device=device, jobs=jobs)
    show_plan(parts, records, scale, device=where, jobs=shared.jobs, workers=workers)
    print(f"\nstudy:   {file}\nresults: {records.folder.resolve()}")


def show_plan(parts: Any, records: Any, scale: str, *, device: str, jobs: int, workers: int | None) -> None:
    """Prints the plan of every part of a study, and what it takes on up to so many workers."""
    from bench.execution import console, data_report
    from bench.execution.launch import planned
    from bench.study.schedule import of_parts

    console.older(records.all())
    every = []
    for part, rows, why in planned(parts, records, device, jobs=jobs, before=data_report.show):
        console.plan(part, scale, rows, device=device, jobs=jobs)
        if why:
            print(f"no estimate of the time: {why}")
        every.append(rows)
    console.families(parts, every, scale, jobs=jobs)
    if workers is not None:
        console.on_paper(of_parts(parts, records.all(), every, device=device), workers)


def run(
    study: Study,
    scale: Scale = "laptop",
    results: Results = RESULTS,
    device: Device = None,
    family: Family = None,
    mlflow: Mlflow = True,
    jobs: Jobs = None,
    storage: Storage = None,
    launcher: Launcher = "local",
    address: Address = None,
    gpus_per_run: Gpus = None,
    cpus_per_run: Cpus = None,
    keep: Keep = "best",
    keep_limit: KeepLimit = "4GiB",
    studies: Folder = None,
    plugins: From = None,
) -> None:
    """Run a study: tune, train, test, record, draw. What is recorded is not run again; Ctrl-C loses nothing.

    A run whose worker is killed, or whose machine on Ray, begins anew on another. `bench status` shows what runs where.

    Examples: `bench run rank-sweep --scale smoke --results build/results`, `bench run mine --studies my-studies`,
    `bench run rank-sweep --family text --from rescale.py`, `bench run placement --launcher ray --gpus-per-run 0.25`
    """
    file, added = find(study, studies), use(plugins)
    asked = {"--address": address, "--gpus-per-run": gpus_per_run, "--cpus-per-run": cpus_per_run}
    try:
        cluster = on_cluster(launcher, device, jobs, **asked)
        from bench.execution.launch import launch

        sound = launch(
            file, scale, results=results, device=device, mlflow=mlflow, family=family, jobs=jobs, storage=storage,
            cluster=cluster, keep=(keep, keep_limit), added=added,
        )  # fmt: skip
    except KeyboardInterrupt:
        print("\nbench: interrupted; what is recorded stays, the same command goes on from there", file=sys.stderr)
        raise SystemExit(130) from None
    raise typer.Exit(0 if sound else 1)


def status(results: Results = RESULTS) -> None:
    """Show what runs where: each run of each study that goes on under a results folder, its machine and its epoch.

    Examples: `bench status`, `bench status --results build/results`
    """
    from bench.execution import console
    from bench.execution.status import statuses

    found = statuses(results)
    if not found:
        print(f"nothing runs under {results}: bench run STUDY runs one")
    for about in found:
        console.running(about)


def on_cluster(launcher: str, device: str | None, jobs: int | None, **asked: Any) -> Any:
    """What is asked of a Ray cluster (`bench.execution.ray_cluster.Wanted`); None where runs stay on this machine.

    Raises:
        BadInput: an unknown launcher, an option that only a cluster has, or a device that a cluster does not.
    """
    if launcher not in LAUNCHERS:
        raise unknown("launcher", launcher, LAUNCHERS)
    if launcher == "local":
        if said := next((name for name, value in asked.items() if value is not None), None):
            raise BadInput(f"{said} is of a Ray cluster: say --launcher ray too")
        return None
    from bench.execution.ray_cluster import Wanted, ray

    if device not in (None, "cpu", "cuda"):
        raise BadInput(f"--device {device}: on Ray it is cpu or cuda, or left to what the cluster has")
    if jobs is not None and jobs < 1:
        raise BadInput(f"--jobs {jobs}: at least one run at a time")
    if device == "cpu" and asked["--gpus-per-run"]:
        raise BadInput("--device cpu and --gpus-per-run: say one of them")
    ray()
    gpus = {"cpu": 0.0, "cuda": 1.0, None: None}[device] if asked["--gpus-per-run"] is None else asked["--gpus-per-run"]
    return Wanted(asked["--address"], gpus, asked["--cpus-per-run"] if asked["--cpus-per-run"] is not None else 1)
