"""What a plan says of the data: sizes, classes, majority, what to beware of, what was done."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bench.tasks import CocoFolder, ImageFolder, Images, TextCsv
from bench.tasks.data_notes import Note
from bench.tasks.data_summary import Explains, Understood, lines, of_pool
from bench.tasks.pools import Pool
from tests.support.box_data import coco_folder

pytestmark = pytest.mark.usefixtures("own_cache")


def test_sizes_classes_and_majority_of_a_declared_set():
    found = list(lines(Images("digits", train=800, val=200).understood()))
    assert found[0] == "data of digits: 800 train, 200 validation, 500 test pictures, 10 classes (seed 0)"
    assert found[1].split() == ["class", "train", "validation", "test"] and found[2].split()[0] == "0"
    counts = np.array([list(map(int, line.split()[1:])) for line in found[2:12]])
    assert counts.sum(0).tolist() == [800, 200, 500] and len(found) == 13 and "majority class" in found[12]


def test_few_samples_unequal_classes_and_a_class_without_a_test_sample():
    counts = {"often": (90, 30, 90), "seldom": (6, 2, 10), "never": (4, 1, 0)}
    found = "\n".join(lines(Understood("x", "texts", (100, 33, 100), counts)))
    assert "majority class 'often': right on 0.90 of test, with a macro F1 of 0.32: the classes are unequal" in found
    assert "beware: 1 of 3 classes have no sample in test: 'never'" in found
    few = "\n".join(lines(Understood("x", "pictures", (24, 6, 24), {"a": (12, 3, 12), "b": (12, 3, 12)})))
    assert "12 training pictures a class and 24 to test on, which leave an accuracy uncertain by up to ±0.20" in few
    assert "a few seeds will decide little" in few and "unequal" not in few
    many = {str(i): (100, 100, 100 + i) for i in range(4)}
    assert "beware" not in "\n".join(lines(Understood("x", "texts", (400, 400, 406), many)))


def test_many_classes_are_shortened_and_names_are_printable():
    many = {f"class\x1b {i}": (50, 5, 500 - i) for i in range(300)}
    found = list(lines(Understood("x", "texts", (15000, 1500, 100000), many)))
    assert len(found) == 24 and found[12].strip() == "… 280 classes between these in number"
    assert "\x1b" not in "".join(found) and max(map(len, found)) < 200


def test_notes_and_what_only_records_have_a_name_for():
    note = Note("dropped", "texts that are in test too", 2, "a", "test_duplicates_removed")
    counts = {"test_duplicates_removed": 2, "boxes_clipped": 3, "nothing_removed": 0}
    labels = np.array([0, 1] * 50)
    pool = Pool("x", labels, 2, str, str, "", np.arange(100), removed=counts, notes=(note,), names=("a", "b"))
    found = of_pool(pool, np.split(np.arange(100), [60, 80]), "texts")
    assert found.notes == ("dropped 2: texts that are in test too, e.g. a", "boxes clipped: 3")
    assert found.classes == {"a": (30, 10, 10), "b": (30, 10, 10)}


def test_own_data_are_explained(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"text {i},{'ab'[i % 2]}\n" for i in range(30)))
    found = list(lines(TextCsv(str(tmp_path / "a.csv")).understood()))
    assert found[0] == "data of a: 20 train, 4 validation, 6 test texts, 2 classes (seed 0)"
    for i in range(20):
        file = tmp_path / "set" / "ab"[i % 2] / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("LA", (4, 4), (i, 255)).save(file)
    found = list(lines(ImageFolder(str(tmp_path / "set")).understood()))
    assert found[0].startswith("data of set: 13 train, 3 validation, 4 test pictures, 2 classes")
    assert found[-1] == "  mended 20: pictures with transparency laid on white, e.g. a/0.png"
    task = CocoFolder(str(coco_folder(tmp_path / "boxes")))
    found = list(lines(task.understood()))
    assert found[0] == "data of boxes: 3 train, 3 validation, 3 test pictures, 2 classes (seed 0)"
    assert found[1].split()[0] == "boxes" and found[2].split() == ["cat", "2", "2", "2"]
    assert isinstance(task, Explains)
