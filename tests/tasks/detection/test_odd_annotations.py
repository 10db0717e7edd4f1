"""Annotations that tools write oddly: nothing is lost, counted twice or put elsewhere unsaid."""

from __future__ import annotations

import json

import pytest

from bench.errors import BadInput
from bench.tasks.detection.own_folders import CocoFolder, VocFolder
from tests.support.box_data import BOXES, coco, coco_folder, draw, write_json, write_voc

pytestmark = pytest.mark.usefixtures("own_cache")
TRAIN = "annotations/instances_train2017.json"
OUTLINE = [[10, 4, 40, 4, 40, 24, 10, 24]]


def one(kind, **values):
    """Changes the first entry of a list."""
    return lambda top: top[kind][0].update(values)


def every(kind, **values):
    def change(top):
        for entry in top[kind]:
            entry.update({key: value(entry) for key, value in values.items()})

    return change


def outlined(segmentation, bbox=None):
    return one("annotations", bbox=bbox, segmentation=segmentation)


def changed(path, change):
    folder, top = coco_folder(path / "set"), coco()
    change(top)
    write_json(folder / TRAIN, top)
    return CocoFolder(str(folder))


def said(task):
    return [str(note) for note in task.pool().notes]


def boxes(task, row=0):
    return task.source().truths[row].boxes.tolist()


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (every("images", width=lambda e: "80", height=lambda e: "60.0"), "mended 6: numbers that are written as text"),
        (every("annotations", area=lambda e: "100"), "mended 4: numbers that are written as text"),
        (every("annotations", iscrowd=lambda e: "0"), "mended 4: numbers that are written as text"),
        (one("annotations", iscrowd=float("nan")), ""),
        (one("annotations", attributes={"rotation": 45.0}), "assumed: boxes with a rotation"),
        (one("annotations", attributes={"rotation": 360.0}), ""),
        (one("annotations", attributes=[1]), ""),
        (one("categories", name=" cat\u200b"), ""),
        (outlined(OUTLINE, [0, 0, 0, 0]), "mended 1: boxes computed"),
        (outlined([*OUTLINE, []]), "mended 1: boxes computed"),
        (outlined({"size": ["60", 80.0], "counts": [604.0, 20, 4176.0]}), "mended 1: boxes computed"),
        (lambda top: top.update(annotations=top["annotations"] * 2), "assumed 4: boxes that are there twice"),
    ],
)
def test_dialects_of_coco(tmp_path, change, note):
    task = changed(tmp_path, change)
    assert task.sizes() == (3, 3, 3) and len(task.source().classes) == 2
    assert sum((~truth.crowd).sum() for truth in task.source().truths[:3]) == 4 * (2 if "twice" in note else 1)
    assert [each.replace(" 1: boxes with", ": boxes with").startswith(note) for each in said(task)] == [True] * bool(
        note
    )


def test_pictures_without_boxes_and_crowds_are_counted(tmp_path):
    def change(top):
        top["annotations"] = [each for each in top["annotations"] if each["image_id"] != 10]
        top["annotations"][0]["iscrowd"] = 1

    notes = said(changed(tmp_path, change))
    assert notes[0].startswith("ignored 1: boxes of crowds") and notes[1].startswith(
        "assumed: pictures without any box"
    )


def test_crowds_alone_are_not_called_no_box(tmp_path):
    write_json(tmp_path / "a.json", coco())
    top = json.loads((tmp_path / "a.json").read_text())
    every("annotations", iscrowd=lambda e: 1)(top)
    write_json(tmp_path / "a.json", top)
    for name, those in BOXES.items():
        draw(tmp_path / f"{name}.png", those)
    with pytest.raises(BadInput, match="not one box is marked on 3 pictures but 4 of crowds or difficult ones"):
        CocoFolder(str(tmp_path)).sizes()


def test_a_mask_with_its_sides_exchanged_is_refused(tmp_path):
    with pytest.raises(BadInput, match="annotation 0 has a mask of 60×80, its picture is 80×60"):
        changed(tmp_path, outlined({"size": [80, 60], "counts": [0, 100, 4700]})).sizes()


def test_names_of_classes_that_are_numbers_or_differ_in_capitals(tmp_path):
    folder = coco_folder(tmp_path, parts=("train",))
    for names, classes in (((7, 3), ("7", "3")), (("cat", "Cat"), ("cat", "Cat"))):
        top = coco()
        for entry, name in zip(top["categories"], names, strict=True):
            entry["name"] = name
        write_json(folder / TRAIN, top)
        assert CocoFolder(str(folder)).source().classes == classes
    assert any("differ only in capitals" in note for note in said(CocoFolder(str(folder))))


@pytest.mark.parametrize(
    ("there", "written"), [("a.png", "A.PNG"), ("\u00e9.png", "e\u0301.png"), ("A.png", "C:\\x\\a.PNG")]
)
def test_pictures_whose_names_differ_in_capitals_or_form(tmp_path, there, written):
    folder, top = coco_folder(tmp_path / "set"), coco()
    (folder / "train2017" / "a.png").rename(folder / "train2017" / there)
    top["images"][0]["file_name"] = written
    write_json(folder / TRAIN, top)
    task = CocoFolder(str(folder))
    assert task.sizes() == (3, 3, 3) and boxes(task) == [list(map(float, BOXES["a"][0]))]
    assert [note.partition(":")[0] for note in said(task)] == ["mended 1"]


def test_two_pictures_that_a_name_may_mean_are_none(tmp_path):
    folder, top = coco_folder(tmp_path / "set"), coco()
    draw(folder / "train2017" / "A.png", [])
    top["images"][0]["file_name"] = "a.PNG"
    write_json(folder / TRAIN, top)
    with pytest.raises(BadInput, match="1 of 9 pictures are missing"):
        CocoFolder(str(folder)).sizes()


def voc(folder, change=lambda text, i: text, n=6):
    for i in range(n):
        write_voc(folder / f"p{i}.xml", [(10 + i, 4, 40, 24)])
        draw(folder / f"p{i}.png", [(10 + i, 4, 40, 24)])
        text = (folder / f"p{i}.xml").read_text()
        (folder / f"p{i}.xml").write_text(change(text, i), encoding="utf-8")
    return VocFolder(str(folder))


@pytest.mark.parametrize(
    ("flag", "crowd"),
    [("False", 0), ("Unspecified", 0), ("0.0", 0), ("no", 0), ("", 0), (" 0\n", 0), ("1", 1), ("True", 1), ("1.0", 1)],
)
def test_what_difficult_may_say(tmp_path, flag, crowd):
    task = voc(tmp_path, lambda text, i: text.replace(">0</diff", f">{flag}</diff") if i == 0 else text)
    assert [bool(truth.crowd.any()) for truth in task.source().truths] == [bool(crowd)] + [False] * 5
    assert [note[:24] for note in said(task)] == ["ignored 1: boxes of crow"] * crowd


def test_a_flag_that_is_none_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"p0\.xml is not an annotation in Pascal VOC's XML: .*perhaps"):
        voc(tmp_path, lambda text, i: text.replace(">0</diff", ">perhaps</diff")).sizes()


def test_a_picture_is_found_by_the_name_that_its_annotation_states(tmp_path):
    task = voc(tmp_path, lambda text, i: text.replace("<annotation>", f"<annotation><filename>x/p{i}.png</filename>"))
    for file in sorted(tmp_path.glob("*.xml")):
        file.rename(file.with_name(f"labels_of_{file.name}"))
    assert [box[0][0] for box in (boxes(task, i) for i in range(6))] == [10, 11, 12, 13, 14, 15]
    assert [note.partition(",")[0] for note in said(task)] == [
        "mended 6: pictures found by the <filename> of their annotations"
    ]


def test_an_annotation_that_states_another_picture_is_said(tmp_path):
    task = voc(tmp_path, lambda text, i: text.replace("<annotation>", "<annotation><filename>p0.png</filename>"))
    assert [note.partition(" are")[0] for note in said(task)] == [
        "assumed 5: annotations whose <filename> is another picture's"
    ]


def test_pictures_of_voc_in_capitals(tmp_path):
    task = voc(tmp_path)
    for file in sorted(tmp_path.glob("*.png")):
        file.rename(file.with_name(file.name.upper()))
    assert sum(task.sizes()) == 6 and said(task)[0].startswith("mended 6: pictures whose names differ in capitals")


@pytest.mark.parametrize("encoding", ["gb2312", "shift_jis", "latin-1", "utf-8", "utf-16"])
def test_xml_in_the_encodings_that_tools_declare(tmp_path, encoding):
    task = voc(tmp_path)
    name = {"latin-1": "caf\u00e9"}.get(encoding, "\u4e2d")
    for file in sorted(tmp_path.glob("*.xml")):
        text = f'<?xml version="1.0" encoding="{encoding}"?>' + file.read_text().replace("cat", name)
        file.write_bytes(text.encode(encoding))
    assert task.source().classes == (name,)


@pytest.mark.parametrize("side", ["0", "-4", ""])
def test_sizes_of_voc_that_are_none_are_looked_up(tmp_path, side):
    task = voc(tmp_path, lambda text, i: text.replace("<width>80<", f"<width>{side}<"))
    assert {(truth.width, truth.height) for truth in task.source().truths} == {(80, 60)}
