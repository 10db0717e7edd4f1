"""What lies at a path is told by looking into it, and what cannot be told is refused in a line."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from bench.errors import BadInput
from bench.tasks import recognise as module
from bench.tasks.detection.own_folders import CocoFolder, VocFolder
from bench.tasks.images.task import ImageFolder
from bench.tasks.recognise import recognise
from bench.tasks.text.task import TextCsv
from tests.support.box_data import BOXES, coco, draw, write_json, write_voc

ROWS = [("good film, well made", "fresh"), ("a bore from the first minute", "rotten"), ("see it twice", "fresh")] * 4


def pictures(folder, classes=("cat", "dog"), n=2):
    for name in classes:
        for i in range(n):
            path = folder / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (i, 9, 9)).save(path)


def csv(path, header="comment,verdict", separator=","):
    rows = [f'{n}{separator}"{text}"{separator}{label}' for n, (text, label) in enumerate(ROWS)]
    path.write_text("\n".join([separator.join(["id", *header.split(",")]), *rows]))
    return path


@pytest.mark.parametrize("parts", [(), ("train", "test")])
def test_pictures_in_folders_of_classes(tmp_path, parts):
    for part in parts or ("",):
        pictures(tmp_path / part)
    (tmp_path / "readme.md").write_text("mine")
    found = recognise(str(tmp_path))
    assert found.task == ImageFolder(str(tmp_path)) and found.said == "pictures in folders named like their classes"


def test_boxes_by_what_their_files_hold(tmp_path):
    for name in BOXES:
        draw(tmp_path / "coco" / "images" / f"{name}.png", BOXES[name])
        draw(tmp_path / "voc" / "JPEGImages" / f"{name}.png", BOXES[name])
        write_voc(tmp_path / "voc" / "Annotations" / f"{name}.xml", BOXES[name])
    write_json(tmp_path / "coco" / "annotations" / "instances_train.json", coco())
    assert recognise(str(tmp_path / "coco")).task == CocoFolder(str(tmp_path / "coco"))
    found = recognise(str(tmp_path / "voc"))
    assert found.task == VocFolder(str(tmp_path / "voc")) and "as a.xml tells" in found.said
    with pytest.raises(BadInput, match="give the folder that holds it"):
        recognise(str(tmp_path / "coco" / "annotations" / "instances_train.json"))
    with pytest.raises(BadInput, match="--text and --label name columns of a table"):
        recognise(str(tmp_path / "coco"), text="a")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_columns_by_their_contents(tmp_path, separator):
    file = csv(tmp_path / f"r.{'tsv' if separator == chr(9) else 'csv'}", "words,verdict", separator)
    found = recognise(str(file))
    assert found.task == TextCsv(str(file), text="words", label="verdict")
    assert (
        found.said == "a table of texts: text in 'words', class in 'verdict' (--text and --label would say otherwise)"
    )


def test_columns_by_their_names_and_as_given(tmp_path):
    file = csv(tmp_path / "r.csv", "Review,Stars")
    assert recognise(str(file)).task == TextCsv(str(file), text="Review", label="Stars")
    given = recognise(str(file), text="Stars", label="Review")
    assert given.task == TextCsv(str(file), text="Stars", label="Review") and "otherwise" not in given.said
    with pytest.raises(BadInput, match=r"unknown column of r\.csv 'Revew': did you mean 'Review'\?"):
        recognise(str(file), text="Revew")
    lines = tmp_path / "r.jsonl"
    lines.write_text("\n".join(json.dumps({"tags": ["x"], "text": t, "y": c}) for t, c in ROWS))
    assert recognise(str(lines)).task == TextCsv(str(lines), text="text", label="y")
    numbers = tmp_path / "n.csv"
    numbers.write_text("a,b\n" + "\n".join(f"{i},{i * i}" for i in range(20)))
    with pytest.raises(BadInput, match=r"which column holds the texts cannot be told: name it with --text \(a, b\)"):
        recognise(str(numbers))


def test_a_folder_of_tables(tmp_path):
    file = csv(tmp_path / "train.csv", "text,label")
    csv(tmp_path / "test.csv", "text,label")
    assert recognise(str(tmp_path)).task == TextCsv(str(tmp_path))
    file.rename(tmp_path / "a.csv")
    with pytest.raises(BadInput, match="give one of them, or call the one to learn from"):
        recognise(str(tmp_path))
    (tmp_path / "test.csv").unlink()
    assert recognise(str(tmp_path)).task == TextCsv(str(tmp_path / "a.csv")), "the only one"


def test_what_is_none_of_these_is_told_what_to_do(tmp_path, monkeypatch):
    def refused(name, content, told):
        place = tmp_path / name.partition("/")[0]
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadInput, match=told) as error:
            recognise(str(place))
        assert len(str(error.value).splitlines()) == 1

    refused("a.zip", b"PK", "is packed: unpack it")
    refused("one.png", b"", "is one picture: give a folder")
    refused("notes.docx", b"", "is no table by its name")
    refused("yolo/1.txt", b"0 0.5 0.5 0.1 0.2\n", "as YOLO writes them")
    refused("texts/good/1.txt", b"a good film", "put them into a table")
    refused("odd/a.bin", b"\0", r"no pictures, no table of texts and no boxes \(its files: \.bin\)")
    with pytest.raises(BadInput, match="no file or folder"):
        recognise(str(tmp_path / "gone"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="is empty"):
        recognise(str(tmp_path / "empty"))
    pictures(tmp_path / "kaggle", classes=("",))
    csv(tmp_path / "kaggle" / "labels.csv")
    with pytest.raises(BadInput, match="sort the pictures into folders"):
        recognise(str(tmp_path / "kaggle"))
    pictures(tmp_path / "many", n=4)
    monkeypatch.setattr(module, "MOST_PICTURES", 7)
    with pytest.raises(BadInput, match="has more than 7 pictures"):
        recognise(str(tmp_path / "many"))
