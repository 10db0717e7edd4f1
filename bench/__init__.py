"""LoRA Bench: which fine-tuning method, with how much rank, and where in the network?

A package is a stage of the way from a study file to a page; a higher one may import a lower one, never the reverse.

- cli: what a person types.
- execution: carries a study out: launch, runner, workers, search (Optuna), callbacks.
- deploy: what becomes of a trained run: loaded, used on new files, exported.
- study: what is to be run, and how a run becomes a record.
- training: one run: recipe, loop, inference, retention, memory forecast, method checks.
- tasks: what is learned: data, head, loss, metrics; images, text, detection.
- models: what is adapted: timm, transformers, torchvision, and their sites by role.
- methods: what is trained: one file a method.
- report: from records to data, figures, tables and pages; claims.
- tracking: MLflow.
- records: the only truth: one JSON file a run.
- assets: where weights and data come from.
- costs: memory, time and energy of a step.
- stats: intervals, paired differences, aggregates, fronts.

What all of them speak: errors, spec (specifications as text), sites (roles of layers), space (search spaces).
CONTRIBUTING.md says where a new metric, sampler, data format or figure goes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from bench.deploy import Trained
    from bench.execution.tried import Tried

__version__ = "0.1.0"


def load(study: str, *, scale: str = "laptop", results: str | Path = "results") -> pd.DataFrame:
    """The records of a study as a tidy table, for notebooks: `bench.load("rank-sweep")`.

    Args:
        study: its name; "rank-sweep" and "rank_sweep" are the same.
        scale: "smoke", "laptop", "overnight" or "full".
        results: the folder with the records.

    Returns:
        One row a run, split and metric: `bench.report.tables.tidy.tidy`.

    Raises:
        BadInput: no such records (did you mean).
    """
    from bench.errors import BadInput, unknown  # here: `import bench` must cost nothing
    from bench.records import Records, at_scale
    from bench.report.tables.tidy import tidy

    known = at_scale(Path(results), scale)
    name = study.replace("_", "-")
    if not known:
        raise BadInput(f"no records at scale {scale!r} under {str(results)!r}: run a study first, or name the folder")
    if name not in known:
        raise unknown(f"study with records at scale {scale}", name, known)
    return tidy(Records(Path(results) / name / scale).all())


def try_(
    data: str | Path, *, text: str | tuple[str, str] | None = None, label: str | None = None, metric: str = "",
    budget: str | float = "20m", memory: str | float | None = None, model: object = None, name: str = "",
    results: str | Path = "results", device: str | None = None, jobs: int | None = None,
) -> Tried:  # fmt: skip
    """What `bench try` does, for notebooks: `bench.try_("pictures/")` recommends a method for data of one's own.

    Args:
        data: a folder of pictures or boxes, or a table of texts.
        text, label: columns of a table; found where nothing is said.
        budget: seconds, or as "20m".
        memory: bytes that training may take, or as "8GiB"; what is free where nothing is said.
        metric: what is to be good, such as "macro_f1"; the task's own without.
        model: a specification (`bench.models`), or its text; the best whose weights are here without.
        name, results: of the results, the data's own without, and their folder.
        device, jobs: torch device and runs at once; a GPU if there is one, and as many as pay.

    Returns:
        `advice` in sentences; `methods`, `classes`, `mistakes` and `curve` as frames of pandas; `page`, a file.

    Raises:
        BadInput: data, columns, a budget or a memory with which nothing can be done, in a line.
    """
    from importlib import import_module

    from bench.costs.units import seconds, size

    trying = import_module("bench.execution.own_data")  # so that who imports `bench` is not said to need torch
    wanted = trying.Wanted(
        str(data), text, label, budget=seconds(str(budget)), memory=None if memory is None else size(str(memory)),
        metric=metric, model=model if isinstance(model, str) or model is None else repr(model), name=name,
        results=Path(results), device=device, jobs=jobs,
    )  # fmt: skip
    found: Tried = trying.try_data(wanted)
    return found


def load_model(run: str | Path, *, results: str | Path = "results", device: str | None = None) -> Trained:
    """The trained network of a run, for notebooks: `bench.load_model("3f9a").predict(["new.png"])`.

    Args:
        run: its id or first digits, or the path of its record or of its kept weights.
        results: folder of the records.
        device: torch device; a GPU if there is one.

    Returns:
        `predict` makes a frame of pandas of files, pictures or texts.

    Raises:
        BadInput: no such run, or weights that were not kept, were changed, or are of another version or backbone.
    """
    from importlib import import_module

    found: Trained = import_module("bench.deploy").load_model(run, results=results, device=device)
    return found
