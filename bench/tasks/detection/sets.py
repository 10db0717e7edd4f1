"""The declared sets for detection. To add one: an entry in `BOX_SETS`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench import assets
from bench.errors import BadInput
from bench.tasks.detection import coco, voc
from bench.tasks.detection.box_pools import Mark, Part, Picture, Source, source
from bench.tasks.detection.composited import composited
from bench.tasks.images.sets import IMAGE_SETS

TILE = 256
SLIVER = 32
"""What is left at the right or lower edge of a photograph is a tile only if it is wider than this, in pixels."""
WITHIN = 0.5
"""Share of a box's area that lies in a tile, or it does not belong to it."""
PADDING = (124, 116, 104)
"""Of tiles at the edge: about the mean colour of photographs."""
TREES = {
    "train": ("2019_YELL_2_528000_4978000_image_crop2",),
    "test": ("2019_YELL_2_541000_4977000_image_crop", "OSBS_029", "SOAP_061"),
}


@dataclass(frozen=True)
class BoxSet:
    """A declared set.

    Args:
        about: what the pictures show, for `bench tasks`.
        classes: number of classes.
        load: reads it, from a root folder where the set needs one.
    """

    about: str
    classes: int
    load: Callable[[str | None], Source]


def _tree_crowns(root: str | None) -> Source:
    """Tiles of one photograph to train and validate on, and of three of other places to test."""
    folder = assets.fetch("tree-crowns")
    counts: Counter[str] = Counter()
    parts = {part: Part() for part in TREES}
    for part, names in TREES.items():
        for name in names:
            for picture, boxes in _tiles(folder / name, counts):
                if part == "train" and not boxes:  # teaches nothing that the other tiles' ground does not
                    counts["empty_train_tiles_dropped"] += 1
                    continue
                parts[part].marks.extend(Mark(len(parts[part].pictures), box, 0) for box in boxes)
                parts[part].pictures.append(picture)
    return source(
        "tree-crowns", ["tree"], parts, stamp=assets.ASSETS["tree-crowns"].sha256,
        vertical=True, default_val=16, removed=counts,
    )  # fmt: skip


def _tiles(stem: Path, counts: Counter[str]) -> list[tuple[Picture, list[Any]]]:
    """Tiles side by side with the boxes of which half lies in each, cut at its border."""
    whole = voc.annotation(stem.with_name(f"{stem.name}.xml"))
    boxes = np.array([box for _, box, _ in whole.objects])
    area, placed = (boxes[:, 2:] - boxes[:, :2]).prod(1), np.zeros(len(boxes), int)
    made = []
    for y in range(0, max(1, whole.height - SLIVER), TILE):
        for x in range(0, max(1, whole.width - SLIVER), TILE):
            inside = np.clip(boxes - [x, y, x, y], 0, TILE)
            mine = (inside[:, 2:] - inside[:, :2]).prod(1) >= WITHIN * area
            counts["boxes_cut_by_tiles"] += int((inside - boxes + [x, y, x, y])[mine].any(1).sum())
            placed += mine
            read = partial(_tile, stem.with_name(f"{stem.name}.png"), x, y)
            made.append((Picture(f"{stem.name} {x},{y}", TILE, TILE, read), inside[mine].tolist()))
    counts["boxes_between_tiles_dropped"] += int((placed == 0).sum())
    return made


def _tile(file: Path, x: int, y: int) -> Image.Image:
    photo = _photo(file)
    tile = Image.new("RGB", (TILE, TILE), PADDING)
    tile.paste(photo.crop((x, y, min(x + TILE, photo.width), min(y + TILE, photo.height))))
    return tile


@lru_cache(maxsize=1)
def _photo(file: Path) -> Image.Image:
    return Image.open(file).convert("RGB")


def _composited(name: str, digits: str, root: str | None) -> Source:
    """Of the digits of a set of pictures."""
    pool = IMAGE_SETS[digits].load(None)
    return composited(name, np.stack([np.asarray(pool.read(i)) for i in range(len(pool.labels))]), pool.labels)


def _coco(root: str | None) -> Source:
    """COCO 2017 where it lies; 20 GB are not downloaded unasked. Its validation part is tested on."""
    folder = Path(root).expanduser().absolute() if root else assets.cache_folder() / "coco"
    files = {
        part: folder / "annotations" / f"instances_{given}2017.json"
        for part, given in (("train", "train"), ("test", "val"))
    }
    if missing := [file for file in files.values() if not file.is_file()]:
        raise BadInput(
            f"coco: no {missing[0]}: put train2017/, val2017/ and annotations/ of cocodataset.org there, or give root=…"
        )
    return coco.read("coco", files)


def _voc(year: str, train: str, test: str, root: str | None) -> Source:
    """As torchvision lays it out; downloaded where it is not there and the network is not forbidden."""
    from torchvision.datasets import VOCDetection

    name = f"voc{year}"
    folder = Path(root).expanduser().absolute() if root else assets.cache_folder() / "torchvision" / name
    if root and not folder.is_dir():
        raise BadInput(f"{name}: no folder {root!r}")
    folder.mkdir(parents=True, exist_ok=True)

    def listed(download: bool) -> voc.Pairs:
        made = {}
        for part, name in (("train", train), ("test", test)):
            found = VOCDetection(str(folder), year, name, download=download)
            made[part] = [(Path(a), Path(b)) for a, b in zip(found.annotations, found.images, strict=True)]
        return made

    try:
        try:
            pairs = listed(download=False)  # a download unpacks anew each time
        except RuntimeError:
            if assets.offline():
                raise
            pairs = listed(download=True)
    except (RuntimeError, OSError) as error:
        raise BadInput(
            f"{name}: not found in {folder} and cannot be downloaded ({_first_line(error)}): "
            "put VOCdevkit/ there, or give root=…"
        ) from None
    return voc.read(name, pairs)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


BOX_SETS: dict[str, BoxSet] = {
    "tree-crowns": BoxSet("tree crowns on aerial tiles of 256 px; tested on other places", 1, _tree_crowns),
    "composited-mnist": BoxSet(
        "composited: MNIST-5k digits on photographs, 500 pictures", 10,
        partial(_composited, "composited-mnist", "mnist-5k"),
    ),
    "composited-digits": BoxSet(
        "composited: scikit-learn's digits on photographs, 500 pictures; needs no asset", 10,
        partial(_composited, "composited-digits", "digits"),
    ),
    "coco": BoxSet("COCO 2017, tested on its validation part (root=…: train2017/, annotations/, …)", 80, _coco),
    "voc2007": BoxSet("Pascal VOC 2007, official test (torchvision)", 20, partial(_voc, "2007", "trainval", "test")),
    "voc2012": BoxSet(
        "Pascal VOC 2012, tested on its validation part (torchvision)", 20, partial(_voc, "2012", "train", "val")
    ),
}  # fmt: skip
