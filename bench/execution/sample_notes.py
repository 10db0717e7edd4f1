"""What a page shows of single test samples: their names, texts and pictures, and links to their files."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.records import Records
from bench.report.page.own_data import SHOWN, OwnData

LETTERS = 160
SIDE = 160
"""Pixels of a picture's longer side."""


def described(data: OwnData, task: Any, records: Records) -> dict[str, dict[str, str]]:
    """By id: "title", and where there are such "file" (a link from the page), "text", "picture".

    Args:
        data: with the mistakes that are shown.
        task: whose pool the ids are places in.
        records: of the study's folder, where small pictures are kept.
    """
    pool = task.pool()
    return {str(id_): dict(_of(pool, id_, records)) for id_ in _ids(data)}


def _ids(data: OwnData) -> list[int]:
    return [one.id for one in data.mistakes[:SHOWN]] + [one.id for one in data.missed[:SHOWN]]


def _of(pool: Any, id_: int, records: Records) -> Iterator[tuple[str, str]]:
    title = str(pool.title(id_))
    file = Path(title)
    if file.is_file():
        yield "file", Path(os.path.relpath(file.resolve(), records.folder.resolve())).as_posix()
        title = "/".join(file.parts[-2:])
    yield "title", title
    try:
        sample = pool.read(id_)
    except OSError:
        return
    if isinstance(sample, str | tuple):
        text = " / ".join(sample) if isinstance(sample, tuple) else sample
        short = " ".join(text.split())
        yield "text", short if len(short) <= LETTERS else f"{short[:LETTERS]}…"
    else:
        yield "picture", records.keep_picture(_small(sample))


def _small(picture: Any) -> bytes:
    buffer = io.BytesIO()
    picture = picture.convert("RGB")
    picture.thumbnail((SIDE, SIDE))
    picture.save(buffer, "jpeg", quality=85)
    return buffer.getvalue()
