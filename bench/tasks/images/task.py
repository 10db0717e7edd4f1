"""Image classification in the low-data protocol."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Generator, Tensor

from bench.errors import BadInput, unknown
from bench.tasks.caches import stamps
from bench.tasks.classification import Classification, check_sizes
from bench.tasks.contract import Baseline, Data, shuffled
from bench.tasks.folder_listing import below
from bench.tasks.images.class_folders import folder_pool
from bench.tasks.images.colours import ColourHistogram
from bench.tasks.images.corruptions import CORRUPTIONS, corrupted
from bench.tasks.images.decode import decoded
from bench.tasks.images.sets import IMAGE_SETS
from bench.tasks.pictures import WHITE, colour
from bench.tasks.pools import Pool, split


class _ImageTask(Classification):
    """What both kinds of picture sets share."""

    family: ClassVar[str] = "images"
    flip: bool | None

    def data(self, inputs: Any, *, seed: int) -> Data:
        """The pictures as the backbone wants them, mirrored ones as a second view.

        Raises:
            BadInput: fewer pictures than the split needs, or too many that cannot be read.
        """
        pool = self.pool()
        parts = split(pool, train=self.train, val=self.val, test=self.test, seed=seed)
        flip = pool.flip if self.flip is None else self.flip
        train, val, test = (
            ImageSplit(*decoded(pool, part, inputs.size), mean=inputs.mean, std=inputs.std, views=views)
            for part, views in zip(parts, (2 if flip else 1, 1, 1), strict=True)
        )
        sizes = {"train_samples": len(train), "val_samples": len(val), "test_samples": len(test)}
        skipped = sum(map(len, parts)) - sum(sizes.values())  # whose heads could be read, but not their pixels
        said = {**pool.removed, **({"pictures_skipped": skipped} if skipped else {})}
        return Data(train, val, test, provenance={"data_sha256": pool.sha256, **sizes, **said})

    @property
    def corruptions(self) -> tuple[str, ...]:
        """What can be done to the pictures: `bench.tasks.images.corruptions`."""
        return tuple(CORRUPTIONS)

    def corrupted(self, split: ImageSplit, inputs: Any, index: Tensor, name: str, severity: int) -> ImageSplit:
        """Some pictures of a split at one severity, as they are at 0."""
        some = split.some(index)
        if severity:
            some.pixels = corrupted(some.pixels, name, severity)
        return some


class ImageSplit:
    """Pictures in memory as bytes, normalised when fetched.

    Args:
        pixels: (N, 3, size, size), uint8.
        labels: (N), int64.
        ids: (N) of the pictures in their pool.
        mean, std: per channel, for values in 0..1.
        views: 1, or 2 where view 1 is the picture mirrored left to right.
    """

    def __init__(
        self, pixels: np.ndarray, labels: np.ndarray, ids: np.ndarray, *, mean: Any, std: Any, views: int
    ) -> None:
        self.pixels, self.labels, self.views = torch.from_numpy(pixels), torch.from_numpy(labels), views
        self.ids = ids
        self.scale = 1 / (255 * torch.tensor(std)).view(1, 3, 1, 1)
        self.shift = (torch.tensor(mean) / torch.tensor(std)).view(1, 3, 1, 1)

    def __len__(self) -> int:
        return len(self.labels)

    def some(self, index: Tensor) -> ImageSplit:
        """A part of them."""
        found = copy.copy(self)
        found.pixels, found.labels, found.ids = self.pixels[index], self.labels[index], self.ids[index.numpy()]
        return found

    def inputs(self, index: Tensor, view: Tensor | None = None) -> Tensor:
        """(n, 3, size, size), float32, normalised."""
        x = self.pixels[index].float() * self.scale - self.shift
        if view is not None and self.views == 2:
            x = torch.where(view.bool().view(-1, 1, 1, 1), x.flip(-1), x)
        return x

    def targets(self, index: Tensor, view: Tensor | None = None) -> Tensor:
        """Class indices (n)."""
        return self.labels[index]

    def batches(self, size: int, order: Generator) -> list[Tensor]:
        """Any picture with any other."""
        return shuffled(len(self), size, order)


@dataclass(frozen=True, repr=False)
class Images(_ImageTask):
    """A declared set of pictures in the low-data protocol (`bench tasks` lists them).

    Args:
        set: name of the set, e.g. "elpv".
        train, val: pictures drawn for each, stratified; None for the set's default (800 and 200 where it is large
            enough).
        test: so many held-out pictures: fewer, or more, than the set's own; None for these. An official part is all
            there is.
        flip: mirror training pictures at random; None for the set's default.
        root: folder of a torchvision set; None for the cache, where it is downloaded to.
    """

    set: str
    train: int | None = None
    val: int | None = None
    test: int | None = None
    flip: bool | None = None
    root: str | None = None

    def __post_init__(self) -> None:
        if self.set not in IMAGE_SETS:
            raise unknown("image set", str(self.set), IMAGE_SETS)
        check_sizes(self)

    @property
    def name(self) -> str:
        """The set's name."""
        return self.set

    @property
    def classes(self) -> int:
        """Number of classes, from the declaration."""
        return IMAGE_SETS[self.set].classes

    def pool(self) -> Pool:
        """All pictures of the set."""
        return _pool(self.set, self.root)


@dataclass(frozen=True, repr=False)
class ImageFolder(_ImageTask):
    """Your own pictures: path/train/<class>/…, path/val/…, path/test/…, or path/<class>/… to be split for you.

    Pictures are put upright as their EXIF notes say. `bench plan` says what else is done to them.

    Args:
        path: the folder. Without a test folder a fifth is held out for testing, once for all seeds.
        train, val, test: at most so many pictures of each; None for all (val: a fifth of what is left, if no folder).
        flip: mirror training pictures at random.
        background: the colour that transparent pictures are laid on, by name or as "#rrggbb".
    """

    path: str
    train: int | None = None
    val: int | None = None
    test: int | None = None
    flip: bool | None = True
    background: str = WHITE

    def __post_init__(self) -> None:
        if not isinstance(self.path, str):
            raise BadInput(f"path={self.path!r}: give a folder, as text")
        colour(self.background)
        check_sizes(self)

    @property
    def name(self) -> str:
        """The folder's own name."""
        return Path(self.path).expanduser().absolute().name

    @property
    def baselines(self) -> tuple[Baseline, ...]:
        """The majority class; a histogram of colours and logistic regression."""
        return (*super().baselines, ColourHistogram())

    def pool(self) -> Pool:
        """All pictures of the folder."""
        path = Path(self.path).expanduser()
        return _folder(path, self.background, stamps(below(path)) if path.is_dir() else ())


@lru_cache(maxsize=8)
def _folder(path: Path, background: str, _there: tuple[object, ...]) -> Pool:
    return folder_pool(path, background=background)


@lru_cache(maxsize=8)
def _pool(name: str, root: str | None) -> Pool:
    return IMAGE_SETS[name].load(root)
