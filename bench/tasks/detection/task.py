"""Object detection: boxes with a class, on declared sets and on one's own pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench.errors import BadInput, unknown
from bench.models.backbone import Maps
from bench.records.outcomes import Outcomes
from bench.space import Range, Space
from bench.spec import Spec, check_numbers
from bench.tasks.classification import check_sizes
from bench.tasks.contract import Baseline, Data, Example
from bench.tasks.data_summary import Understood
from bench.tasks.detection.box_pools import Source, understood
from bench.tasks.detection.boxes import Boxes, BoxSplit
from bench.tasks.detection.detectors import Answers, Detector, check_detector, detector_head
from bench.tasks.detection.examples import example
from bench.tasks.detection.metrics import Detections, box_ap, box_outcomes, on_picture
from bench.tasks.detection.pixels import pixels
from bench.tasks.detection.sets import BOX_SETS
from bench.tasks.pools import Pool, split

HEAD = ("detector", "head_width", "head_depth")
EXAMPLES = 3
"""Test pictures that are shown."""
STAND_INS = 8
"""Boxes on a picture where costs are measured without data: COCO's have seven in the mean."""


class Kept(NamedTuple):
    """What is kept of a batch: its mean loss, and what was found on each picture, in that picture's own pixels."""

    loss: float
    found: list[Detections]


class BoxTask(Spec):
    """What all detection tasks share. The fields are its subclasses'."""

    family: ClassVar[str] = "detection"
    output: ClassVar[str] = "maps"
    metric: ClassVar[str] = "box_ap"
    smooths: ClassVar[bool] = False  # no detector here has a use for it
    spaces: ClassVar[dict[str, Space]] = {"LinearProbe": {"lr": Range(1e-4, 1e-2, log=True, default=1e-3)}}
    """A linear probe's own rates are for one layer; a whole detector on a frozen backbone diverges at most of them."""
    train: int | None
    val: int | None
    test: int | None
    detector: str
    head_width: int
    head_depth: int
    augment: bool

    def __post_init__(self) -> None:
        check_numbers(self)
        check_sizes(self)
        check_detector(self.detector, width=self.head_width, depth=self.head_depth)

    def source(self) -> Source:
        """All pictures with their boxes."""
        raise NotImplementedError

    @property
    def classes(self) -> int:
        """Number of classes, known without fetching anything where the set is declared."""
        return len(self.source().classes)

    @property
    def baselines(self) -> tuple[Baseline, ...]:
        """None."""
        return ()

    def pool(self) -> Pool:
        """All pictures."""
        return self.source().pool

    def fingerprint(self) -> str:
        """sha256 of all that is marked, and of what tells whether the pictures changed."""
        return self.pool().sha256

    def sizes(self) -> tuple[int, int, int]:
        """Pictures of train, validation and test.

        Raises:
            BadInput: fewer pictures than the split needs, or a part without any box.
        """
        train, val, test = self._split(self.source(), seed=0)
        return len(train), len(val), len(test)

    def understood(self) -> Understood:
        """Sizes of seed 0, boxes of every class in each part, and what was done to pictures and boxes."""
        source = self.source()
        return understood(source, self._split(source, seed=0))

    def data(self, inputs: Any, *, seed: int) -> Data:
        """Whole pictures as the backbone wants them; those of training resized, cut and mirrored at random.

        Raises:
            BadInput: fewer pictures than the split needs, a part without any box, or a picture that cannot be read.
        """
        source = self.source()
        parts = dict(zip(("train", "val", "test"), self._split(source, seed=seed), strict=True))
        provenance: dict[str, Any] = {"data_sha256": source.pool.sha256}
        made = {}
        for name, part in parts.items():
            made[name] = BoxSplit(
                pixels(source.pool, part, size=inputs.size, mean=inputs.mean), [source.truths[i] for i in part],
                size=inputs.size, mean=inputs.mean, std=inputs.std,
                augment=self.augment and name == "train", mirrored=(source.pool.flip, source.vertical),
            )  # fmt: skip
            boxes = sum(int((~source.truths[i].crowd).sum()) for i in part)
            provenance |= {f"{name}_samples": len(part), f"{name}_boxes": boxes}
        return Data(**made, provenance=provenance | dict(source.pool.removed))

    @property
    def class_names(self) -> tuple[str, ...]:
        """By index."""
        return tuple(self.source().classes)

    def head(self, width: Maps, classes: int = 0) -> Detector:
        """A pyramid and a detector on the backbone's maps; the pretrained ones where the model brings them.

        Args:
            width: what the backbone gives.
            classes: how many, where the data need not be there; 0 for those of the data.

        Raises:
            BadInput: it brings them, and the task asks for others.
        """
        asked = [f.name for f in fields(self) if f.name in HEAD and getattr(self, f.name) != f.default]  # type: ignore[arg-type]
        if width.head is not None and asked:
            raise BadInput(f"{self!r} on a model that brings its own detector: leave {' and '.join(asked)} out")
        return detector_head(
            self.detector, width, classes or self.classes, width=self.head_width, depth=self.head_depth
        )

    def stand_ins(self, inputs: Tensor) -> Boxes:
        """`STAND_INS` boxes of the first class on each picture, along its diagonal, each larger than the one before."""
        side = torch.arange(1, STAND_INS + 1, device=inputs.device)[:, None] / (2 * STAND_INS)
        boxes = torch.cat([side / 2, side / 2, side * 3 / 2, side * 3 / 2], dim=1) * inputs.shape[-1]
        n = len(inputs)
        return Boxes((boxes,) * n, (torch.zeros_like(boxes[:, 0], dtype=torch.int64),) * n, ())

    def loss(self, outputs: Answers, targets: Boxes, *, smoothing: float = 0.0) -> Tensor:
        """The detector's own loss. `smoothing` is for classifiers: no detector here has a use for it."""
        return outputs.losses(targets)

    def keep(self, outputs: Answers, targets: Boxes) -> Kept:
        """The loss, and what was found."""
        found = [
            on_picture({name: value.float().cpu().numpy() for name, value in each.items()}, truth)
            for each, truth in zip(outputs.detections(), targets.truths, strict=True)
        ]
        return Kept(outputs.losses(targets).item(), found)

    def metrics(self, outputs: Sequence[Kept], targets: Sequence[Boxes]) -> dict[str, float]:
        """COCO's average precision and recall, as `box_ap`; the loss as a mean over batches, weighted by pictures.

        FCOS divides its loss by the matched places of a whole batch: it depends a little on how large batches are.
        """
        found = [each for kept in outputs for each in kept.found]
        truths = [truth for boxes in targets for truth in boxes.truths]
        loss = sum(kept.loss * len(kept.found) for kept in outputs) / max(1, len(found))
        return {**box_ap(found, truths, self.classes), "loss": loss}

    def outcomes(self, outputs: Sequence[Kept], targets: Sequence[Boxes], ids: np.ndarray) -> Outcomes:
        """As `box_outcomes`."""
        found = [each for kept in outputs for each in kept.found]
        return box_outcomes(found, [truth for boxes in targets for truth in boxes.truths], self.classes, ids)

    def examples(self, outputs: Sequence[Kept], targets: Sequence[Boxes]) -> list[Example]:
        """Pictures with boxes, spread over the split: the first, the last and one between."""
        source = self.source()
        pairs = [
            pair
            for kept, boxes in zip(outputs, targets, strict=True)
            for pair in zip(kept.found, boxes.truths, strict=True)
            if not pair[1].crowd.all()
        ]
        chosen = sorted({int(i) for i in np.linspace(0, len(pairs) - 1, EXAMPLES)}) if pairs else []
        return [example(source, *pairs[i]) for i in chosen]

    def _split(self, source: Source, *, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        parts = split(source.pool, train=self.train, val=self.val, test=self.test, seed=seed)
        for name, part in zip(("train", "validation", "test"), parts, strict=True):
            if not any((~source.truths[i].crowd).any() for i in part):
                why = "there is nothing to train on" if name == "train" else "AP is not defined"
                where = f"{source.pool.name}: no box is marked on the {len(part)} pictures of the {name} part"
                raise BadInput(f"{where}: {why}")
        return parts


@dataclass(frozen=True, repr=False)
class Detection(BoxTask):
    """A declared set for detection (`bench tasks` lists them).

    Args:
        set: name of the set, e.g. "tree-crowns".
        train, val, test: pictures of each; None for the set's default, which is all but those to validate on.
        detector: "fcos" (arXiv:1904.01355), "retinanet" (arXiv:1708.02002) or "fasterrcnn" (arXiv:1506.01497); a
            model that brings a pretrained detector uses that instead.
        head_width: channels of pyramid and detector, a multiple of 32.
        head_depth: convolutions of each of the detector's towers, 1 to 4.
        augment: resize training pictures by 0.7 to 1.4, cut and, where the set allows, mirror them at random.
        root: folder of "coco", "voc2007" or "voc2012"; None for the cache.
    """

    set: str
    train: int | None = None
    val: int | None = None
    test: int | None = None
    detector: str = "fcos"
    head_width: int = 64
    head_depth: int = 2
    augment: bool = True
    root: str | None = None

    def __post_init__(self) -> None:
        if self.set not in BOX_SETS:
            raise unknown("set for detection", str(self.set), BOX_SETS)
        if self.root is not None and not isinstance(self.root, str):
            raise BadInput(f"root={self.root!r}: give a folder, as text")
        super().__post_init__()

    @property
    def name(self) -> str:
        """The set's name."""
        return self.set

    @property
    def classes(self) -> int:
        """Number of classes, from the declaration."""
        return BOX_SETS[self.set].classes

    def source(self) -> Source:
        """All pictures of the set with their boxes."""
        return _declared(self.set, self.root)


@lru_cache(maxsize=8)
def _declared(name: str, root: str | None) -> Source:
    return BOX_SETS[name].load(root)
