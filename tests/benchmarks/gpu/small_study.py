"""A small study from nothing to its page, with two runs at once on one device.

Random weights and digits: it needs no network. With Optuna and plotly as `bench run` does it; where one of them is not
there, the same final runs with default values, in the same worker processes, recorded and not drawn.
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from bench.execution.processes import Processes
from bench.methods import BitFit, FullFineTuning, LinearProbe, LoRA
from bench.models import Timm
from bench.records import Records
from bench.study import Study
from bench.study.recording import keep, made
from bench.study.trials import of_cells
from bench.study.tune import Tune
from bench.tasks import Images
from bench.training import Training
from bench.training.run import Run

JOBS = 2


def study(scale: str) -> Study:
    """Four methods on digits; at "smoke" for a machine without a GPU."""
    small = scale == "smoke"
    name, size = ("test_vit", 32) if small else ("vit_small_patch16_224", 96)
    return Study(
        name="gpu-check",
        question="Do two runs at once on one GPU end well?",
        tasks=(Images("digits", train=100, val=50, test=100) if small else Images("digits"),),
        models=(Timm(name, weights="random", image_size=size),),
        methods=(LinearProbe(), FullFineTuning(), LoRA(rank=4), BitFit()),
        training=Training(epochs=1 if small else 5),
        tune=Tune(trials=2),
        seeds=(0, 1),
    )


@dataclass
class _Job:
    run: Run


def without_search(declared: Study, scale: str, records: Records, device: str) -> list[dict[str, Any]]:
    """The final runs with default values, two at once, recorded."""
    wanted = [run for cell, trials in of_cells(declared, device).items() for run in trials.finals(cell, {})]
    found = []
    with Processes(JOBS, device, torch.get_num_threads(), lambda job, epoch, scores: None) as workers:
        while True:
            while wanted and workers.free:
                workers.start(_Job(wanted.pop(0)))
            ended = workers.ended()
            for each in ended:
                record = made(
                    declared, scale, records, each.job.run, each.outcome,
                    phase="final", started=each.started, device=device, jobs=JOBS,
                )  # fmt: skip
                keep(records, record | {"tuning": None})
                found.append(record)
            if not ended:
                break
    return found


def main(
    results: Annotated[Path, typer.Argument(help="Where records, figures and page go.")],
    device: str = "cuda",
    rehearsal: Annotated[bool, typer.Option(help="Small, for a machine without a GPU.")] = False,
) -> None:
    """Runs it, and fails unless every run ended well."""
    scale = "smoke" if rehearsal else "laptop"
    records = Records(results / "gpu-check" / scale)
    lacking = [name for name in ("optuna", "plotly") if not importlib.util.find_spec(name)]
    if not lacking:
        from bench.execution.launch import launch

        launch(Path(__file__), scale, results=results, device=device, mlflow=False, jobs=JOBS)
    else:
        print(f"without {' and '.join(lacking)}: final runs with default values alone")
        records.prepare()
        without_search(study(scale), scale, records, device)
    counted = Counter((record["phase"], record["status"]) for record in records.all())
    print("; ".join(f"{n} {phase} {status}" for (phase, status), n in sorted(counted.items())))
    if sum(n for (phase, status), n in counted.items() if (phase, status) == ("final", "ok")) != 8:
        raise SystemExit("not every final run ended well")


if __name__ == "__main__":
    typer.run(main)
