"""What the parts wrote, as a table and a page: estimated beside measured, and how far apart they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from bench.report.tables import markdown
from tests.benchmarks.gpu.memory import training_peak

MIB = 2**20
PARTS = ("part", "ended", "seconds")


def lines(file: Path) -> list[dict[str, Any]]:
    """The lines of a file that say how a cell ended."""
    if not file.exists():
        return []
    return [line for text in file.read_text().splitlines() if "began" not in (line := json.loads(text))]


def table(folder: Path) -> pd.DataFrame:
    """A row a cell: its settings, bytes estimated and measured, and the error of the estimate, in per cent.

    Args:
        folder: with `estimated.jsonl` and `measured.jsonl`.

    Returns:
        Columns of the settings, then `estimated`, `allocated` (of CUDA's allocator; on a CPU the live bytes of real
        tensors), `reserved`, `process` (NVML), `device` (all in use), `evaluation_estimated`, `evaluation_allocated`,
        `error` = 100·(estimated/allocated − 1), and `failed`.
    """
    of_estimate = {line["cell"]: line for line in lines(folder / "estimated.jsonl")}
    rows = []
    for line in lines(folder / "measured.jsonl"):
        told = of_estimate.get(line["cell"], {})
        estimate, found = told.get("estimated", {}), line.get("measured", {})
        train, evaluation = found.get("train", {}), found.get("evaluation", {})
        rows.append(
            {key: line[key] for key in ("model", "method", "batch", "precision", "checkpointing")}
            | {
                "estimated": training_peak(estimate),
                "allocated": train.get("allocated", train.get("tracked")),
                **{key: train.get(key) for key in ("reserved", "process", "device")},
                **{f"{key}_estimated": estimate.get(key) for key in ("reserved", "process") if key in estimate},
                "evaluation_estimated": estimate.get("evaluation"),
                "evaluation_allocated": evaluation.get("allocated"),
                "failed": line.get("failed") or told.get("failed") or ("" if told else "not estimated in time"),
            }
        )
    found = pd.DataFrame(rows)
    if len(found):
        found["error"] = 100 * (found["estimated"].astype(float) / found["allocated"].astype(float) - 1)
    return found


def page(folder: Path, parts: list[dict[str, Any]], about: dict[str, Any], *, wanted: int = 0) -> str:
    """The page, in Markdown; `wanted` is how many cells there are."""
    found = table(folder)
    said = ["# GPU check", "", *(f"- {key}: {value}" for key, value in about.items()), "", "## Parts", ""]
    said.append(markdown.table(PARTS, [(part["name"], part["ended"], f"{part['seconds']:.0f}") for part in parts]))
    said += ["", "## Memory: estimated against measured", ""]
    if len(found) < wanted:
        said += [f"{len(found)} of {wanted} cells were measured; for the others the time was too short.", ""]
    sound = found[found["failed"] == ""] if len(found) else found
    if len(sound):
        errors = sound["error"]
        said.append(
            f"{len(sound)} cells: median error {errors.median():+.1f} %, of its size {errors.abs().median():.1f} %, "
            f"from {errors.min():+.1f} to {errors.max():+.1f} %; {len(found) - len(sound)} failed."
        )
        said += ["", _by(sound, ["model", "precision", "checkpointing"]), "", _by(sound, ["method"])]
        worst = sound.reindex(errors.abs().sort_values(ascending=False).index).head(10)
        said += ["", "The ten furthest apart:", "", _rows(worst)]
    for _, row in found[found["failed"] != ""].iterrows() if len(found) else ():
        said.append(f"- failed: `{row['method']}` on `{row['model']}`, {row['precision']}: {row['failed']}")
    return "\n".join(said) + "\n"


def _by(found: pd.DataFrame, keys: list[str]) -> str:
    """Errors by group, as a table."""
    rows = []
    for names, part in found.groupby(keys, sort=False):
        e = part["error"]
        rows.append((*names, len(part), *(f"{value:+.1f}" for value in (e.median(), e.min(), e.max()))))
    return markdown.table((*keys, "cells", "median error, %", "lowest", "highest"), rows)


def _rows(found: pd.DataFrame) -> str:
    settings = ["model", "method", "batch", "precision", "checkpointing"]
    rows = [
        (*row[settings], *(f"{row[key] / MIB:,.2f}" for key in ("estimated", "allocated")), f"{row['error']:+.1f}")
        for _, row in found.iterrows()
    ]
    return markdown.table((*settings, "estimated, MiB", "measured, MiB", "error, %"), rows)
