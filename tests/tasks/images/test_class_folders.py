"""One's own pictures: nothing vanishes, nothing is turned or flattened unsaid, nothing is on two sides."""

from __future__ import annotations

import os
import sys

import pytest
from PIL import Image

from bench.errors import BadInput
from bench.models.timm_models import ImageInputs
from bench.tasks import ImageFolder
from bench.tasks.pictures import _reads_heif

INPUTS = ImageInputs(16, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
pytestmark = pytest.mark.usefixtures("own_cache")


def draw(file, number, **how):
    """A picture whose colour is its number's."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 4), (number % 256, number // 256, 9)).save(file, **how)
    return file


def classes(folder, names=("cat", "dog"), each=6, start=0):
    for c, name in enumerate(names):
        for i in range(each):
            draw(folder / name / f"{i:02}.png", start + 1000 * c + i)
    return folder


def parts(folder, names=("train", "val", "test")):
    for i, (name, each) in enumerate(zip(names, (8, 3, 4), strict=True)):
        classes(folder / name, each=each, start=100 * i)
    return folder


def said(folder, **how):
    """What is said of it, by kind."""
    return [str(note) for note in ImageFolder(str(folder), **how).pool().notes]


def refused(folder, match):
    with pytest.raises(BadInput, match=match) as caught:
        ImageFolder(str(folder)).sizes()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("names", [
    ("train", "val", "test"), ("training", "valid", "testing"), ("Train", "Validation", "TEST"),
    ("train", "dev", "test"),
])  # fmt: skip
def test_parts_by_any_of_their_names(tmp_path, names):
    task = ImageFolder(str(parts(tmp_path, names)))
    assert task.sizes() == (16, 6, 8) and said(tmp_path) == [] and task.pool().names == ("cat", "dog")


def test_folders_that_are_not_understood_are_refused_by_name(tmp_path):
    classes(parts(tmp_path) / "holdout")
    refused(tmp_path, r"has holdout/ beside train/: not understood; parts are called train/training, val/valid")


def test_two_names_of_one_part(tmp_path):
    classes(parts(tmp_path) / "valid")
    refused(tmp_path, "both val/ and valid/")


def test_parts_without_train_or_classes(tmp_path):
    classes(tmp_path / "a" / "test")
    refused(tmp_path / "a", "has test/ but no train/<class>/")
    for i, part in enumerate(("train", "test")):
        draw(tmp_path / "b" / part / "x.png", i)
    refused(tmp_path / "b", "has train/ and test/ but no train/<class>/")
    refused(classes(tmp_path / "c" / "data" / "train").parent.parent, "give the folder that holds train/")


def test_a_class_may_be_called_train_or_valid(tmp_path):
    task = ImageFolder(str(classes(tmp_path, ("train", "bus"), each=10)))
    assert task.pool().names == ("bus", "train") and said(tmp_path)[0].startswith("assumed: train/ is a class")
    assert ImageFolder(str(classes(tmp_path / "2", ("valid", "invalid")))).classes == 2


def test_a_test_folder_without_classes_is_not_tested_on_and_said(tmp_path):
    classes(tmp_path / "train", each=10)
    draw(tmp_path / "test" / "1.png", 5000)
    assert ImageFolder(str(tmp_path)).pool().official_test is None
    assert said(tmp_path) == ["ignored 1: pictures in test/, which has no class folders, e.g. test"]


def test_what_is_no_picture_of_a_class_is_counted_and_never_opened(tmp_path):
    classes(tmp_path, each=10)
    draw(tmp_path / "cat" / "kittens" / "deep.png", 5000)
    draw(tmp_path / "loose.png", 5001)
    (tmp_path / "cat" / "._00.png").write_bytes(b"AppleDouble")
    (tmp_path / "cat" / "folder.png").mkdir()
    (tmp_path / "cat" / "gone.png").symlink_to("nowhere")
    (tmp_path / "cat" / "notes.txt").write_text("")
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    classes(tmp_path, (".ipynb_checkpoints", "__MACOSX"))
    (tmp_path / "empty").mkdir()
    pool = ImageFolder(str(tmp_path)).pool()
    assert len(pool.labels) == 20 and pool.names == ("cat", "dog")
    assert sorted(str(note) for note in pool.notes) == [
        "dropped 1: links that lead nowhere, e.g. cat/gone.png",
        "dropped 1: pictures in folders below their class's, e.g. kittens/deep.png",
        f"dropped 1: pictures in no class's folder, e.g. {tmp_path.name}/loose.png",
        "ignored 1: files that are no pictures by their names, e.g. cat/notes.txt",
        f"ignored 1: folders without pictures, e.g. {tmp_path.name}/empty",
        "ignored 1: pipes, sockets or devices, e.g. cat/pipe.png",
        "ignored 3: hidden files or folders, e.g. .ipynb_checkpoints",
    ]
    provenance = ImageFolder(str(tmp_path)).data(INPUTS, seed=0).provenance
    assert provenance["nested_pictures_dropped"] == provenance["unclassed_pictures_dropped"] == 1


def test_the_same_bytes_are_never_on_two_sides(tmp_path):
    parts(tmp_path)
    (tmp_path / "train" / "cat" / "copy.png").write_bytes((tmp_path / "test" / "cat" / "00.png").read_bytes())
    (tmp_path / "train" / "dog" / "copy.png").write_bytes((tmp_path / "val" / "dog" / "00.png").read_bytes())
    (tmp_path / "train" / "dog" / "twice.png").write_bytes((tmp_path / "train" / "dog" / "00.png").read_bytes())
    (tmp_path / "train" / "dog" / "a_cat.png").write_bytes((tmp_path / "train" / "cat" / "00.png").read_bytes())
    (tmp_path / "val" / "cat" / "copy.png").write_bytes((tmp_path / "test" / "cat" / "01.png").read_bytes())
    task = ImageFolder(str(tmp_path))
    assert task.sizes() == (15, 6, 8)
    assert task.pool().removed == {
        "test_duplicates_removed": 2, "val_duplicates_removed": 1, "conflicting_removed": 2, "duplicates_removed": 1,
    }  # fmt: skip
    assert "dropped 2: pictures that are in test too, e.g. cat/copy.png" in said(tmp_path)
    assert not any("once already" in line for line in said(classes(tmp_path / "other")))


def test_a_class_with_too_few_for_three_parts_is_refused(tmp_path):
    classes(tmp_path)
    for i in range(2):
        draw(tmp_path / "rare" / f"{i}.png", 9000 + i)
    refused(tmp_path, "class 'rare' has 2 different pictures, 3 are needed, one for each part")


def test_turned_and_transparent_pictures_are_counted(tmp_path):
    classes(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    draw(tmp_path / "cat" / "phone.jpg", 7000, exif=exif)
    Image.new("RGBA", (6, 4), (0, 0, 0, 0)).save(tmp_path / "dog" / "logo.png")
    frames = [Image.new("L", (6, 4), i) for i in (0, 200)]
    frames[0].save(tmp_path / "dog" / "two.gif", save_all=True, append_images=frames[1:])
    pool = ImageFolder(str(tmp_path)).pool()
    assert [str(note) for note in pool.notes] == [
        "mended 1: pictures put upright, as their EXIF note says, e.g. cat/phone.jpg",
        "mended 1: pictures with transparency laid on white, e.g. dog/logo.png",
        "assumed: pictures of several frames or pages: the first is taken, e.g. dog/two.gif",
    ]
    assert pool.removed == {"pictures_turned": 1, "pictures_flattened": 1}
    found = {os.path.basename(pool.title(i)): pool.read(i) for i in range(len(pool.labels))}
    assert found["phone.jpg"].size == (4, 6) and found["logo.png"].getpixel((0, 0)) == (255, 255, 255)
    black = ImageFolder(str(tmp_path), background="black")
    assert repr(black).endswith("background='black')") and black.fingerprint() != pool.sha256
    assert {black.pool().read(i).getpixel((0, 0)) for i in range(len(pool.labels))} >= {(0, 0, 0)}
    with pytest.raises(BadInput, match="give a colour"):
        ImageFolder(str(tmp_path), background="whiteish")


def test_pictures_whose_reader_is_missing_name_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    _reads_heif.cache_clear()
    classes(tmp_path)
    for i in range(3):
        (tmp_path / "cat" / f"{i}.heic").write_bytes(b"")
    refused(tmp_path, r"3 of 15 pictures cannot be read, e.g. cat/0.heic \(HEIC needs the package pillow-heif")
    classes(tmp_path, each=20)
    with pytest.warns(UserWarning, match="pillow-heif"):
        assert "dropped 3: pictures that cannot be read, e.g. cat/0.heic (HEIC needs" in said(tmp_path)[0]
    _reads_heif.cache_clear()


def test_the_fingerprint_is_of_names_and_all_bytes(tmp_path):
    import hashlib

    stamp = hashlib.sha256()
    for file in sorted(classes(tmp_path).glob("*/*")):
        stamp.update(f"{file.relative_to(tmp_path)} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    pool = ImageFolder(str(tmp_path)).pool()
    assert pool.sha256 == stamp.hexdigest() and pool.removed == {}


def test_a_name_that_is_no_text(tmp_path):
    classes(tmp_path)
    odd = os.fsencode(tmp_path / "cat") + b"/caf\xe9.png"
    draw(tmp_path / "x.png", 4000).rename(os.fsdecode(odd))
    assert len(ImageFolder(str(tmp_path)).pool().labels) == 13
