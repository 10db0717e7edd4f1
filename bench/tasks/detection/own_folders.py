"""Detection on one's own pictures with boxes: folders in COCO's format and in Pascal VOC's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.errors import BadInput
from bench.tasks.detection import coco, voc
from bench.tasks.detection.box_pools import Source
from bench.tasks.detection.task import BoxTask
from bench.tasks.pictures import WHITE, colour


@dataclass(frozen=True, repr=False)
class _Folder(BoxTask):
    """What both kinds of folders share: all but what reads them."""

    path: str
    train: int | None = None
    val: int | None = None
    test: int | None = None
    detector: str = "fcos"
    head_width: int = 64
    head_depth: int = 2
    augment: bool = True
    background: str = WHITE

    def __post_init__(self) -> None:
        if not isinstance(self.path, str):
            raise BadInput(f"path={self.path!r}: give a folder, as text")
        colour(self.background)
        super().__post_init__()

    @property
    def name(self) -> str:
        """The folder's own name."""
        return Path(self.path).expanduser().absolute().name


@dataclass(frozen=True, repr=False)
class CocoFolder(_Folder):
    """Your own pictures with boxes in COCO's format.

    Args:
        path: a folder with annotations/instances_{train,val,test}*.json or {train,val,test}.json and the pictures in
            folders of those names, images/ or data/; with {train,valid,test}/_annotations.coco.json beside the
            pictures; or with one .json. What is not given is drawn: a fifth for testing, once for all seeds, and a
            fifth of the rest to validate on.
        train, val, test: at most so many pictures of each; None for all.
        detector, head_width, head_depth, augment: as in `Detection`.
        background: the colour that transparent pictures are laid on, by name or as "#rrggbb".
    """

    def source(self) -> Source:
        """All pictures of the folder with their boxes."""
        return coco.load(Path(self.path), self.background)


@dataclass(frozen=True, repr=False)
class VocFolder(_Folder):
    """Your own pictures with boxes in Pascal VOC's XML.

    Args:
        path: a folder with Annotations/*.xml, JPEGImages/ and ImageSets/Main/{train,val,test}.txt, or with .xml files
            beside their pictures, in the folder itself or in train/, valid/ and test/. What is not given is drawn,
            as in `CocoFolder`; so are the other fields.
    """

    def source(self) -> Source:
        """All pictures of the folder with their boxes."""
        return voc.load(Path(self.path), self.background)
