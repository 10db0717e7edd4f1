"""New files and texts as the network takes them: prepared by the same code as in training."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.deploy.loading import Trained
from bench.errors import BadInput, shown
from bench.tasks import Split
from bench.tasks.data_notes import Notes
from bench.tasks.detection.boxes import BoxSplit, Truth
from bench.tasks.detection.pixels import padded
from bench.tasks.folder_listing import below, is_folder, is_there
from bench.tasks.images.decode import square
from bench.tasks.images.task import ImageSplit
from bench.tasks.pictures import PICTURES, UNREAD, WHITE, flattened, opened
from bench.tasks.text.tables import ENDINGS, table
from bench.tasks.text.tokens import fresh

LIKE_A_FILE = frozenset({*PICTURES, *UNREAD, *ENDINGS, ".txt", ".xml", ".zip", ".pdf"})
MOST_NAMED = 40
"""Characters of a text that stand for it."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One thing to predict for.

    Args:
        title: its name, for people.
        content: a file, a PIL picture, a text or a pair of texts.
    """

    title: str
    content: Any


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples that could be read, and the inputs made of them.

    Args:
        samples: in the order of the inputs.
        split: the inputs.
        sizes: width and height of pictures.
        skipped: (title, reason) of what could not be read.
    """

    samples: list[Sample]
    split: Split | None
    sizes: list[tuple[int, int]]
    skipped: list[tuple[str, str]]


def listed(trained: Trained, given: Iterable[Any] | str | Path, *, text: Any = None) -> list[Sample]:
    """Samples of what a person names: files, folders, tables, texts, or things in memory.

    Args:
        trained: decides what they may be.
        given: as named.
        text: column, or two, of tables with texts; those of training without.

    Raises:
        BadInput: a file of another family, that is not there, or a folder without any.
    """
    several: Iterable[Any] = [given] if isinstance(given, str | Path | Image.Image) else given
    found: list[Sample] = []
    for each in several:
        found += list(_texts(trained, each, text) if trained.family == "text" else _pictures(trained, each))
    if not found:
        raise BadInput("nothing to predict: name pictures, folders, texts or tables")
    return found


def _pictures(trained: Trained, each: Any) -> Iterator[Sample]:
    if isinstance(each, Image.Image):
        yield Sample(getattr(each, "filename", "") or "picture", each)
        return
    if not isinstance(each, str | Path):
        raise BadInput(f"{shown(each, 60)} is no picture: give paths of pictures, or PIL pictures")
    path = Path(each).expanduser()
    if is_folder(path):
        inside = [file for file in below(path) if file.suffix.lower() in PICTURES]
        if not inside:
            raise BadInput(f"{path} holds no pictures ({', '.join(sorted(PICTURES)[:8])}, …)")
        yield from (Sample(str(file), file) for file in inside)
    elif not is_there(path):
        raise BadInput(f"{shown(str(each))} is neither a file nor a folder")
    elif path.suffix.lower() not in PICTURES:
        raise BadInput(f"{path} is no picture, by its name: {_wants(trained)}")
    else:
        yield Sample(str(path), path)


def _wants(trained: Trained) -> str:
    what = {"images": "pictures", "text": "texts (.csv, .tsv, .jsonl, .parquet, .txt)", "detection": "pictures"}
    return f"run {trained.about['run_id']} was trained on {trained.about['name']} and takes {what[trained.family]}"


def _texts(trained: Trained, each: Any, text: Any) -> Iterator[Sample]:
    columns = text or getattr(trained.run.task, "text", None) or "text"
    pairs = not isinstance(columns, str)
    if isinstance(each, tuple | list) and len(each) == 2 and all(isinstance(part, str) for part in each):
        yield Sample(shown(each[0], MOST_NAMED), tuple(each))
        return
    if not isinstance(each, str | Path):
        raise BadInput(f"{shown(each, 60)} is no text: {_wants(trained)}")
    path, ending = Path(each), Path(str(each)[-300:]).suffix.lower()
    if is_there(path) and ending in ENDINGS:
        yield from _rows(path, (columns,) if isinstance(columns, str) else tuple(columns))
    elif is_there(path) and ending in (*PICTURES, *UNREAD):
        raise BadInput(f"{path} is a picture, by its name: {_wants(trained)}")
    elif is_there(path):
        yield Sample(str(path), path.read_bytes().decode("utf-8", "replace"))
    elif is_folder(path):
        files = [file for file in below(path) if file.suffix.lower() in (".txt", *ENDINGS)]
        for file in files:
            yield from _texts(trained, file, text)
    elif isinstance(each, Path) or (ending in LIKE_A_FILE and " " not in str(each)):
        raise BadInput(f"{shown(str(each))} is neither a file nor a folder")
    elif pairs:
        raise BadInput(f"{shown(str(each), 60)}: it was trained on pairs of texts; give a table with both columns")
    else:
        yield Sample(shown(str(each), MOST_NAMED), str(each))


def _rows(path: Path, columns: Sequence[str]) -> Iterator[Sample]:
    found = table(path, path.read_bytes(), columns, Notes())
    places = [found.column(name, path) for name in columns]
    for line, fields in found.rows:
        texts = tuple(fields[place] if place < len(fields) else "" for place in places)
        yield Sample(f"{path}:{line}", texts[0] if len(texts) == 1 else texts)


def batches(trained: Trained, samples: Sequence[Sample], size: int) -> Iterator[Batch]:
    """The samples as inputs, some at a time; what cannot be read is left out and named.

    Args:
        trained: says how inputs are prepared.
        samples: as listed.
        size: at once.
    """
    todo = iter(samples)
    while some := list(islice(todo, size)):
        yield _of_texts(trained, some) if trained.family == "text" else _of_pictures(trained, some)


def _of_texts(trained: Trained, samples: list[Sample]) -> Batch:
    split = fresh([sample.content for sample in samples], trained.backbone.inputs)
    return Batch([samples[i] for i in split.ids], split, [], [])


def _of_pictures(trained: Trained, samples: list[Sample]) -> Batch:
    inputs, boxes = trained.backbone.inputs, trained.family == "detection"
    red, green, blue = (round(255 * value) for value in inputs.mean)
    pixels, kept, sizes, skipped = [], [], [], []
    for sample in samples:
        try:
            picture = _opened(trained, sample)
            pixels.append(padded(picture, inputs.size, (red, green, blue)) if boxes else square(picture, inputs.size))
        except Exception as error:  # PIL has a dozen ways to say that a file is broken, or a bomb
            skipped.append((sample.title, shown(str(error) or type(error).__name__, 160)))
            continue
        kept.append(sample)
        sizes.append(picture.size)
    if not kept:
        return Batch([], None, [], skipped)
    all_, none = np.stack(pixels), np.zeros(len(kept), np.int64)
    how: dict[str, Any] = {"mean": inputs.mean, "std": inputs.std}
    if not boxes:
        return Batch(kept, ImageSplit(all_, none, np.arange(len(kept)), views=1, **how), sizes, skipped)
    truths = [blank(*each) for each in sizes]
    return Batch(kept, BoxSplit(lambda rows: all_[rows], truths, size=inputs.size, **how), sizes, skipped)


def blank(width: int, height: int) -> Truth:
    """A picture on which nothing is marked."""
    none = np.zeros(0)
    return Truth(np.zeros((0, 4)), none.astype(np.int64), none.astype(bool), none, width, height)


def _opened(trained: Trained, sample: Sample) -> Image.Image:
    background = getattr(trained.run.task, "background", WHITE)
    if isinstance(sample.content, Image.Image):
        return flattened(sample.content, sample.title, background=background)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a large one is decoded or refused
        return opened(sample.content, background=background)
