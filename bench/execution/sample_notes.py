"""What a page shows of single test samples: their names, texts and pictures, and links to their files."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.records import Records
from bench.report.page.own_data import SHOWN, OwnData
from bench.tasks.folder_listing import below, is_there

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
    pool, wanted = task.pool(), _ids(data)
    titles = {id_: str(pool.title(id_)) for id_ in wanted}
    files = _files(Path(task.path).expanduser(), set(titles.values()))
    return {str(id_): dict(_of(pool, id_, titles[id_], files, records)) for id_ in wanted}


def _files(path: Path, titles: set[str]) -> dict[str, Path]:
    """The file of each title: itself, or the one in the folder whose path ends so."""
    found = {title: Path(title) for title in titles if is_there(Path(title))}
    if path.is_dir() and (left := titles - set(found)):
        for file in below(path):
            for title in left:
                if file.as_posix().endswith(f"/{title}"):
                    found.setdefault(title, file)
    return found


def _ids(data: OwnData) -> list[int]:
    return [one.id for one in data.mistakes[:SHOWN]] + [one.id for one in data.missed[:SHOWN]]


def _of(pool: Any, id_: int, title: str, files: dict[str, Path], records: Records) -> Iterator[tuple[str, str]]:
    if title in files:
        file = files[title]
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
