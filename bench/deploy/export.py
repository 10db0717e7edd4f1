"""`bench export`: a trained run in other tools' formats, each checked before it is called done."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.deploy import card, onnx_boxes
from bench.deploy.adapter import write_adapter
from bench.deploy.loading import Trained
from bench.deploy.merged import Plain, merged, write_merged
from bench.deploy.onnx_graph import write_onnx
from bench.deploy.served import write_served
from bench.errors import BadInput, unknown
from bench.records import write_atomically

FORMS = ("adapter", "merged", "onnx", "mlflow", "model-card")
EXACT, ONNX = 1e-5, 1e-4
"""Largest difference of outputs that is allowed, as a share of the largest output (at least of 1)."""
MOST = 64
"""Validation samples that an export is checked on."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        folder: where.
        said: what it is, in words.
        difference: the largest of outputs, as a share of the largest output; None where there is nothing to compare.
        samples: that were compared.
        lines: of Python that load it without this package.
    """

    folder: Path
    said: str
    difference: float | None = None
    samples: int = 0
    lines: tuple[str, ...] = ()


def export(trained: Trained, to: str, folder: Path) -> Exported:
    """Writes a run in a format, into a folder of its own, whole or not at all.

    Args:
        trained: the run.
        to: one of `FORMS`.
        folder: that is made; it must not hold anything yet.

    Raises:
        BadInput: another format, a folder that holds something, a method or network that has no such form, or outputs
            that differ.
    """
    if to not in FORMS:
        raise unknown("export", to, FORMS)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder} is there already and holds something: name another one with --out")
    making = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        making.mkdir(parents=True, exist_ok=True)
        found = _written(trained, to, making)
        with suppress(OSError):
            folder.rmdir()
        os.replace(making, folder)
    except OSError as error:
        raise BadInput(
            f"cannot write {folder} ({error.strerror or error}): make room, or name another folder"
        ) from None
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return Exported(folder, *found)


def _written(trained: Trained, to: str, folder: Path) -> tuple[str, float | None, int, tuple[str, ...]]:
    said, difference, count, lines = "", None, 0, tuple[str, ...]()
    if to == "merged":
        network = merged(trained)
        plain = write_merged(trained, network, folder)
        said, lines = "the whole network, merged", plain.lines
        difference, count = _checked(trained, plain, EXACT)
    elif to == "adapter":
        found, said = write_adapter(trained, folder)
        if found is not None:
            lines = found.lines
            difference, count = _checked(trained, found, EXACT)
    elif to == "onnx" and trained.family == "detection":
        said, lines = "an ONNX graph of one picture at a time", onnx_boxes.LINES
        difference, count = onnx_boxes.write_boxes(trained, samples(trained), folder / "model.onnx", ONNX)
    elif to == "onnx":
        inputs = samples(trained)
        run = write_onnx(trained, _part(inputs, 0, 2), folder / "model.onnx")
        if trained.family == "text":
            trained.backbone.inputs.tokenizer.save_pretrained(folder)
        said, lines = "an ONNX graph with a free batch", card.ONNX_LINES
        compared = [compare(trained, run, _part(inputs, start, stop), ONNX) for start, stop in ((0, 1), (0, MOST))]
        difference, count = max(compared), _length(inputs)
    elif to == "mlflow":
        said, lines = write_served(trained, folder), card.MLFLOW_LINES
    write_atomically(folder / "README.md", card.text(trained, to, lines, difference))
    return said or "a model card", difference, count, lines


def samples(trained: Trained) -> Any:
    """Inputs of the run's validation part; examples where the data are not there."""
    try:
        split = trained.run.task.data(trained.backbone.inputs, seed=trained.run.seed).val
    except (BadInput, OSError):
        return trained.backbone.example(8)
    count = min(MOST if trained.family != "detection" else 4, len(split))
    return split.inputs(torch.arange(count)).to(trained.device)


def _length(inputs: Any) -> int:
    return len(inputs) if isinstance(inputs, Tensor) else len(inputs["input_ids"])


def _part(inputs: Any, start: int, stop: int) -> Any:
    """Some samples; where there is but one it stands twice."""
    if isinstance(inputs, Tensor):
        some = inputs[start:stop]
        return torch.cat([some, some]) if stop - start > len(some) == 1 else some
    return {name: _part(tensor, start, stop) for name, tensor in inputs.items()}


def _checked(trained: Trained, plain: Plain, most: float) -> tuple[float, int]:
    inputs = samples(trained)
    return compare(trained, plain.load(), inputs, most), _length(inputs)


@torch.no_grad()
def compare(trained: Trained, loaded: Callable[[Any], Any], inputs: Any, most: float) -> float:
    """The largest difference from what the trained network gives, as a share of the largest output (at least of 1).

    Of a detector the maps of its pyramid are compared; what stands on them is the same tensors.

    Raises:
        BadInput: it is larger than `most`.
    """
    network = trained.network.eval()
    wanted = network(inputs).maps if trained.family == "detection" else (network(inputs),)
    made = loaded(inputs)
    made = getattr(made, "maps", made)
    made = made if isinstance(made, tuple) else (made,)
    size = max(1.0, max(float(each.abs().max()) for each in wanted))
    pairs = zip(wanted, made, strict=True)
    found = max(float((a.float().cpu() - b.float().cpu()).abs().max()) for a, b in pairs) / size
    if not found <= most:
        raise BadInput(
            f"the export gives other outputs than the run (by {found:.2g}, {most:g} is allowed): not written"
        )
    return found
