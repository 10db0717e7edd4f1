"""What training steps keep for their backward pass, as a record: what the figure of activations is drawn from.

`bench.training.activations` finds it, `bench.report.figures.activations` draws it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.costs.memory import Moment
from bench.records import write_atomically
from bench.records.environment import commit, versions
from bench.report.data.activations import RECORD
from bench.training.activations import Held
from bench.training.run import Run


def recorded(
    found: Sequence[tuple[Run, Moment, Sequence[Held]]], *, device: str, precision: str, setup: Mapping[str, Any]
) -> dict[str, Any]:
    """The record of several methods on one model.

    Args:
        found: of each run the peak of its step, and what its forward pass leaves.
        device: type of device that it holds for.
        precision: of products, and of the base where that is another.
        setup: how steps are carried out, where not as this suite trains.
    """
    first = found[0][0]
    return {
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **commit(),
        "versions": dict(versions()),
        "model": first.model.name,
        "model_spec": repr(first.model),
        "task": repr(first.task),
        "batch": first.training.batch_size,
        "device": device,
        "precision": precision,
        **({"setup": dict(setup)} if setup else {}),
        "runs": [_run(*each) for each in found],
    }


def keep(record: Mapping[str, Any], folder: Path) -> Path:
    """Writes the record."""
    text = json.dumps(record, indent=1, ensure_ascii=False)
    text = re.sub(r"\[[\d,\s]+\]", lambda numbers: "[" + ", ".join(re.findall(r"\d+", numbers[0])) + "]", text)
    return write_atomically(folder / RECORD, text + "\n")


def _run(run: Run, peak: Moment, held: Sequence[Held]) -> dict[str, Any]:
    method: Any = run.method
    return {
        "method": repr(method),
        "name": type(method).__name__,
        "config": asdict(method),
        "checkpointing": run.training.activation_checkpointing,
        "peak": peak.total,
        "breakdown": peak.breakdown,
        "held": [{**asdict(each), "places": list(each.places)} for each in held],
    }
