"""Folders as tools and people leave them: what is taken, and what is refused in one line before training."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from bench.errors import BadInput
from bench.tasks import CocoFolder, Detection, VocFolder
from tests.support.box_data import BOXES, coco, coco_folder, draw, write_json, write_voc

pytestmark = pytest.mark.usefixtures("own_cache")


def entry(kind, **changes):
    """COCO's JSON with the first entry of a list changed."""
    top = coco()
    top[kind][0].update(changes)
    return top


@pytest.mark.parametrize(
    "top",
    [
        entry("images", file_name=None),
        entry("images", file_name=7),
        entry("images", id=[1]),
        entry("images", width="abc"),
        entry("categories", name=None),
        entry("categories", id={}),
        entry("annotations", category_id=[3]),
        entry("annotations", bbox="1234"),
        entry("annotations", bbox=[1, 2, 3]),
        entry("annotations", bbox=[1, 2, 3, 10**400]),
        entry("annotations", area="big"),
        entry("annotations", area=10**400),
        entry("annotations", iscrowd="no"),
        coco() | {"images": []},
    ],
)
def test_values_of_a_wrong_type_are_one_line(tmp_path, top):
    folder = coco_folder(tmp_path / "set")
    write_json(folder / "annotations" / "instances_train2017.json", top)
    with pytest.raises(BadInput) as told:
        CocoFolder(str(folder)).source()
    assert "instances_train2017.json" in str(told.value) and "\n" not in str(told.value)


def test_json_nested_too_deeply(tmp_path):
    folder = coco_folder(tmp_path / "set")
    (folder / "annotations" / "instances_train2017.json").write_text("[" * 100_000)
    with pytest.raises(BadInput, match="cannot be read as JSON"):
        CocoFolder(str(folder)).source()


def test_a_size_or_area_that_is_none_is_looked_up(tmp_path):
    folder, top = coco_folder(tmp_path / "set"), coco()
    top["images"][0]["width"] = -5
    top["annotations"][0]["area"] = -5
    write_json(folder / "annotations" / "instances_train2017.json", top)
    truth = CocoFolder(str(folder)).source().truths[0]
    assert truth.width == 80 and truth.area.tolist() == [600]


@pytest.mark.parametrize(
    ("annotations", "pictures", "named"),
    [
        ("result.json", "images", "images/{}.png"),  # Label Studio
        ("labels.json", "data", "{}.png"),  # FiftyOne
        ("annotations/instances.json", "train2017", "train2017/{}.png"),
        ("annotations/instances.json", "images", "images\\{}.png"),
        ("train.json", "images", "{}.png"),
        ("train.json", "train", "{}.png"),
    ],
)
def test_layouts_of_tools(tmp_path, annotations, pictures, named):
    top = coco()
    for i, name in enumerate(BOXES):
        top["images"][i]["file_name"] = named.format(name)
        draw(tmp_path / pictures / f"{name}.png", BOXES[name])
    write_json(tmp_path / annotations, top)
    pool = CocoFolder(str(tmp_path)).pool()
    assert [pool.read(i).size for i in range(3)] == [(80, 60)] * 3


def test_several_files_or_a_file_for_a_folder(tmp_path):
    write_json(tmp_path / "a.json", coco())
    write_json(tmp_path / "b.json", coco())
    with pytest.raises(BadInput, match=r"there are a\.json, b\.json"):
        CocoFolder(str(tmp_path)).source()
    for task in (CocoFolder, VocFolder):
        with pytest.raises(BadInput, match=r"a file: .* give a folder"):
            task(str(tmp_path / "a.json")).source()


@pytest.mark.parametrize(
    "build",
    [lambda: CocoFolder(5), lambda: CocoFolder(None), lambda: VocFolder(5), lambda: Detection("coco", root=5)],
)
def test_a_path_is_text(build):
    with pytest.raises(BadInput, match="give a folder, as text"):
        build()


def test_sixteen_bits_keep_their_contrast_and_thirty_two_are_refused(tmp_path):
    folder = coco_folder(tmp_path / "set")
    grey = np.full((60, 80), 1000, np.uint16)
    grey[4:24, 10:40] = 40_000
    file = folder / "train2017" / "a.png"
    Image.fromarray(grey).save(file)
    pixels = np.asarray(CocoFolder(str(folder)).pool().read(0))
    assert pixels[10, 20].tolist() == [156] * 3 and pixels[50, 70].tolist() == [3] * 3
    Image.fromarray(grey.astype(np.float32) / 65535).save(file, format="TIFF")
    with pytest.raises(BadInput, match=r"a\.png \(has values of 32 bits"):
        CocoFolder(str(folder)).pool().read(0)


@pytest.mark.parametrize(
    ("top", "message"),
    [
        (entry("categories", name="Cat"), "class 'Cat' occurs in test but not in train"),
        (entry("images", file_name="../train2017/a.png"), "listed twice"),
    ],
)
def test_a_class_or_picture_of_the_wrong_part(tmp_path, top, message):
    folder = coco_folder(tmp_path / "set")
    write_json(folder / "annotations" / "instances_test2017.json", top)
    with pytest.raises(BadInput, match=message):
        CocoFolder(str(folder)).source()


def test_a_changed_picture_changes_the_fingerprint_whatever_its_size(tmp_path):
    def made(shade):
        folder = coco_folder(tmp_path / shade / "set")
        for i in range(200):
            Image.new("RGB", (80, 60), shade if i == 137 else "red").save(folder / "train2017" / f"p{i}.bmp")
        top = coco()
        top["images"] += [{"id": 1000 + i, "file_name": f"p{i}.bmp", "width": 80, "height": 60} for i in range(200)]
        write_json(folder / "annotations" / "instances_train2017.json", top)
        return CocoFolder(str(folder)).fingerprint()

    assert made("red") != made("blue")


def test_voc_as_cameras_and_voc_itself_have_it(tmp_path):
    """JPG in capitals; trainval.txt in place of train.txt."""
    for name, boxes in BOXES.items():
        write_voc(tmp_path / "Annotations" / f"{name}.xml", boxes)
        draw(tmp_path / "JPEGImages" / f"{name}.JPG", boxes)
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "trainval.txt").write_text("a\nb\n")
    (lists / "test.txt").write_text("c\n")
    pool = VocFolder(str(tmp_path), val=1).pool()
    assert (len(pool.development), len(pool.official_test)) == (2, 1) and pool.read(0).size == (80, 60)
    (lists / "test.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match=r"test\.txt cannot be read"):
        VocFolder(str(tmp_path)).source()


@pytest.mark.parametrize(
    "text", ["<html></html>", "<annotation><size><width>inf</width></size></annotation>", "<?xml encoding='x'?><a/>"]
)
def test_xml_that_is_no_annotation(tmp_path, text):
    for name, boxes in BOXES.items():
        write_voc(tmp_path / f"{name}.xml", boxes)
        draw(tmp_path / f"{name}.png", boxes)
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(BadInput, match=r"a\.xml is not an annotation"):
        VocFolder(str(tmp_path)).source()


def test_voc_folders_and_pictures_that_are_there_twice(tmp_path):
    for place in ("train", "val", "valid"):
        for name, boxes in BOXES.items():
            write_voc(tmp_path / place / f"{name}.xml", boxes)
            draw(tmp_path / place / f"{name}.png", boxes)
    with pytest.raises(BadInput, match="both val/ and valid/"):
        VocFolder(str(tmp_path)).source()
    os.rename(tmp_path / "valid", tmp_path.parent / "elsewhere")
    draw(tmp_path / "train" / "a.jpg", BOXES["a"])
    with pytest.raises(BadInput, match="one annotation cannot be of both"):
        VocFolder(str(tmp_path)).source()
