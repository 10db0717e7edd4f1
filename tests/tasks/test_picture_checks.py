"""Pictures that break off or are broken in their middle are counted before anything that takes time is started."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.errors import BadInput
from bench.tasks import CocoFolder, ImageFolder, VocFolder
from bench.tasks.data_summary import lines
from bench.tasks.picture_checks import looked_at
from tests.support.box_data import BOXES, coco, write_json, write_voc

pytestmark = [pytest.mark.usefixtures("own_cache"), pytest.mark.filterwarnings("ignore:.*skipped")]
KINDS = ("jpg", "png", "gif", "webp", "tif", "bmp", "pgm")


def bytes_of(kind: str, number: int = 0, **how) -> bytes:
    """A picture of noise in that format."""
    pixels = np.random.default_rng(number).integers(0, 256, (60, 80, 3), np.uint8)
    stream, picture = io.BytesIO(), Image.fromarray(pixels)
    formats = {"jpg": "JPEG", "tif": "TIFF", "pgm": "PPM"}
    picture.convert("L" if kind == "pgm" else "RGB").save(stream, formats.get(kind, kind), **how)
    return stream.getvalue()


def cut(raw: bytes) -> bytes:
    return raw[: 2 * len(raw) // 3]


def folder(path: Path, broken: dict[str, bytes]) -> ImageFolder:
    """Two classes of fourteen sound pictures, and the broken ones in the first."""
    for c, name in enumerate(("cat", "dog")):
        (path / name).mkdir(parents=True, exist_ok=True)
        for i in range(14):
            (path / name / f"{i:02}.png").write_bytes(bytes_of("png", 100 * c + i))
    for name, raw in broken.items():
        (path / "cat" / name).write_bytes(raw)
    return ImageFolder(str(path))


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_that_breaks_off_is_counted_by_the_plan(kind, tmp_path):
    task = folder(tmp_path / "set", {f"x.{kind}": cut(bytes_of(kind, 907)), f"y.{kind}": bytes_of(kind, 908)})
    assert task.pool().removed["unreadable_pictures_dropped"] == 1 and sum(task.sizes()) == 29
    assert any("pictures that cannot be read" in line and f"x.{kind}" in line for line in lines(task.understood()))


def test_a_picture_that_is_broken_in_its_middle(tmp_path):
    raw = bytearray(bytes_of("png", 7))
    raw[len(raw) // 2] ^= 255
    assert folder(tmp_path / "set", {"x.png": bytes(raw)}).pool().removed["unreadable_pictures_dropped"] == 1


def test_boxes_on_such_a_picture_are_refused_at_once(tmp_path):
    for i, (name, those) in enumerate(BOXES.items()):
        (tmp_path / f"{name}.png").write_bytes(bytes_of("png", i))
        write_voc(tmp_path / f"{name}.xml", those)
    (tmp_path / "b.png").write_bytes(cut(bytes_of("png", 1)))
    write_json(tmp_path / "boxes" / "train.json", coco())
    (tmp_path / "boxes" / "images").mkdir()
    for file in tmp_path.glob("*.png"):
        (tmp_path / "boxes" / "images" / file.name).write_bytes(file.read_bytes())
    for task in (VocFolder(str(tmp_path)), CocoFolder(str(tmp_path / "boxes"))):
        with pytest.raises(BadInput, match=r"1 of 3 pictures cannot be read, the first .*b\.png"):
            task.sizes()


def test_of_a_large_set_heads_and_ends_are_looked_at(tmp_path, monkeypatch):
    """A thumbnail's end is no picture's end; what is broken between head and end is found when it is learned from."""
    monkeypatch.setattr("bench.tasks.picture_checks.WHOLE", 20)
    small = bytes_of("jpg", 9, quality=10)
    raw = bytes_of("jpg", 8)
    app1 = b"\xff\xe1" + (len(small) + 2).to_bytes(2, "big") + small
    framed = raw[:2] + app1 + raw[2:]
    half = bytearray(bytes_of("png", 7))
    half[len(half) // 2] ^= 255
    broken = {"a.jpg": cut(framed), "b.jpg": framed, "c.png": cut(bytes_of("png", 5)), "d.png": bytes(half)}
    pool = folder(tmp_path / "set", broken).pool()
    assert pool.removed["unreadable_pictures_dropped"] == 2
    assert any("only head and end were looked at, as there are more than 20" in str(note) for note in pool.notes)


def test_what_was_looked_at_is_remembered(tmp_path, monkeypatch):
    from bench.tasks.data_notes import Notes

    files = []
    for i in range(3):
        files.append(tmp_path / f"{i}.jpg")
        files[-1].write_bytes(bytes_of("jpg", i))
    time.sleep(0.06)  # what is younger than a tick of the clock may change unseen
    first, asked = looked_at(files, Notes()), []
    monkeypatch.setattr("bench.tasks.picture_checks._decode", lambda file: asked.append(file.name))
    monkeypatch.setattr("bench.tasks.picture_checks.head", lambda file: asked.append(file.name))
    assert looked_at(files, Notes()) == first and asked == [] and first[0].size == (80, 60)
    files[1].write_bytes(bytes_of("jpg", 9))
    monkeypatch.undo()
    assert looked_at(files, Notes()) == first
