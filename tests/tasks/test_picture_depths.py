"""Pictures of few and of many bits a value: what is bright stays bright, what is transparent stays so."""

from __future__ import annotations

import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from bench.errors import BadInput
from bench.tasks import ImageFolder
from bench.tasks.pictures import TOO_DEEP, look, opened

HALF_GREY, WHITE = [128] * 3, [255] * 3


def png(depth, colour, row, clear=None):
    """A PNG of four equal rows, which PIL writes for no mode."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, depth, colour, 0, 0, 0))
    note = chunk(b"tRNS", struct.pack(f">{len(clear)}H", *clear)) if clear else b""
    return b"\x89PNG\r\n\x1a\n" + head + note + chunk(b"IDAT", zlib.compress((b"\0" + row) * 4)) + chunk(b"IEND", b"")


def tiff(bits, kind, body):
    """A grey TIFF of 4×4 pixels; `kind` is 1 without a sign, 2 with one, 3 for floats."""
    tags = [(256, 4), (257, 4), (258, bits), (259, 1), (262, 1), (273, 8 + 2 + 12 * 10 + 4), (277, 1), (278, 4)]
    tags += [(279, len(body)), (339, kind)]
    entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0" * 4 + body


def pgm(largest, value):
    return b"P5 4 4 %d\n" % largest + struct.pack(">H", value) * 16


@pytest.mark.parametrize(
    ("name", "raw", "seen", "deep"),
    [
        ("16.pgm", pgm(65535, 0x8000), HALF_GREY, True),
        ("12.pgm", pgm(4095, 2048), HALF_GREY, True),
        ("16.ppm", b"P6 4 4 65535\n" + struct.pack(">H", 0x8000) * 48, HALF_GREY, True),
        ("grey.png", png(16, 0, struct.pack(">H", 0x8000) * 4), HALF_GREY, True),
        ("colours.png", png(16, 2, struct.pack(">H", 0x8000) * 12), HALF_GREY, True),
        ("16.tif", tiff(16, 1, struct.pack("<H", 0x8000) * 16), HALF_GREY, True),
        ("12.tif", tiff(12, 1, b"\x80\x08\x00" * 8), HALF_GREY, True),
        ("signed.tif", tiff(16, 2, struct.pack("<h", 0x4000) * 16), HALF_GREY, True),
        ("below_0.tif", tiff(16, 2, struct.pack("<h", -5) * 16), [0] * 3, True),
        ("2_clear.png", png(2, 0, b"\x55", (1,)), WHITE, False),
        ("2_other.png", png(2, 0, b"\x55", (2,)), [85] * 3, False),
        ("4_clear.png", png(4, 0, b"\x33\x33", (3,)), WHITE, False),
        ("4_zero.png", png(4, 0, b"\x00\x00", (0,)), WHITE, False),
        ("8_clear.png", png(8, 0, b"\x33" * 4, (0x33,)), WHITE, False),
        ("16_clear.png", png(16, 2, struct.pack(">3H", 1, 513, 1025) * 4, (1, 513, 1025)), WHITE, True),
        ("16_other.png", png(16, 2, struct.pack(">H", 0x8000) * 12, (1, 513, 1025)), HALF_GREY, True),
    ],
)
def test_values_of_few_and_many_bits(tmp_path, name, raw, seen, deep):
    (tmp_path / name).write_bytes(raw)
    picture = opened(tmp_path / name)
    assert np.asarray(picture)[2, 2].tolist() == seen and look(tmp_path / name).deep is deep


@pytest.mark.parametrize("body", [tiff(32, 1, b"\1\2\3\4" * 16), tiff(32, 3, struct.pack("<f", 0.5) * 16)])
def test_values_of_32_bits_are_told_by_the_head(tmp_path, body):
    (tmp_path / "x.tif").write_bytes(body)
    assert look(tmp_path / "x.tif").error == TOO_DEEP
    with pytest.raises(BadInput, match=TOO_DEEP):
        opened(tmp_path / "x.tif")


def folder(path, classes=("a", "b"), each=12):
    for c, name in enumerate(classes):
        (path / name).mkdir()
        for i in range(each):
            Image.new("RGB", (4, 4), (i, c, 0)).save(path / name / f"{i:02}.png")
    return path


def said(path):
    pool = ImageFolder(str(path)).pool()
    return [str(note) for note in pool.notes], pool.names


def test_what_a_folder_says_of_depths_and_of_kinds_that_nothing_reads(tmp_path):
    folder(tmp_path)
    (tmp_path / "a" / "deep.pgm").write_bytes(pgm(65535, 9))
    (tmp_path / "a" / "float.tif").write_bytes(tiff(32, 3, b"\0" * 64))
    (tmp_path / "a" / "raw.CR2").write_bytes(b"II")
    (tmp_path / "b" / "drawing.svg").write_text("<svg/>")
    with pytest.warns(UserWarning, match="32 bits"):
        notes, _ = said(tmp_path)
    assert [note.partition(":")[0] for note in notes] == ["dropped 2", "dropped 1", "mended 1"]
    assert "kinds that cannot be read" in notes[0] and TOO_DEEP in notes[1] and "more than 8 bits" in notes[2]


def test_a_class_of_kinds_that_nothing_reads_is_refused(tmp_path):
    (folder(tmp_path) / "raw").mkdir()
    (tmp_path / "raw" / "1.NEF").write_bytes(b"MM")
    with pytest.raises(BadInput, match=r"kinds that cannot be read, such as raw/1\.NEF"):
        said(tmp_path)


@pytest.mark.parametrize(
    ("classes", "names", "note"),
    [
        (("caf\u00e9", "cafe\u0301", "b"), ("b", "caf\u00e9"), "mended: names of classes"),
        (("cat", "Cat"), ("Cat", "cat"), "assumed: names that differ only in capitals"),
        (("cat", "none"), ("cat", "none"), "assumed: a name that may mean"),
        (("cat ", "dog"), ("cat", "dog"), "mended: names of classes"),
    ],
)
def test_names_of_classes(tmp_path, classes, names, note):
    notes, found = said(folder(tmp_path, classes))
    assert found == names and any(each.replace(" 1:", ":").startswith(note) for each in notes)


def test_a_picture_that_test_has_twice_is_said(tmp_path):
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
    folder(tmp_path / "train")
    for name in "ab":
        (tmp_path / "test" / name).mkdir()
        Image.new("RGB", (4, 4), (9, 9, 9)).save(tmp_path / "test" / name / "x.png")
    notes, _ = said(tmp_path)
    assert notes == ["assumed: pictures that test has twice count twice, under another label, e.g. b/x.png"]


def test_a_picture_that_may_not_be_read_is_counted(tmp_path, monkeypatch):
    locked = folder(tmp_path) / "a" / "00.png"
    before = Image.open

    def refuse(file, *rest, **how):
        if str(file) == str(locked):
            raise PermissionError(13, "Permission denied")
        return before(file, *rest, **how)

    monkeypatch.setattr(Image, "open", refuse)
    monkeypatch.setattr(os, "access", lambda file, mode: str(file) != str(locked))
    with pytest.warns(UserWarning, match="Permission denied"):
        notes, _ = said(tmp_path)
    assert notes[0].startswith("dropped 1: pictures that cannot be read")
