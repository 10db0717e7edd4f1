"""The declared sets for detection: made pictures, tree crowns, and COCO and VOC as they lie on a disk."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from bench.errors import BadInput
from bench.spec import parse
from bench.tasks.detection import composited as made
from bench.tasks.detection.sets import BOX_SETS
from bench.tasks.detection.task import Detection
from bench.tasks.pools import split
from tests.support.box_data import BOXES, coco_folder, draw, write_voc


@pytest.fixture(scope="module")
def digits():
    """The set that needs no asset, made once."""
    return Detection("composited-digits").source()


def test_composited_digits_are_the_same_every_time(digits):
    assert len(digits.truths) == 500 and digits.classes == tuple("0123456789")
    assert Detection("composited-digits").sizes() == (320, 80, 100)
    assert BOX_SETS["composited-digits"].load(None).pool.sha256 == digits.pool.sha256
    assert not digits.pool.flip and not digits.vertical, "a mirrored 2 is none"
    assert "composited" in digits.pool.title(0)


def test_composited_boxes_are_within_apart_and_of_every_size(digits):
    counts = [len(truth.boxes) for truth in digits.truths]
    assert min(counts) == 1 and max(counts) == 5
    boxes = np.concatenate([truth.boxes for truth in digits.truths])
    assert boxes.min() >= 0 and boxes.max() <= made.SIZE
    sides = (boxes[:, 2:] - boxes[:, :2]).max(1)
    assert sides.min() < 24 and sides.max() > 48
    assert {*np.concatenate([truth.labels for truth in digits.truths])} == set(range(10))
    for truth in digits.truths[:50]:
        pairs = ((a, b) for i, a in enumerate(truth.boxes) for b in truth.boxes[:i])
        assert all(made._covered(tuple(a), tuple(b)) <= made.OVERLAP for a, b in pairs)


def test_a_composited_box_is_tight_around_its_digit():
    """The ink that lies on a black canvas reaches all four sides of its box."""
    scikit = load_digits()
    marks = made._pasted(
        canvas := np.zeros((made.SIZE, made.SIZE, 3)),
        np.round(scikit.images * (255 / 16)).astype(np.uint8),
        scikit.target,
        np.random.default_rng(0),
    )
    assert marks
    for (x1, y1, x2, y2), _ in marks:
        ink = canvas[int(y1) : int(y2), int(x1) : int(x2)].max(2) > 20
        assert ink[0].any() and ink[-1].any() and ink[:, 0].any() and ink[:, -1].any()


def test_composited_tests_are_cut_from_the_other_side_of_the_photographs():
    """Columns as grey values: no training crop sees a column right of the border, no test crop one left of it."""
    from PIL import Image

    columns = np.broadcast_to(np.linspace(0, 255, 640).astype(np.uint8), (427, 640))
    photo, random = Image.fromarray(np.stack([columns] * 3, 2)), np.random.default_rng(0)
    border = 255 * made.LEFT
    assert max(made._background(photo, random, left=True).max() for _ in range(50)) <= border + 1
    assert min(made._background(photo, random, left=False).min() for _ in range(50)) >= border - 1


@pytest.mark.assets
def test_composited_mnist(asset):
    asset("mnist-5k")
    source = Detection("composited-mnist").source()
    assert len(source.truths) == 500 and Detection("composited-mnist", train=100, val=20).sizes() == (100, 20, 100)


@pytest.mark.assets
def test_tree_crowns_are_tested_on_other_places(asset):
    asset("tree-crowns")
    task = Detection("tree-crowns")
    source, pool = task.source(), task.pool()
    assert task.sizes() == (62, 16, 28) and source.classes == ("tree",) and source.vertical
    titles = [{pool.title(int(i)).split(" ")[0][:12] for i in part} for part in split(pool, **dict.fromkeys(
        ("train", "val", "test")), seed=0)]  # fmt: skip
    assert titles[0] == titles[1] == {"2019_YELL_2_"} and {"OSBS_029", "SOAP_061"} < titles[2]
    assert pool.removed["empty_train_tiles_dropped"] == 12 and pool.removed["boxes_between_tiles_dropped"] == 6
    # 951 boxes; one that lies half in each of two tiles stands on both.
    assert sum(len(truth.boxes) for truth in source.truths) == 947
    assert all(len(source.truths[i].boxes) for i in pool.development)
    assert {pool.read(i).size for i in range(len(source.truths))} == {(256, 256)}


def test_coco_where_it_lies(tmp_path, monkeypatch):
    monkeypatch.setenv("LORA_BENCH_CACHE", str(tmp_path / "cache"))
    task = Detection("coco", root=str(coco_folder(tmp_path / "mine", parts=("train", "val"))), val=1)
    assert task.sizes() == (2, 1, 3), "its validation part is tested on"
    assert task.classes == 80 and task.source().classes == ("cat", "dog")
    for lost in (Detection("coco"), Detection("coco", root=str(tmp_path / "none"))):
        with pytest.raises(BadInput, match=r"coco: no .*instances_train2017.json: put .* or give root=…"):
            lost.sizes()


@pytest.mark.parametrize(("year", "train", "test"), [("2007", "trainval", "test"), ("2012", "train", "val")])
def test_voc_as_torchvision_lays_it_out(tmp_path, monkeypatch, year, train, test):
    monkeypatch.setenv("LORA_BENCH_OFFLINE", "1")
    base = tmp_path / "mine" / "VOCdevkit" / f"VOC{year}"
    for name, boxes in BOXES.items():
        write_voc(base / "Annotations" / f"{name}.xml", boxes)
        draw(base / "JPEGImages" / f"{name}.jpg", boxes)
    (base / "ImageSets" / "Main").mkdir(parents=True)
    (base / "ImageSets" / "Main" / f"{train}.txt").write_text("a\nb\n")
    (base / "ImageSets" / "Main" / f"{test}.txt").write_text("c\n")
    task = Detection(f"voc{year}", root=str(tmp_path / "mine"))
    assert task.sizes() == (1, 1, 1) and task.source().pool.title(2) == "c.jpg"
    monkeypatch.setenv("LORA_BENCH_CACHE", str(tmp_path / "cache"))
    with pytest.raises(BadInput, match=rf"voc{year}: not found in .* cannot be downloaded .*: put VOCdevkit/ there"):
        Detection(f"voc{year}").sizes()
    with pytest.raises(BadInput, match=rf"voc{year}: no folder 'nowhere'"):
        Detection(f"voc{year}", root="nowhere").sizes()


def test_names_that_are_not_there():
    with pytest.raises(BadInput, match="unknown set for detection 'tree-crown': did you mean 'tree-crowns'"):
        Detection("tree-crown")
    with pytest.raises(BadInput, match="unknown detector 'fcoss': did you mean 'fcos'"):
        Detection("tree-crowns", detector="fcoss")
    with pytest.raises(BadInput, match="head width 48"):
        Detection("tree-crowns", head_width=48)
    with pytest.raises(BadInput, match="val=0: give a whole number"):
        Detection("tree-crowns", val=0)
    with pytest.raises(BadInput, match="needs a bool"):
        Detection("tree-crowns", augment=1)
    text = "Detection('coco', detector='retinanet', root='here')"
    assert repr(parse(text, known={"Detection": Detection}, kind="task")) == text
