"""Annotations in COCO's JSON and VOC's XML: every layout, what is mended and counted, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bench.errors import BadInput
from bench.tasks.detection.own_folders import CocoFolder, VocFolder
from tests.support.box_data import BOXES, coco, coco_folder, draw, write_json, write_voc

MANY = {f"p{i:02}": [(5, 5, 20 + i, 30)] for i in range(20)}


def test_coco_as_its_own_site_lays_it_out(tmp_path):
    source = CocoFolder(str(coco_folder(tmp_path / "set"))).source()
    assert source.classes == ("cat", "dog") and source.pool.name == "set"
    assert CocoFolder(str(tmp_path / "set")).sizes() == (3, 3, 3)
    second = source.truths[1]
    assert second.boxes.tolist() == [[60, 10, 76, 50], [8, 20, 20, 30]] and second.labels.tolist() == [1, 0]
    assert second.area.tolist() == [640, 120] and (second.width, second.height, second.number) == (80, 60, 1)
    picture = np.asarray(source.pool.read(1))
    assert picture.shape == (60, 80, 3) and picture[10:50, 60:76].min() == 255
    assert CocoFolder(str(tmp_path / "set")).source() is source, "read once while the files are the same"


def test_roboflows_layout_and_its_heading(tmp_path):
    """Pictures beside each file; category 0 is a heading that no box has."""
    for part in ("train", "valid", "test"):
        top = coco()
        top["categories"].insert(0, {"id": 0, "name": "animals", "supercategory": "none"})
        write_json(tmp_path / part / "_annotations.coco.json", top)
        for name, boxes in BOXES.items():
            draw(tmp_path / part / f"{name}.png", boxes)
    task = CocoFolder(str(tmp_path))
    assert task.sizes() == (3, 3, 3) and task.source().classes == ("cat", "dog")


@pytest.mark.parametrize("place", ["labels.json", "annotations/instances_default.json"])
def test_one_file_is_split_by_seed_with_a_fixed_test_part(tmp_path, place):
    write_json(tmp_path / place, coco(MANY))
    for name, boxes in MANY.items():
        draw(tmp_path / "images" / f"{name}.png", boxes)
    task = CocoFolder(str(tmp_path))
    assert task.sizes() == (13, 3, 4)
    (a, b, test), (c, _, same) = (task._split(task.source(), seed=seed) for seed in (0, 1))
    assert np.array_equal(test, same) and not np.array_equal(a, c) and not {*a, *b} & {*test}


def test_boxes_are_mended_dropped_and_counted(tmp_path):
    top = coco()
    extra = {"image_id": 10, "category_id": 7}
    for i, bbox in enumerate([[70, 50, 30, 30], [90, 5, 10, 10], [5, 5, 0, 9], [9, 9, -4, 5], [5, 5, float("nan"), 4]]):
        top["annotations"].append({**extra, "id": 100 + i, "bbox": bbox})
    top["annotations"].append({**extra, "id": 200, "bbox": [0, 0, 50, 50], "iscrowd": 1, "area": 77.5})
    folder = coco_folder(tmp_path / "set")
    write_json(folder / "annotations" / "instances_train2017.json", top)
    source = CocoFolder(str(folder)).source()
    first = source.truths[0]
    assert first.boxes.tolist() == [[10, 4, 40, 24], [70, 50, 80, 60], [0, 0, 50, 50]]
    assert first.area.tolist() == [600, 100, 77.5] and first.crowd.tolist() == [False, False, True]
    assert source.pool.removed == {"degenerate_boxes_dropped": 3, "boxes_outside_dropped": 1, "boxes_clipped": 1}


def test_sizes_that_the_file_does_not_say_are_looked_up(tmp_path):
    folder, top = coco_folder(tmp_path / "set"), coco()
    for entry in top["images"]:
        del entry["width"], entry["height"]
    write_json(folder / "annotations" / "instances_train2017.json", top)
    assert CocoFolder(str(folder)).source().truths[0].width == 80


def test_a_camera_that_lay_on_its_side(tmp_path):
    """The size that the annotations give decides whether the note in the file is heeded; another size is refused."""
    folder = coco_folder(tmp_path / "set")
    turned = Image.new("RGB", (60, 80))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(folder / "train2017" / "a.png", exif=exif)
    assert CocoFolder(str(folder)).pool().read(0).size == (80, 60)
    Image.new("RGB", (60, 80)).save(folder / "train2017" / "a.png")
    with pytest.raises(BadInput, match=r"a.png is 60×80 pixels; its annotation says 80×60"):
        CocoFolder(str(folder)).pool().read(0)


def test_the_fingerprint_is_of_boxes_and_pictures_not_of_the_place(tmp_path):
    one, other = (CocoFolder(str(coco_folder(tmp_path / where / "set"))) for where in ("here", "there"))
    before = one.fingerprint()
    assert before == other.fingerprint()
    moved = {**BOXES, "a": [(11, 4, 40, 24)]}
    write_json(tmp_path / "there" / "set" / "annotations" / "instances_val2017.json", coco(moved))
    assert other.fingerprint() != before


def broken(change):
    """COCO's JSON with one thing wrong."""
    top = coco()
    change(top)
    return top


@pytest.mark.parametrize(
    ("top", "message"),
    [
        ([], "no list 'images': this is not COCO's JSON"),
        (broken(lambda top: top.pop("categories")), "no list 'categories'"),
        (broken(lambda top: top["annotations"][1].pop("bbox")), "annotation 1 has no 'bbox' and no 'segmentation'"),
        (broken(lambda top: top["annotations"][0].update(image_id=99)), "annotation 0 is of image 99, which"),
        (broken(lambda top: top["annotations"][2].update(category_id=8)), "annotation 2 is of category 8, which"),
        (broken(lambda top: top["annotations"][2].update(bbox=[1, 2, 3])), r"bbox \[1, 2, 3\]: it must be \[x, y, wid"),
        (broken(lambda top: top["images"][1].update(id=10)), "1 ids of images twice"),
        (broken(lambda top: top["images"][1].update(file_name="a.png")), "a.png is listed twice"),
        (
            broken(lambda top: top["images"][1].update(file_name="z.png")),
            "1 of 9 pictures are missing, the first .*z.p",
        ),
        (broken(lambda top: top.update(images=[], annotations=[])), "lists no pictures"),
    ],
)
def test_what_is_not_coco_is_refused(tmp_path, top, message):
    folder = coco_folder(tmp_path / "set")
    write_json(folder / "annotations" / "instances_train2017.json", top)
    with pytest.raises(BadInput, match=message):
        CocoFolder(str(folder)).sizes()


def test_what_was_looked_for_is_said(tmp_path):
    with pytest.raises(BadInput, match=r"no folder: .*instances_\{train,val,test\}\*\.json"):
        CocoFolder(str(tmp_path / "none")).sizes()
    with pytest.raises(BadInput, match=r"no annotations to train on: looked for .*_annotations.coco.json"):
        CocoFolder(str(tmp_path)).sizes()
    with pytest.raises(BadInput, match=r"no annotations to train on: looked for Annotations/\*.xml"):
        VocFolder(str(tmp_path)).sizes()
    folder = coco_folder(tmp_path / "set")
    write_json(folder / "annotations" / "instances_train2014.json", coco())
    with pytest.raises(
        BadInput, match=r"two annotation files for train, instances_train2014.json and instances_train2"
    ):
        CocoFolder(str(folder)).sizes()
    (tmp_path / "labels.json").write_text("{")
    with pytest.raises(BadInput, match=r"labels.json cannot be read as JSON"):
        CocoFolder(str(tmp_path)).sizes()


def test_a_part_without_boxes_is_refused_before_training(tmp_path):
    folder, empty = coco_folder(tmp_path / "set"), coco(dict.fromkeys(BOXES, ()))
    write_json(folder / "annotations" / "instances_test2017.json", empty)
    with pytest.raises(BadInput, match="no box is marked on the 3 pictures of the test part: AP is not defined"):
        CocoFolder(str(folder)).sizes()
    for part in ("train", "val"):
        write_json(folder / "annotations" / f"instances_{part}2017.json", empty)
    with pytest.raises(BadInput, match="not one box is marked on 9 pictures"):
        CocoFolder(str(folder)).sizes()


def voc_folder(path):
    """As Pascal VOC lays it out: the parts are lists of names."""
    for name, boxes in BOXES.items():
        write_voc(path / "Annotations" / f"{name}.xml", boxes, names=["dog", "cat"], difficult=[1])
        draw(path / "JPEGImages" / f"{name}.jpg", boxes)
    (path / "ImageSets" / "Main").mkdir(parents=True)
    for part, names in (("train", "a  1\n"), ("val", "b\n\n"), ("test", "c\n")):
        (path / "ImageSets" / "Main" / f"{part}.txt").write_text(names)
    return path


def test_pascal_voc(tmp_path):
    """Pixels count from 1 and boxes include their last; difficult ones are crowds."""
    task = VocFolder(str(voc_folder(tmp_path / "set")))
    source = task.source()
    assert task.sizes() == (1, 1, 1) and source.classes == ("cat", "dog")
    second = source.truths[1]
    assert second.boxes.tolist() == [[60, 10, 76, 50], [8, 20, 20, 30]]
    assert second.labels.tolist() == [1, 0] and second.crowd.tolist() == [False, True]


@pytest.mark.parametrize("parts", [("",), ("train", "valid", "test")])
def test_voc_files_beside_their_pictures(tmp_path, parts):
    for part in parts:
        for name, boxes in MANY.items():
            write_voc(tmp_path / part / f"{name}.xml", boxes, size=False)
            draw(tmp_path / part / f"{name}.png", boxes)
    task = VocFolder(str(tmp_path))
    assert task.sizes() == ((13, 3, 4) if len(parts) == 1 else (20, 20, 20))
    assert task.source().truths[3].boxes.tolist() == [[5, 5, 23, 30]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation>", "a.xml is not an annotation in Pascal VOC's XML: "),
        ("<annotation><object><name>x</name></object></annotation>", "an object has no bndbox/xmin"),
    ],
)
def test_what_is_not_voc_is_refused(tmp_path, text, message):
    folder = voc_folder(tmp_path / "set")
    (folder / "Annotations" / "a.xml").write_text(text)
    with pytest.raises(BadInput, match=message):
        VocFolder(str(folder)).sizes()


def test_a_voc_picture_or_annotation_that_is_missing(tmp_path):
    folder = voc_folder(tmp_path / "set")
    (folder / "JPEGImages" / "b.jpg").unlink()
    with pytest.raises(BadInput, match=r"1 of 3 pictures are missing, the first .*b.jpg"):
        VocFolder(str(folder)).sizes()
    (folder / "Annotations" / "c.xml").unlink()
    with pytest.raises(BadInput, match=r"1 of 3 annotations are missing, the first .*c.xml"):
        VocFolder(str(folder)).sizes()
