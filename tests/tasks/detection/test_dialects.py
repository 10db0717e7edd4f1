"""COCO's JSON and VOC's XML as tools really write them, and folders as people leave them."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
from pycocotools import mask

from bench.errors import BadInput
from bench.tasks.detection.coco_json import outlined, plain
from bench.tasks.detection.own_folders import CocoFolder, VocFolder
from tests.support.box_data import BOXES, coco, coco_folder, draw, write_json, write_voc

pytestmark = pytest.mark.usefixtures("own_cache")
TRAIN = "annotations/instances_train2017.json"


def changed(path, change, where=TRAIN):
    """A folder in which one thing of a file is changed."""
    folder, top = coco_folder(path / "set"), coco()
    change(top)
    write_json(folder / where, top)
    return CocoFolder(str(folder))


def said(task):
    return [str(note) for note in task.pool().notes]


def each(kind, **values):
    def change(top):
        for entry in top[kind]:
            entry.update({key: value(entry) for key, value in values.items()})

    return change


def refused(task, match):
    with pytest.raises(BadInput, match=match) as caught:
        task.sizes()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1300


def polygon(entry):
    x, y, w, h = entry["bbox"]
    return [[x, y, x + w, y, x + w, y + h, x, y + h]]


def runs(entry):
    x, y, w, h = entry["bbox"]
    pixels = np.zeros((60, 80), np.uint8, order="F")
    pixels[y : y + h, x : x + w] = 1
    return mask.encode(pixels)


def compressed(entry):
    return {"size": [60, 80], "counts": runs(entry)["counts"].decode()}


def uncompressed(entry):
    flat = mask.decode(runs(entry)).ravel(order="F").astype(int)
    edges = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), len(flat)]
    counts = np.diff(edges).tolist()
    return {"size": [60, 80], "counts": ([0] * int(flat[0])) + counts}


@pytest.mark.parametrize("outline", [polygon, lambda e: polygon(e)[0], compressed, uncompressed])
@pytest.mark.parametrize("bbox", [None, []])
def test_boxes_are_computed_from_outlines(tmp_path, outline, bbox):
    truth = CocoFolder(str(coco_folder(tmp_path / "plain"))).source().truths

    def change(top):
        each("annotations", segmentation=outline)(top)
        each("annotations", bbox=lambda entry: bbox)(top)

    task = changed(tmp_path, change)
    for one, other in zip(task.source().truths[:3], truth[:3], strict=True):
        assert np.array_equal(one.boxes, other.boxes) and np.array_equal(one.area, other.area)
    assert task.pool().removed["boxes_computed"] == 4
    assert said(task)[0].startswith("mended 4: boxes computed from their outlines, e.g. instances_train2017.json: anno")


def test_outlines_agree_with_pycocotools():
    generator = np.random.default_rng(0)
    for _ in range(50):
        corners = generator.integers(0, 50, (3, 2)).astype(float)
        box, area = outlined([corners.ravel().tolist()], "x")
        packed = mask.frPyObjects([corners.ravel().tolist()], 60, 60)
        x, y, w, h = mask.toBbox(packed)[0]
        around = sum(np.hypot(*(corners[i] - corners[i - 1])) for i in range(3))
        assert abs(area - float(mask.area(packed)[0])) <= around
        if w * h:
            assert box[0] - 1 <= x and box[1] - 1 <= y and x + w <= box[2] + 1 and y + h <= box[3] + 1
    assert outlined([[0, 0, 10, 0, 10, 5, 0, 5], [20, 20, 22, 20, 22, 22, 20, 22]], "x") == ((0, 0, 22, 22), 54)


def test_masks_are_unpacked_as_pycocotools_packs_them():
    """And what it would crash on is refused."""
    generator = np.random.default_rng(0)
    for _ in range(100):
        height, width = generator.integers(1, 40, 2).tolist()
        pixels = np.asfortranarray(generator.random((height, width)) < generator.choice([0.02, 0.5, 0.98]), np.uint8)
        packed = mask.encode(pixels)
        box, area = outlined({"size": [height, width], "counts": packed["counts"].decode()}, "x")
        x, y, w, h = mask.toBbox(packed)
        assert (box, area) == ((x, y, x + w, y + h), pixels.sum())
    for _ in range(300):
        text = "".join(map(chr, generator.integers(32, 127, generator.integers(0, 12))))
        with pytest.raises(BadInput, match="is no outline"):
            outlined({"size": [61, 83], "counts": text}, "x")


@pytest.mark.parametrize(
    "outline",
    [[], None, [[]], [[1, 2, 3]], [[1, 2, 3, 4]], "x", 5, {"size": [60, 80]}, {"size": [0, 0], "counts": []},
     {"size": [60, 80], "counts": [1, 2]}, {"size": [10**9, 10**9], "counts": "x"}, {"counts": [1]}, [["a"] * 6],
     [[float("nan")] * 6], [10**400] * 6],
)  # fmt: skip
def test_what_is_no_outline_is_refused(tmp_path, outline):
    def change(top):
        del top["annotations"][0]["bbox"]
        top["annotations"][0]["segmentation"] = outline

    refused(changed(tmp_path, change), r"annotation 0 has no 'bbox'")


@pytest.mark.parametrize("id_", [float, str, lambda i: f" {i} ", lambda i: f"img-{i}"])
def test_ids_may_be_floats_or_texts_and_annotations_need_none(tmp_path, id_):
    def change(top):
        other = id_ if id_(1) == "img-1" else int
        for entry in top["images"]:
            entry["id"] = id_(entry["id"])
        for number, entry in enumerate(top["annotations"]):
            entry["image_id"] = (id_, other)[number % 2](entry["image_id"])
            entry["category_id"] = float(entry["category_id"])
            del entry["id"]

    plain_set = CocoFolder(str(coco_folder(tmp_path / "plain")))
    task = changed(tmp_path, change)
    assert [t.boxes.tolist() for t in task.source().truths] == [t.boxes.tolist() for t in plain_set.source().truths]


def test_ids_that_differ_stay_apart():
    assert plain(7) == plain("7") == plain(7.0) == 7 and plain("07") == "07" and plain(7.5) == 7.5
    assert plain("x" * 10**6) == "x" * 10**6 and plain("9" * 5000) == "9" * 5000


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, [], {}])
def test_ids_that_are_none(tmp_path, value):
    refused(changed(tmp_path, lambda top: top["images"][0].update(id=value)), "entry 0 of 'images' has")


def test_two_categories_of_one_id_or_name(tmp_path):
    refused(changed(tmp_path / "a", lambda top: top["categories"].append({"id": 7, "name": "cow"})), "two categories")
    task = changed(tmp_path / "b", lambda top: top["categories"].append({"id": 9, "name": "cat"}))
    assert said(task)[0].startswith("assumed: categories of one name count as one")


@pytest.mark.parametrize(
    "names",
    [("instances_Train.json", "instances_Val.json", "instances_Test.json"),
     ("TRAIN.json", "Validation.json", "test.json"),
     ("train_annotations.json", "valid_annotations.json", "test.json"), ("train2017.json", "dev.json", "testing.json"),
     ("coco_train.json", "annotations_val.json", "instances-test.json")],
)  # fmt: skip
@pytest.mark.parametrize("inside", ["annotations", "Annotations", ""])
def test_names_of_files_in_any_case(tmp_path, names, inside):
    for name, part in zip(names, ("train", "val", "test"), strict=True):
        write_json(tmp_path / inside / name, coco())
        for stem, boxes in BOXES.items():
            draw(tmp_path / part.upper() / f"{stem}.png", boxes)
    for name in ("captions_train2017.json", "person_keypoints_train2017.json"):
        write_json(tmp_path / inside / name, {})
    task = CocoFolder(str(tmp_path))
    assert task.sizes() == (3, 3, 3)
    assert "ignored 2: JSON files that are of no part by their names" in said(task)[0]


@pytest.mark.parametrize(
    "prefix",
    ["/data/upload/3/", "upload/1/", "https://host/x/", "s3://bucket/x/", "C:\\Users\\me\\",
     "../../label-studio/media/",
     "/data/local-files/?d=some/where/", "images/3/1a2b3c4d-"],
)  # fmt: skip
def test_names_with_what_an_upload_puts_before_them(tmp_path, prefix):
    top = coco()
    each("images", file_name=lambda entry: prefix + entry["file_name"])(top)
    write_json(tmp_path / "labels.json", top)
    for stem, boxes in BOXES.items():
        draw(tmp_path / "images" / f"{stem}.png", boxes)
    task = CocoFolder(str(tmp_path), val=1)
    assert len(task.pool().labels) == 3 and said(task)[0].startswith("mended 3: pictures found by the end of their nam")


@pytest.mark.parametrize("form", ["../../outside/a.png", "{}/outside/a.png", "../../outside/only_there.png"])
def test_names_that_lead_out_of_the_folder_are_refused(tmp_path, form):
    for name in ("a", "only_there"):
        draw(tmp_path / "outside" / f"{name}.png", BOXES["a"])
    task = changed(tmp_path, lambda top: top["images"][0].update(file_name=form.format(tmp_path)))
    refused(task, "lies outside")
    refused(changed(tmp_path / "2", lambda top: top["images"][0].update(file_name="../../../z.png")), "lies outside")


@pytest.mark.parametrize("name", ["a\0.png", "x" * 5000 + ".png", "", ".", "a/" * 3000, "\ud800.png"])
def test_names_that_are_no_names(tmp_path, name):
    refused(changed(tmp_path, lambda top: top["images"][0].update(file_name=name)), "1 of 9 pictures are missing|no f")


@pytest.mark.parametrize("size", [10**400, 10**10, -1, 0, True, 1e308])
def test_sizes_that_are_none_are_looked_up(tmp_path, size):
    task = changed(tmp_path, lambda top: top["images"][0].update(width=size))
    assert (task.source().truths[0].width, task.source().truths[0].height) == (80, 60)


@pytest.mark.parametrize("where", ["file_name", "bbox", "id", "area"])
def test_values_nested_deeply(tmp_path, where):
    folder = coco_folder(tmp_path / "set")
    deep = "[" * 30_000 + "]" * 30_000
    kind = "images" if where in ("file_name", "id") else "annotations"
    text = json.dumps(coco())
    first = coco()[kind][0].get(where)
    text = text.replace(f'"{where}": {json.dumps(first)}', f'"{where}": {deep}', 1) if first is not None else deep
    (folder / TRAIN).write_text(text)
    refused(CocoFolder(str(folder)), "instances_train2017.json")


def test_a_message_never_repeats_a_file(tmp_path):
    huge = "x" * 3_000_000
    for number, change in enumerate((
        lambda top: top["images"][0].update(file_name=huge), lambda top: top["annotations"][0].update(bbox=[huge]),
        lambda top: top["categories"][0].update(id=huge), lambda top: top["images"][0].update(width=huge),
    )):  # fmt: skip
        refused(changed(tmp_path / str(number), change), "train2017")
    write_voc(tmp_path / "voc" / "a.xml", BOXES["a"])
    (tmp_path / "voc" / "a.xml").write_text(
        (tmp_path / "voc" / "a.xml").read_text().replace("<xmin>11", "<xmin>" + huge)
    )
    draw(tmp_path / "voc" / "a.png", BOXES["a"])
    refused(VocFolder(str(tmp_path / "voc")), "a.xml is not an annotation")


def test_boxes_in_fractions_are_refused(tmp_path):
    def change(top):
        each("annotations", bbox=lambda entry: [0.1, 0.1, 0.2, 0.3])(top)

    folder = changed(tmp_path, change).path
    for part in ("val", "test"):
        shutil.copy(f"{folder}/{TRAIN}", f"{folder}/annotations/instances_{part}2017.json")
    refused(CocoFolder(folder), "these are fractions; give pixels")


def test_litter_unlisted_pictures_and_unknown_folders(tmp_path):
    folder = coco_folder(tmp_path / "set")
    (folder / "train2017" / "._a.png").write_bytes(b"")
    os.mkfifo(folder / "train2017" / "pipe.png")
    (folder / "train2017" / "gone.png").symlink_to("nowhere")
    draw(folder / "train2017" / "more.png", [])
    (folder / "._x.json").write_bytes(b"")
    task = CocoFolder(str(folder))
    assert task.sizes() == (
        3,
        3,
        3,
    ) and "ignored 1: pictures that no annotation is of, e.g. train2017/more.png" in said(task)
    for part in ("train", "valid", "holdout"):
        write_json(tmp_path / "robo" / part / "_annotations.coco.json", coco())
        for name, boxes in BOXES.items():
            draw(tmp_path / "robo" / part / f"{name}.png", boxes)
    refused(CocoFolder(str(tmp_path / "robo")), "has holdout/ beside train/_annotations.coco.json: not understood")


@pytest.mark.parametrize("reader", [CocoFolder, VocFolder])
def test_the_same_picture_is_never_on_two_sides(tmp_path, reader):
    folder = tmp_path / "set"
    for part, there in (("train", {**BOXES, "d": BOXES["a"], "e": BOXES["a"]}), ("val", BOXES), ("test", BOXES)):
        for name, boxes in there.items():
            draw(folder / part / f"{name}.png", boxes)
            write_voc(folder / part / f"{name}.xml", boxes)
        if reader is CocoFolder:
            write_json(folder / part / "_annotations.coco.json", coco(there))
    shutil.copy(folder / "test" / "a.png", folder / "train" / "d.png")
    shutil.copy(folder / "train" / "a.png", folder / "train" / "e.png")
    shutil.copy(folder / "test" / "b.png", folder / "val" / "b.png")
    task = reader(str(folder))
    assert task.sizes() == (3, 2, 3)
    assert "dropped 2: pictures that are in test too, e.g. d.png" in said(task)
    assert task.pool().removed["duplicates_removed"] == 1


def test_voc_parts_by_any_of_their_names_and_what_no_list_has(tmp_path):
    for name, boxes in BOXES.items():
        write_voc(tmp_path / "annotations" / f"{name}.xml", boxes)
        draw(tmp_path / "images" / f"{name}.JPG", boxes)
    write_voc(tmp_path / "annotations" / "d.xml", [])
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for part, name in (("Train", "a"), ("validation", "b"), ("TEST", "c")):
        (lists / f"{part}.txt").write_text(f"{name}\n")
    task = VocFolder(str(tmp_path))
    assert task.sizes() == (1, 1, 1) and "ignored 1: annotations that no list names, e.g. annotations/d.xml" in said(
        task
    )
    for odd in ("../a", "b/c", ".."):
        (lists / "TEST.txt").write_text(f"{odd}\n")
        refused(VocFolder(str(tmp_path)), "give names without folders")
    (lists / "TEST.txt").write_text("c\0\n" + "x" * 5000)
    refused(VocFolder(str(tmp_path)), "annotations are missing")


def test_xml_nested_deeply(tmp_path):
    for name, boxes in BOXES.items():
        write_voc(tmp_path / f"{name}.xml", boxes)
        draw(tmp_path / f"{name}.png", boxes)
    (tmp_path / "a.xml").write_text("<annotation>" + "<a>" * 30_000 + "</a>" * 30_000 + "</annotation>")
    assert len(VocFolder(str(tmp_path), val=1).source().truths[0].boxes) == 0
