"""LoRA Bench: which fine-tuning method, with how much rank, and where in the network?

A package is a stage of the way from a study file to a page; a higher one may import a lower one, never the reverse.

- cli: what a person types.
- execution: carries a study out: launch, runner, workers, search (Optuna), callbacks.
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
