"""Estimates for the settings of published figures of memory, kept as a record: what the page is drawn from.

`bench.costs.published` has the figures, `bench.report.page.published_page` draws the page.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bench.models as model_table
import bench.tasks as task_table
from bench.costs.published import MARGIN, Figure
from bench.costs.published import figures as all_figures
from bench.errors import BadInput
from bench.methods import METHODS
from bench.models import HuggingFace, text_weights
from bench.records import write_atomically
from bench.records.environment import commit, versions
from bench.report.data.published import RECORD
from bench.spec import parse
from bench.tasks import LanguageModelling
from bench.training import detector_step
from bench.training.gpu_setup import CONTEXT, Setup
from bench.training.gpu_step import Estimate, estimate
from bench.training.recipe import Training
from bench.training.run import Run


def estimated(figures: Iterable[Figure], *, told: Callable[[Figure], None] = lambda figure: None) -> dict[str, Any]:
    """The record: every figure as published, and ours for the same settings.

    Args:
        figures: of `bench.costs.published`.
        told: called with each before it is estimated.
    """
    start, rows, at = time.perf_counter(), [], commit()
    found: dict[Any, Estimate | BadInput] = {}
    for figure in figures:
        told(figure)
        when = datetime.now(UTC).isoformat(timespec="seconds")
        rows.append({**_row(figure, found), "estimated_at": when, "git_sha": at["git_sha"]})
    return {
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **at,
        "versions": dict(versions()),
        "margin": MARGIN,
        "seconds": round(time.perf_counter() - start, 1),
        "figures": rows,
    }


def merged(record: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The record of some figures with the others of the one that is there.

    Raises:
        BadInput: none is there.
    """
    if not (folder / RECORD).is_file():
        raise BadInput(f"no record in {folder} to update: leave the names out, for all figures")
    before = json.loads((folder / RECORD).read_text("utf-8"))
    by_id = {
        row["id"]: {"estimated_at": before["created_at"], "git_sha": before["git_sha"]} | row
        for row in before["figures"]
    }
    by_id |= {row["id"]: row for row in record["figures"]}
    known = [each.id for each in all_figures()]
    return {**record, "figures": [by_id[name] for name in known if name in by_id]}


def keep(record: Mapping[str, Any], folder: Path) -> Path:
    """Writes the record."""
    return write_atomically(folder / RECORD, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def _row(figure: Figure, found: dict[Any, Estimate | BadInput]) -> dict[str, Any]:
    """Of a figure; `found` has the estimates so far, by what was estimated."""
    published = {
        "id": figure.id, "measured": figure.measured, "bytes": figure.bytes, "said": figure.said, "line": figure.line,
        "source": asdict(figure.source), "settings": dict(figure.settings),
    }  # fmt: skip
    wanted = as_published(figure)
    if wanted not in found:
        gc.collect()
        found[wanted] = _estimate(*wanted)
    ours = found[wanted]
    if isinstance(ours, BadInput):
        return {**published, "estimate": None, "why": str(ours)}
    phases = {phase: moment.total for phase, moment in ours.phases.items()}
    parts = ours.phases[ours.phase].breakdown
    return {**published, "estimate": _of(ours, figure), "phase": ours.phase, "breakdown": parts, "phases": phases}


def _estimate(what: Run | detector_step.Detector, setup: Setup) -> Estimate | BadInput:
    try:
        if isinstance(what, detector_step.Detector):
            return detector_step.estimate(what, setup)
        return estimate(what, setup)
    except BadInput as error:
        return error


def as_published(figure: Figure) -> tuple[Run | detector_step.Detector, Setup]:
    """What to estimate for a figure's settings, and how it is carried out."""
    of = figure.settings
    first = of["checkpointing"].partition(" of ")[0]
    setup = Setup(
        base=of["base"],
        adapter=of.get("adapter", ""),
        autocast="autocast" in of["precision"],
        attention="sdpa" if of["attention"] == "none" else of["attention"],
        optimizer=of["optimizer"],
        update=of["update"],
        clip=bool(of.get("clip")),
        dropout=of.get("dropout", 0.0) if "size" in of else 0.0,
        checkpointed=int(first) if first.isdigit() else 0,
        gradients=of.get("gradients", "freed"),
        accumulation=of["accumulation"],
        cache=of.get("cache", False),
        gpus=of["gpus"],
        context=of.get("context_mib", CONTEXT >> 20) << 20,
    )
    if of["loss"] == "boxes":
        how = {key: of[key] for key in ("boxes", "norms", "stages")}
        return detector_step.Detector(of["model"], of["batch"], of["shorter"], of["size"], **how), setup
    model, task = _model(of)
    method: Any = parse(of["method"], known=METHODS, kind="method")
    training = Training(batch_size=of["batch"], activation_checkpointing=of["checkpointing"] == "blocks")
    return Run(task, model, method, training, seed=0), setup


def _model(of: Mapping[str, Any]) -> tuple[Any, Any]:
    """Model and task."""
    if "length" in of:
        model: Any = HuggingFace(of["model"], max_length=of["length"], dropout=of.get("dropout", 0.0))
    else:
        model = model_table.resolve(of["model"])
    if of["loss"] != "classes":
        return model, LanguageModelling(of["loss"])
    return model, task_table.resolve(task_table.USUAL[model.families[0]])


def _of(found: Estimate, figure: Figure) -> int:
    """What was measured, of an estimate."""
    kept = figure.settings.get("outputs") == "kept"
    after = found.after + _outputs(figure.settings) if kept else found.after - found.gradients
    sizes = {"allocated": found.allocated, "reserved": found.reserved, "nvidia-smi": found.shown, "after step": after}
    return sizes[figure.measured]


def _outputs(of: Mapping[str, Any]) -> int:
    """Bytes of what a decoder's forward pass gave: 16-bit logits, keys and values of every block."""
    sizes = text_weights.find(of["model"], weights="pretrained", revision="", meta=True).config
    head = getattr(sizes, "head_dim", None) or sizes.hidden_size // sizes.num_attention_heads
    keys_and_values = 2 * sizes.num_hidden_layers * sizes.num_key_value_heads * head
    return int(of["batch"] * of["length"] * 2 * (sizes.vocab_size + keys_and_values))
