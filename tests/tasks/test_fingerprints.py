"""Whatever determines a result is in the fingerprint of the data: any byte of any file, any label."""

from __future__ import annotations

import hashlib
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.assets.download import sha256
from bench.errors import BadInput
from bench.tasks import CocoFolder, Detection, ImageFolder, Images, TextCsv, VocFolder
from bench.tasks.detection import coco as coco_reader
from bench.tasks.detection import task as of_boxes
from bench.tasks.images import sets
from bench.tasks.images import task as of_images
from tests.support.box_data import BOXES, coco, write_json, write_voc
from tests.support.hub_cache import spoil

pytestmark = pytest.mark.usefixtures("own_cache")


def noisy(file: Path, number: int, size: tuple[int, int] = (80, 60)) -> Path:
    """A picture of more than 8 KB, so that neither its beginning nor a piece of it is all of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(file)
    return file


def folder(root: Path) -> tuple[ImageFolder, Path]:
    files = [noisy(root / name / f"{i}.bmp", 10 * c + i) for c, name in enumerate("ab") for i in range(6)]
    return ImageFolder(str(root)), files[3]


def eurosat(root: Path) -> tuple[Images, Path]:
    files = [noisy(root / "eurosat" / "2750" / f"Class{c}" / f"{i}.jpg", 10 * c + i) for c in range(10) for i in (0, 1)]
    return Images("eurosat", root=str(root)), files[5]


def food(root: Path) -> tuple[Images, Path]:
    for part, numbers in (("train", (0, 1)), ("test", (2, 3))):
        files = [noisy(root / "food-101" / "images" / n / f"{i}.jpg", i + ord(n)) for n in "ab" for i in numbers]
        listed = {name: [f"{name}/{i}" for i in numbers] for name in "ab"}
        write_json(root / "food-101" / "meta" / f"{part}.json", listed)
    return Images("food101", root=str(root)), files[-1]


def boxes(root: Path) -> tuple[CocoFolder, Path]:
    files = [noisy(root / "images" / f"{name}.bmp", i) for i, name in enumerate(BOXES)]
    write_json(root / "train.json", coco(suffix=".bmp"))
    return CocoFolder(str(root)), files[1]


def declared(root: Path) -> tuple[Detection, Path]:
    for part in ("train", "val"):
        files = [noisy(root / f"{part}2017" / f"{name}.bmp", i + len(part)) for i, name in enumerate(BOXES)]
        write_json(root / "annotations" / f"instances_{part}2017.json", coco(suffix=".bmp"))
    return Detection("coco", root=str(root)), files[0]


def xml(root: Path) -> tuple[VocFolder, Path]:
    for i, (name, those) in enumerate(BOXES.items()):
        write_voc(root / f"{name}.xml", those)
        file = noisy(root / f"{name}.bmp", i)
    return VocFolder(str(root)), file


@pytest.fixture
def anew(monkeypatch):
    """What is declared is kept for as long as a process lives: what stands for a new one."""
    monkeypatch.setenv("LORA_BENCH_OFFLINE", "1")

    def begin() -> None:
        for kept in (of_images._pool, of_boxes._declared, coco_reader._read):
            kept.cache_clear()
        monkeypatch.setattr("bench.assets.digests._known", {})

    return begin


@pytest.mark.parametrize("make", [folder, eurosat, food, boxes, declared, xml])
def test_a_byte_in_the_middle_of_a_picture(make, tmp_path, anew):
    task, file = make(tmp_path / "set")
    before = task.fingerprint()
    anew()
    assert task.fingerprint() == before
    spoil(file)
    anew()
    assert task.fingerprint() != before


def test_a_copy_is_the_same_data(tmp_path):
    for make in (folder, boxes, xml):
        task, _ = make(tmp_path / "here" / "set")
        other, _ = make(tmp_path / "there" / "set")
        assert task.fingerprint() == other.fingerprint()
        shutil.rmtree(tmp_path / "here"), shutil.rmtree(tmp_path / "there")


def test_files_are_read_once_for_as_long_as_they_do_not_change(tmp_path, anew, monkeypatch):
    task, file = folder(tmp_path / "set")
    time.sleep(0.06)  # what is younger than a tick of the clock may change unseen
    before, read = task.fingerprint(), []
    monkeypatch.setattr("bench.assets.digests.sha256", lambda path: read.append(path.name) or sha256(path))
    anew()
    of_images._folder.cache_clear()
    assert task.fingerprint() == before and read == []
    spoil(file)
    anew()
    assert task.fingerprint() != before and {*read} == {file.name}


def test_labels_and_parts_of_texts(tmp_path):
    rows = ["text,label", *(f"text {i},{'ab'[i % 2]}" for i in range(20))]
    (tmp_path / "train.csv").write_text("\n".join(rows))
    task = TextCsv(str(tmp_path))
    before = task.fingerprint()
    (tmp_path / "train.csv").write_text("\n".join([*rows[:-1], "text 19,a"]))
    other = task.fingerprint()
    (tmp_path / "train.csv").write_text("\n".join(rows))
    assert other != before == task.fingerprint()
    (tmp_path / "train.csv").rename(tmp_path / "train.tsv")
    (tmp_path / "train.tsv").write_text("\n".join(rows).replace(",", "\t"))
    tabs = task.fingerprint()
    (tmp_path / "train.tsv").write_text("\n".join(rows))
    assert len({before, tabs}) == 2


def test_labels_of_arrays():
    pixels, labels = np.zeros((4, 2, 2), np.uint8), np.array([0, 1, 0, 1])
    one, other = (sets._of_arrays("x", pixels, those, 2).sha256 for those in (labels, labels[::-1]))
    assert one != other


def test_a_torchvision_set_whose_hash_is_known(tmp_path, monkeypatch):
    """Fashion-MNIST as torchvision leaves it, unpacked: it looks at no hash then."""
    monkeypatch.setenv("LORA_BENCH_OFFLINE", "1")
    raw, pixels = tmp_path / "FashionMNIST" / "raw", np.arange(4 * 784).astype(np.uint8)
    raw.mkdir(parents=True)
    for part, rows in (("train", 3), ("t10k", 1)):
        of = pixels[: 3 * 784] if part == "train" else pixels[3 * 784 :]
        head = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (rows, 28, 28))
        (raw / f"{part}-images-idx3-ubyte").write_bytes(head + of.tobytes())
        marks = bytes([0, 0, 8, 1]) + rows.to_bytes(4, "big") + bytes(range(rows))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(marks)
    task = Images("fashion-mnist", root=str(tmp_path))
    with pytest.raises(BadInput, match="are not the published ones: delete it, and it is fetched again"):
        task.pool()
    monkeypatch.setattr(sets, "FASHION_SHA256", hashlib.sha256(pixels.tobytes()).hexdigest())
    assert len(task.pool().development) == 3
