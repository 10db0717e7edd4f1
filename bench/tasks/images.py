"""Image classification in the low-data protocol."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

from bench.errors import BadInput, unknown
from bench.spec import Spec
from bench.tasks.decode import decoded
from bench.tasks.image_sets import IMAGE_SETS, folder_pool
from bench.tasks.pool import Pool
from bench.tasks.task import Data

HOLD_OUT_SEED = 0
"""Draws the test part of sets without an official one: once, so that no seed's tuning ever sees a test image."""


class _Classification(Spec):
    """What every image classification task shares; the fields are its subclasses'."""

    family: ClassVar[str] = "images"
    metric: ClassVar[str] = "top1"
    train: int | None
    val: int | None
    test: int | None
    flip: bool | None

    def pool(self) -> Pool:
        """All pictures, decoded on demand."""
        raise NotImplementedError

    @property
    def classes(self) -> int:
        """Number of classes, known without fetching anything where the set is declared."""
        return self.pool().classes

    def fingerprint(self) -> str:
        """sha256 of the archive, or of the names, sizes and beginnings of the pictures."""
        return self.pool().sha256

    def sizes(self) -> tuple[int, int, int]:
        """Pictures of train, validation and test.

        Raises:
            BadInput: fewer pictures than the split needs.
        """
        train, val, test = split(self.pool(), train=self.train, val=self.val, test=self.test, seed=0)
        return len(train), len(val), len(test)

    def data(self, inputs: Any, *, seed: int) -> Data:
        """Train and validation drawn by `seed`, stratified by class; test official or held out once for all seeds.

        Raises:
            BadInput: fewer pictures than the split needs, or too many that cannot be read.
        """
        pool = self.pool()
        parts = split(pool, train=self.train, val=self.val, test=self.test, seed=seed)
        flip = pool.flip if self.flip is None else self.flip
        splits = [
            ImageSplit(*decoded(pool, part, inputs.size), mean=inputs.mean, std=inputs.std, views=views)
            for part, views in zip(parts, (2 if flip else 1, 1, 1), strict=True)
        ]
        sizes = {f"{name}_images": len(s) for name, s in zip(("train", "val", "test"), splits, strict=True)}
        train, val, test = splits
        return Data(train, val, test, provenance={"data_sha256": pool.sha256, **sizes})

    def head(self, width: int) -> nn.Module:
        """A linear classifier."""
        return nn.Linear(width, self.classes)

    def loss(self, outputs: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
        """Cross-entropy. outputs (N, classes), targets (N)."""
        return F.cross_entropy(outputs.float(), targets, label_smoothing=smoothing)

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Top-1 accuracy, macro F1, cross-entropy and expected calibration error (15 bins; arXiv:1706.04599, eq. 3)."""
        from torchmetrics.functional import classification as tm

        outputs, classes = outputs.float(), outputs.shape[1]
        return {
            "top1": (outputs.argmax(1) == targets).double().mean().item(),
            "macro_f1": tm.multiclass_f1_score(outputs, targets, classes, average="macro").item(),
            "loss": F.cross_entropy(outputs, targets).item(),
            "ece": tm.multiclass_calibration_error(outputs.softmax(1), targets, classes, n_bins=15).item(),
        }


def split(
    pool: Pool, *, train: int | None, val: int | None, test: int | None, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of the train, validation and test pictures of one seed. None takes the pool's own default.

    Raises:
        BadInput: the pool has fewer pictures than asked for.
    """
    rest, held_out = pool.development, pool.official_test
    if held_out is None:
        rest, held_out = _draw(pool, rest, len(rest) - pool.hold_out, pool.hold_out, seed=HOLD_OUT_SEED)
    if test is not None and test < len(held_out):
        held_out, _ = _draw(pool, held_out, test, None, seed=HOLD_OUT_SEED)
    if pool.official_val is not None:
        chosen = rest
        if train is not None and train < len(rest):
            chosen, _ = _draw(pool, rest, train, None, seed=seed)
        validation = pool.official_val
        if val is not None and val < len(validation):
            validation, _ = _draw(pool, validation, val, None, seed=seed)
        return chosen, validation, held_out
    val = val if val is not None else pool.default_val
    train = train if train is not None else (pool.default_train or len(rest) - val)
    chosen, validation = _draw(pool, rest, train, val, seed=seed)
    return chosen, validation, held_out


def _draw(pool: Pool, among: np.ndarray, first: int, second: int | None, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two disjoint, stratified draws from `among`; `second` None for all the rest. Sorted: the loader orders."""
    second = len(among) - first if second is None else second
    labels, need = pool.labels[among], first + second
    if min(first, second) < pool.classes or need > len(among):
        raise BadInput(
            f"{pool.name}: a split into {first} and {second} needs {need} pictures and at least one of each of the "
            f"{pool.classes} classes on both sides; there are {len(among)}: "
            "ask for other sizes (train=…, val=…, test=…)"
        )
    try:
        a, b = train_test_split(among, train_size=first, test_size=second, stratify=labels, random_state=seed)
    except ValueError as error:
        raise BadInput(f"{pool.name}: cannot split {len(among)} pictures by class: {error}") from None
    return np.sort(a), np.sort(b)


class ImageSplit:
    """Pictures in memory as bytes, normalised when fetched.

    Args:
        pixels: (N, 3, size, size), uint8.
        labels: (N), int64.
        mean, std: per channel, for values in 0..1.
        views: 1, or 2 where view 1 is the picture mirrored left to right.
    """

    def __init__(self, pixels: np.ndarray, labels: np.ndarray, *, mean: Any, std: Any, views: int) -> None:
        self.pixels, self.labels, self.views = torch.from_numpy(pixels), torch.from_numpy(labels), views
        self.scale = 1 / (255 * torch.tensor(std)).view(1, 3, 1, 1)
        self.shift = (torch.tensor(mean) / torch.tensor(std)).view(1, 3, 1, 1)

    def __len__(self) -> int:
        return len(self.labels)

    def inputs(self, index: Tensor, view: Tensor | None = None) -> Tensor:
        """(n, 3, size, size), float32, normalised."""
        x = self.pixels[index].float() * self.scale - self.shift
        if view is not None and self.views == 2:
            x = torch.where(view.bool().view(-1, 1, 1, 1), x.flip(-1), x)
        return x

    def targets(self, index: Tensor, view: Tensor | None = None) -> Tensor:
        """Class indices (n)."""
        return self.labels[index]


@dataclass(frozen=True, repr=False)
class Images(_Classification):
    """A declared set of pictures in the low-data protocol (`bench tasks` lists them).

    Args:
        set: name of the set, e.g. "elpv".
        train, val: pictures drawn for each, stratified; None for the set's default (800 and 200 where it is large
            enough).
        test: at most so many of the held-out pictures; None for all.
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
class ImageFolder(_Classification):
    """Your own pictures: path/train/<class>/…, path/val/…, path/test/…, or path/<class>/… to be split for you.

    Args:
        path: the folder. Without a test folder a fifth is held out for testing, once for all seeds.
        train, val, test: at most so many pictures of each; None for all (val: a fifth of what is left, if no folder).
        flip: mirror training pictures at random.
    """

    path: str
    train: int | None = None
    val: int | None = None
    test: int | None = None
    flip: bool | None = True

    def __post_init__(self) -> None:
        check_sizes(self)

    @property
    def name(self) -> str:
        """The folder's own name."""
        return Path(self.path).expanduser().absolute().name

    def pool(self) -> Pool:
        """All pictures of the folder."""
        return folder_pool(Path(self.path).expanduser())


def check_sizes(task: _Classification) -> None:
    """Refuses sizes that are no positive whole numbers."""
    for part in ("train", "val", "test"):
        size = getattr(task, part)
        if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
            raise BadInput(f"{part}={size!r}: give a whole number of pictures, at least 1")


@lru_cache(maxsize=8)
def _pool(name: str, root: str | None) -> Pool:
    return IMAGE_SETS[name].load(root)
