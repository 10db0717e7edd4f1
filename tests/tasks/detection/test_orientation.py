"""Boxes lie on what they mark, whichever way the camera was held, whatever the tool made of its EXIF note."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.errors import BadInput, say_once
from bench.tasks.detection.own_folders import CocoFolder, VocFolder
from bench.tasks.detection.task import Detection
from bench.tasks.pictures import UPRIGHT
from tests.support.box_data import write_json, write_voc

pytestmark = pytest.mark.usefixtures("own_cache")
BACK = {6: 8, 8: 6}


def photo(file, noted, number, *, upright, side=(80, 60)):
    """A photograph whose upright version has a bright box, stored as a camera does that was held otherwise.

    Returns:
        The stored picture's size, and x, y, width, height of the box, in the upright picture or in the stored one.
    """
    pixels = np.zeros((side[1], side[0], 3), np.uint8)
    pixels[4:24, 10:40] = 255
    pixels[-1, -1] = number
    turn = UPRIGHT.get(BACK.get(noted, noted))
    stored = Image.fromarray(pixels)
    stored = stored.transpose(turn) if turn is not None else stored
    exif = Image.Exif()
    exif[0x0112] = noted
    file.parent.mkdir(parents=True, exist_ok=True)
    stored.save(file, exif=exif)
    if upright:
        return stored.size, [10, 4, 30, 20]
    rows, columns = np.nonzero(np.asarray(stored)[:, :, 0] == 255)
    x, y = int(columns.min()), int(rows.min())
    return stored.size, [x, y, int(columns.max()) + 1 - x, int(rows.max()) + 1 - y]


def folder(path, photos, *, state=None, upright=True):
    """COCO's folder of photographs (orientation, size of the upright picture); `state` writes a size, None none."""
    top = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "light"}]}
    for i, (noted, side) in enumerate(photos):
        size, bbox = photo(path / "images" / f"{i}.png", noted, i, upright=upright, side=side)
        entry = {"id": i, "file_name": f"{i}.png"}
        if state is not None:
            width, height = side if state == "upright" else size
            entry |= {"width": width, "height": height}
        top["images"].append(entry)
        top["annotations"].append({"id": i, "image_id": i, "category_id": 1, "bbox": bbox})
    write_json(path / "labels.json", top)
    return CocoFolder(str(path))


def brightness(task):
    """The mean under each box."""
    source, found = task.source(), []
    for i, truth in enumerate(source.truths):
        x1, y1, x2, y2 = truth.boxes[0].astype(int)
        picture = source.pool.read(i)
        assert picture.size == (truth.width, truth.height)
        found.append(float(np.asarray(picture)[y1:y2, x1:x2].mean() / 255))
    return found


OBLONG, SQUARE = (80, 60), (60, 60)


@pytest.mark.parametrize("upright", [True, False])
@pytest.mark.parametrize("noted", range(1, 9))
def test_every_orientation_by_the_stated_size(tmp_path, noted, upright):
    """Others of the set that lay on their side tell what is meant where a size cannot."""
    task = folder(
        tmp_path, [(noted, OBLONG), (6, OBLONG), (noted, SQUARE)], state="upright" if upright else "as stored",
        upright=upright,
    )  # fmt: skip
    assert min(brightness(task)) > 0.99
    assert task.pool().removed.get("pictures_turned", 0) == upright * (1 + 2 * (noted != 1))


@pytest.mark.parametrize("noted", range(2, 9))
def test_where_nothing_tells_boxes_are_of_what_a_person_saw_and_it_is_said(tmp_path, noted):
    say_once.cache_clear()
    with pytest.warns(UserWarning, match="3 pictures with an EXIF note .* upright, which no picture tells"):
        assert min(brightness(folder(tmp_path, [(noted, SQUARE)] * 3, state="upright"))) > 0.99


def test_boxes_that_only_one_frame_holds_tell_it(tmp_path):
    top = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "light"}]}
    for i in range(3):
        photo(tmp_path / "images" / f"{i}.png", 6, i, upright=False)
        top["images"].append({"id": i, "file_name": f"{i}.png"})
        top["annotations"].append({"id": i, "image_id": i, "category_id": 1, "bbox": [1, 1, 9, 75 if i else 5]})
    write_json(tmp_path / "labels.json", top)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = CocoFolder(str(tmp_path)).source()
    assert [(truth.width, truth.height) for truth in source.truths] == [(60, 80)] * 3, "as stored: all go by two"
    assert [str(note) for note in source.pool.notes] == [
        "assumed: pictures with an EXIF note whose boxes are taken to be of the picture as stored, as 2 others tell "
        "and 0 deny, e.g. 0.png"
    ]


def test_pictures_that_disagree_are_said(tmp_path):
    task = folder(tmp_path, [(6, OBLONG), (6, OBLONG), (6, OBLONG), (3, OBLONG)], state="upright")
    size, bbox = photo(tmp_path / "images" / "0.png", 6, 0, upright=False)
    top = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "light"}]}
    for i in range(4):
        width, height = size if i == 0 else OBLONG
        top["images"].append({"id": i, "file_name": f"{i}.png", "width": width, "height": height})
        top["annotations"].append(
            {"id": i, "image_id": i, "category_id": 1, "bbox": bbox if i == 0 else [10, 4, 30, 20]}
        )
    write_json(tmp_path / "labels.json", top)
    say_once.cache_clear()
    with pytest.warns(UserWarning, match="upright, as 2 others tell and 1 deny"):
        assert min(brightness(task)) > 0.99


def test_voc_goes_by_the_same_rule(tmp_path):
    for i, noted in enumerate((6, 3, 1)):
        photo(tmp_path / f"{i}.jpg", noted, i, upright=True)
        write_voc(tmp_path / f"{i}.xml", [(10, 4, 40, 24)])
    assert min(brightness(VocFolder(str(tmp_path), val=1))) > 0.9
    with pytest.raises(BadInput, match=r"9.jpg is 60×80 pixels; its annotation says 80×60"):
        Image.new("RGB", (60, 80)).save(tmp_path / "9.jpg")
        write_voc(tmp_path / "9.xml", [(10, 4, 40, 24)])
        VocFolder(str(tmp_path)).sizes()


def test_transparent_pictures_are_laid_on_a_background_and_counted(tmp_path):
    task = folder(tmp_path, [(1, OBLONG)] * 3)
    Image.new("RGBA", OBLONG, (0, 0, 0, 0)).save(tmp_path / "images" / "0.png")
    assert task.pool().removed["pictures_flattened"] == 1 and task.pool().read(0).getpixel((0, 0)) == (255,) * 3
    red = CocoFolder(str(tmp_path), background="red")
    assert red.pool().read(0).getpixel((0, 0)) == (255, 0, 0) and red.fingerprint() != task.fingerprint()
    assert repr(red).endswith("background='red')")


@pytest.mark.parametrize("upright", [True, False])
@pytest.mark.parametrize("noted", [2, 3, 6])
def test_declared_sets_go_by_the_same_rule(tmp_path, monkeypatch, noted, upright):
    """COCO and VOC with root=…: what a size cannot tell, the set's other pictures do."""
    monkeypatch.setenv("LORA_BENCH_OFFLINE", "1")
    photos, base = [(noted, SQUARE), (6, OBLONG), (8, OBLONG)], tmp_path / "voc" / "VOCdevkit" / "VOC2012"
    for part in ("train", "val"):
        made = folder(tmp_path / part, photos, state="upright" if upright else "as stored", upright=upright)
        (tmp_path / part / "images").rename(tmp_path / f"{part}2017")
        (tmp_path / "annotations").mkdir(exist_ok=True)
        (Path(made.path) / "labels.json").rename(tmp_path / "annotations" / f"instances_{part}2017.json")
    assert min(brightness(Detection("coco", root=str(tmp_path)))) > 0.99
    for i, (turn, side) in enumerate(photos):
        size, (x, y, w, h) = photo(base / "JPEGImages" / f"{i}.jpg", turn, i, upright=upright, side=side)
        write_voc(base / "Annotations" / f"{i}.xml", [(x, y, x + w, y + h)], size=False)
        (width, height), file = side if upright else size, base / "Annotations" / f"{i}.xml"
        stated = f"<size><width>{width}</width><height>{height}</height></size>"
        file.write_text(file.read_text().replace("<annotation>", f"<annotation>{stated}"))
    (base / "ImageSets" / "Main").mkdir(parents=True)
    for part, names in (("train", "0\n1\n"), ("val", "2\n")):
        (base / "ImageSets" / "Main" / f"{part}.txt").write_text(names)
    assert min(brightness(Detection("voc2012", root=str(tmp_path / "voc")))) > 0.95  # of JPEGs
