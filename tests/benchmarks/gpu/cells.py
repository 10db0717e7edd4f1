"""Which steps are measured: every method on networks of three families, in the order in which they tell most."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

from bench.methods import Method
from bench.models import HuggingFace, Timm, Torchvision
from bench.tasks import Detection, Images, Task, Text
from bench.training import Training
from bench.training.run import Run
from studies.costs import FEW, METHODS, ON_CONVOLUTIONS


@dataclass(frozen=True)
class Case:
    """A network at a batch size, and the methods that fit it."""

    task: Task
    model: Any
    batch: int
    methods: tuple[Method, ...]


@dataclass(frozen=True)
class Cell:
    """One step that is measured."""

    run: Run

    @property
    def name(self) -> str:
        """Tells it from all others; the same on every machine."""
        how = self.run.training
        kept = ", checkpointing" if how.activation_checkpointing else ""
        return f"{self.run.model.name} {self.run.method!r} batch {how.batch_size} {how.precision}{kept}"

    @property
    def described(self) -> dict[str, Any]:
        """Its settings, for the table."""
        how = self.run.training
        return {
            "cell": self.name,
            "model": repr(self.run.model),
            "method": repr(self.run.method),
            "batch": how.batch_size,
            "precision": how.precision,
            "checkpointing": how.activation_checkpointing,
        }


def _vit(name: str) -> Timm:
    return Timm(f"vit_{name}_patch16_224", weights="random", image_size=224)


def _text(name: str, length: int) -> HuggingFace:
    return HuggingFace(name, weights="random", max_length=length)


DIGITS, NAMES, BOXES = Images("digits"), Text("unicode-names"), Detection("composited-digits")
ON_GPU = (
    Case(DIGITS, _vit("base"), 64, METHODS),
    Case(NAMES, _text("bert-base-uncased", 128), 64, METHODS),
    Case(BOXES, Torchvision("fcos_resnet50_fpn", weights="random", image_size=320), 16, ON_CONVOLUTIONS),
    Case(NAMES, _text("gpt2", 256), 16, METHODS),
    Case(DIGITS, _vit("large"), 32, METHODS),
    Case(DIGITS, _vit("small"), 128, METHODS),
    Case(NAMES, _text("bert-large-uncased", 128), 32, METHODS),
)
REHEARSAL = (
    Case(DIGITS, Timm("test_vit", weights="random", image_size=32), 4, FEW),
    Case(NAMES, _text("test-bert", 16), 4, FEW),
    Case(BOXES, Timm("test_resnet", weights="random", image_size=64), 2, ON_CONVOLUTIONS[:2]),
)
SETTINGS = tuple(product((False, True), ("bf16", "fp32")))
"""Checkpointing and precision: those without the first, since most people train so."""


def cells(*, rehearsal: bool) -> list[Cell]:
    """All steps: for each setting every network, and for each network every method."""
    return [
        Cell(Run(case.task, case.model, method, _training(case, precision, checkpointing), seed=0))
        for checkpointing, precision in SETTINGS
        for case in (REHEARSAL if rehearsal else ON_GPU)
        for method in case.methods
    ]


def _training(case: Case, precision: str, checkpointing: bool) -> Training:
    return Training(batch_size=case.batch, precision=precision, activation_checkpointing=checkpointing)
