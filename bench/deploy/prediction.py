"""What a trained network predicts for new samples: classes with probabilities, a number, or boxes."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bench.deploy.loading import Trained
from bench.deploy.samples import Batch, Sample, batches, blank, listed
from bench.errors import BadInput
from bench.tasks.detection.metrics import on_picture

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Predicted:
    """What is predicted for one sample.

    Args:
        sample: what for.
        classes: (name, probability), the likeliest first.
        value: the number that is predicted, where that is what was learned.
        boxes: (name, score, x1, y1, x2, y2) in the picture's own pixels, the highest score first.
        size: width and height of a picture.
    """

    sample: Sample
    classes: list[tuple[str, float]] = field(default_factory=list)
    value: float | None = None
    boxes: list[tuple[str, float, float, float, float, float]] = field(default_factory=list)
    size: tuple[int, int] = (0, 0)

    def row(self) -> dict[str, Any]:
        """As a line of JSON has it."""
        if self.value is not None:
            return {"input": self.sample.title, "value": self.value}
        if not self.classes:
            keys = ("class", "score", "x1", "y1", "x2", "y2")
            found = [dict(zip(keys, box, strict=True)) for box in self.boxes]
            return {"input": self.sample.title, "width": self.size[0], "height": self.size[1], "boxes": found}
        (name, probability), *_ = self.classes
        also = [{"class": each, "probability": p} for each, p in self.classes]
        more = {"top": also} if len(also) > 1 else {}
        return {"input": self.sample.title, "class": name, "probability": probability, **more}


@dataclass
class Stream:
    """Predictions in the order of the samples, as they come, and what could not be read.

    Args:
        trained: who predicts.
        samples: what for.
        top, batch, score: as for `Trained.predict`.
    """

    trained: Trained
    samples: Sequence[Sample]
    top: int = 1
    batch: int = 32
    score: float = 0.3
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.top < 1 or self.batch < 1 or not 0 <= self.score <= 1:
            raise BadInput(f"top={self.top}, batch={self.batch}, score={self.score}: give ≥ 1, ≥ 1 and from 0 to 1")
        if self.trained.run.task.output not in ("pooled", "maps"):
            raise BadInput(f"{self.trained.run.task!r}: spans and texts are not predicted here, only classes and boxes")

    def __iter__(self) -> Iterator[Predicted]:
        for batch in batches(self.trained, self.samples, self.batch):
            self.skipped += batch.skipped
            if batch.split is not None:
                yield from self._of(batch)

    def _of(self, batch: Batch) -> list[Predicted]:
        made = outputs(self.trained, batch)
        if self.trained.family == "detection":
            return [self._boxes(*each) for each in zip(batch.samples, made, batch.sizes, strict=True)]
        assert batch.split is not None
        order, logits = np.argsort(batch.split.ids).tolist(), made.float().cpu()
        return [self._classes(batch.samples[i], logits[i]) for i in order]

    def _classes(self, sample: Sample, logits: torch.Tensor) -> Predicted:
        if not self.trained.classes:
            return Predicted(sample, value=float(logits.squeeze()))
        best = logits.double().softmax(-1).sort(descending=True, stable=True)
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        named = [(self.trained.classes[i], p) for i, p in pairs]
        return Predicted(sample, named[: self.top])

    def _boxes(self, sample: Sample, found: dict[str, torch.Tensor], size: tuple[int, int]) -> Predicted:
        truth = blank(*size).inside(self.trained.backbone.inputs.size)
        there = on_picture({name: tensor.float().cpu().numpy() for name, tensor in found.items()}, truth)
        rows = zip(there.boxes.tolist(), there.labels.tolist(), there.scores.tolist(), strict=True)
        kept = [(self.trained.classes[label], s, *box) for box, label, s in rows if s >= self.score]
        return Predicted(sample, boxes=kept, size=size)


@torch.no_grad()
def outputs(trained: Trained, batch: Batch) -> Any:
    """Logits (N, classes) of a batch, or what is found on each picture, in float32."""
    assert batch.split is not None
    inputs = batch.split.inputs(torch.arange(len(batch.split))).to(trained.device)
    made = trained.network(inputs)
    return made.detections() if trained.family == "detection" else made


def frame(trained: Trained, given: Iterable[Any] | str | Path, *, top: int, batch: int, score: float) -> pd.DataFrame:
    """Predictions as a frame: "input", then "class" and "probability" ("class_2", "probability_2", … of the next
    likely ones), or "value"; of boxes a row each: "class", "score", "x1", "y1", "x2", "y2".

    Raises:
        BadInput: as `Trained.predict`.
    """
    import pandas as pd

    stream = Stream(trained, listed(trained, given), top, batch, score)
    rows = [row for each in stream for row in flat(each)]
    if stream.skipped:
        named = "; ".join(f"{title}: {reason}" for title, reason in stream.skipped[:3])
        more = ", …" * (len(stream.skipped) > 3)
        if len(stream.skipped) == len(stream.samples):
            raise BadInput(f"none of {len(stream.samples)} files can be read: {named}{more}")
        warnings.warn(f"skipped {len(stream.skipped)} of {len(stream.samples)}: {named}{more}", stacklevel=3)
    columns = ["input", "class", "score", "x1", "y1", "x2", "y2"] if trained.family == "detection" else None
    found = pd.DataFrame(rows, columns=columns)
    found.attrs["skipped"] = stream.skipped
    return found


def flat(each: Predicted) -> list[dict[str, Any]]:
    """Rows of a table: one, or of boxes one each."""
    row = each.row()
    if "boxes" in row:
        return [{"input": row["input"], **box} for box in row["boxes"]]
    for number, other in enumerate(row.pop("top", [])[1:], start=2):
        row |= {f"{key}_{number}": value for key, value in other.items()}
    return [row]
