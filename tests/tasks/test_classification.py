"""Splits, pictures of every source, and what is wrong with a folder."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench.errors import BadInput
from bench.models.timm_models import ImageInputs
from bench.tasks import ImageFolder, Images, resolve
from bench.tasks.images import sets
from bench.tasks.pools import split

INPUTS = ImageInputs(16, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LORA_BENCH_CACHE", str(tmp_path / "cache"))


def pictures(folder, classes, each, start=0):
    """Writes plain pictures whose brightness tells the class."""
    for c, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(start, start + each):
            Image.new("RGB", (20 + i, 24), (40 * c, i % 250, 0)).save(folder / name / f"{i:03}.png")


def test_splits_are_disjoint_stratified_and_of_the_seed_alone():
    pool = Images("digits").pool()
    train, val, test = split(pool, train=100, val=50, test=None, seed=3)
    assert (len(train), len(val), len(test)) == (100, 50, 500)
    assert len({*train, *val, *test}) == 650
    assert np.bincount(pool.labels[train]).tolist() == [10] * 10
    again = split(pool, train=100, val=50, test=None, seed=3)
    assert all(np.array_equal(a, b) for a, b in zip((train, val, test), again, strict=True))
    other = split(pool, train=100, val=50, test=None, seed=4)
    assert not np.array_equal(train, other[0])
    assert np.array_equal(test, other[2]), "the test part must be the same for every seed"


def test_no_seed_trains_on_a_test_picture():
    pool = Images("digits").pool()
    held_out = set(split(pool, train=100, val=50, test=None, seed=0)[2])
    for seed in range(5):
        train, val, _ = split(pool, train=800, val=200, test=None, seed=seed)
        assert not held_out & {*train, *val}


def test_more_can_be_held_out_than_a_set_does_by_itself():
    pool = Images("digits").pool()
    own, more = (split(pool, train=100, val=50, test=test, seed=3) for test in (None, 1600))
    assert len(own[2]) == 500 and len(more[2]) == 1600 and len({*more[0], *more[1], *more[2]}) == 1750
    assert np.array_equal(own[2], split(pool, train=100, val=50, test=500, seed=3)[2])
    assert len({tuple(split(pool, train=50, val=50, test=1600, seed=seed)[2]) for seed in range(3)}) == 1
    with pytest.raises(BadInput, match="there are 97"):
        split(pool, train=100, val=50, test=1700, seed=0)


def test_data_are_normalised_and_views_mirror():
    data = Images("digits", train=40, val=20, test=20, flip=True).data(INPUTS, seed=0)
    index = torch.arange(4)
    plain = data.train.inputs(index)
    assert plain.shape == (4, 3, 16, 16) and plain.min() >= -1 and plain.max() <= 1.0001
    mixed = data.train.inputs(index, torch.tensor([0, 1, 0, 1]))
    assert torch.equal(mixed[0], plain[0]) and torch.equal(mixed[1], plain[1].flip(-1))
    assert data.train.views == 2 and data.test.views == 1
    assert data.provenance["train_samples"] == 40


def test_decoded_pictures_are_cached_and_the_same(tmp_path):
    first = Images("digits", train=40, val=20, test=20).data(INPUTS, seed=0)
    stored = sorted((tmp_path / "cache" / "pictures").glob("*.npz"))
    assert len(stored) == 3
    stored[0].write_bytes(b"half a file")
    second = Images("digits", train=40, val=20, test=20).data(INPUTS, seed=0)
    for a, b in ((first.train, second.train), (first.val, second.val), (first.test, second.test)):
        assert torch.equal(a.pixels, b.pixels) and torch.equal(a.labels, b.labels)


def test_metrics_of_known_outputs():
    outputs = torch.tensor([[9.0, -9.0], [9.0, -9.0], [-9.0, 9.0], [9.0, -9.0]])
    found = Images("elpv").metrics([outputs], [torch.tensor([0, 0, 1, 1])])
    assert found["top1"] == 0.75
    assert found["macro_f1"] == pytest.approx((0.8 + 2 / 3) / 2)
    assert found["loss"] == pytest.approx(18 / 4, abs=1e-3)
    assert found["ece"] == pytest.approx(0.25, abs=1e-3)


def test_folder_with_parts(tmp_path):
    for part, each, start in (("train", 6, 0), ("val", 3, 50), ("test", 4, 80)):
        pictures(tmp_path / part, ("cat", "dog"), each, start)
    task = ImageFolder(str(tmp_path))
    data = task.data(INPUTS, seed=0)
    assert (len(data.train), len(data.val), len(data.test)) == (12, 6, 8)
    assert task.classes == 2 and task.name == tmp_path.name and task.head(5).out_features == 2


def test_folder_split_for_you(tmp_path):
    pictures(tmp_path, ("a", "b", "c"), 20)
    data = ImageFolder(str(tmp_path)).data(INPUTS, seed=0)
    assert (len(data.test), len(data.val), len(data.train)) == (12, 9, 39)


def test_unreadable_pictures_are_named_and_skipped_or_refused(tmp_path):
    pictures(tmp_path / "train", ("a", "b"), 20)
    pictures(tmp_path / "val", ("a", "b"), 5, start=50)
    pictures(tmp_path / "test", ("a", "b"), 5, start=60)
    (tmp_path / "train" / "a" / "000.png").write_bytes(b"not a picture")
    with pytest.warns(UserWarning, match=r"skipped 1 of 40 .*000\.png"):
        data = ImageFolder(str(tmp_path)).data(INPUTS, seed=0)
    assert len(data.train) == 39
    for i in range(1, 6):
        (tmp_path / "train" / "b" / f"{i:03}.png").write_bytes(b"")
    with pytest.raises(BadInput, match="6 of 40 pictures cannot be read"):
        ImageFolder(str(tmp_path)).data(INPUTS, seed=0)


def test_bad_folders(tmp_path):
    with pytest.raises(BadInput, match="no folder"):
        ImageFolder(str(tmp_path / "gone")).data(INPUTS, seed=0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="no pictures"):
        ImageFolder(str(tmp_path / "empty")).data(INPUTS, seed=0)
    pictures(tmp_path / "one", ("only",), 9)
    with pytest.raises(BadInput, match="has one class"):
        ImageFolder(str(tmp_path / "one")).data(INPUTS, seed=0)
    pictures(tmp_path / "odd" / "train", ("a", "b"), 5)
    pictures(tmp_path / "odd" / "test", ("a", "z"), 5)
    with pytest.raises(BadInput, match="'z' occurs in val or test but not in train"):
        ImageFolder(str(tmp_path / "odd")).data(INPUTS, seed=0)


def test_bad_sizes_and_names():
    with pytest.raises(BadInput, match="there are 1297"):
        Images("digits", train=5000).data(INPUTS, seed=0)
    with pytest.raises(BadInput, match="at least one of each of the 10 classes"):
        Images("digits", train=5, val=10).sizes()
    with pytest.raises(BadInput, match="whole number"):
        Images("digits", train=0)
    with pytest.raises(BadInput, match="did you mean 'cifar10'"):
        resolve("cifar1O")
    assert repr(resolve("elpv")) == "Images('elpv')"


def test_torchvision_sets_are_read_from_disk(tmp_path, monkeypatch):
    """Small files laid out as torchvision lays them."""
    monkeypatch.setenv("LORA_BENCH_OFFLINE", "1")
    pictures(tmp_path / "eurosat" / "2750", [f"Class{i}" for i in range(10)], 20)
    task = Images("eurosat", train=50, val=20, root=str(tmp_path))
    data = task.data(INPUTS, seed=0)
    assert (len(data.train), len(data.test)) == (50, 40) and data.train.labels.bincount().tolist() == [5] * 10

    food, names = tmp_path / "food-101", ("apple", "bread")
    pictures(food / "images", names, 8)
    (food / "meta").mkdir()
    for part, numbers in (("train", range(6)), ("test", range(6, 8))):
        listing = {name: [f"{name}/{i:03}" for i in numbers] for name in names}
        (food / "meta" / f"{part}.json").write_text(json.dumps(listing))
    for jpg in (food / "images").rglob("*.png"):
        Image.open(jpg).save(jpg.with_suffix(".jpg"))
    pool = Images("food101", root=str(tmp_path)).pool()
    assert len(pool.development) == 12 and len(pool.official_test) == 4
    assert pool.read(13).size == (26 + 1, 24)


def test_torchvision_sets_that_are_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("LORA_BENCH_OFFLINE", "1")
    with pytest.raises(BadInput, match="cannot be downloaded"):
        Images("cifar100", root=str(tmp_path)).pool()
    with pytest.raises(BadInput, match="no folder"):
        Images("pets", root=str(tmp_path / "gone")).pool()


@pytest.mark.assets
@pytest.mark.parametrize(
    ("name", "size", "counts"),
    [
        ("elpv", 2624, [1803, 821]),
        ("mnist-5k", 5000, [500] * 10),
        ("orl-faces", 400, [10] * 40),
        ("textile", 2000, [1000, 500, 500]),
    ],
)
def test_real_sets(name, size, counts, asset, monkeypatch):
    monkeypatch.delenv("LORA_BENCH_CACHE")
    asset(name)
    pool = Images(name).pool()
    assert len(pool.labels) == size and np.bincount(pool.labels).tolist() == counts
    raw = (pool.read(i).tobytes() if name == "mnist-5k" else Path(pool.title(i)).read_bytes() for i in range(size))
    assert len(set(map(hash, raw))) == size and not pool.removed, "no picture is there twice"


@pytest.mark.assets
def test_digits_under_shift_are_tested_on_other_writers(asset, monkeypatch):
    monkeypatch.delenv("LORA_BENCH_CACHE")
    asset("mnist-5k")
    pool, mnist, digits = (Images(name).pool() for name in ("digits-shift", "mnist-5k", "digits"))
    train, val, test = split(pool, train=800, val=200, test=None, seed=0)
    assert max(*train, *val) < 5000 == min(test) and len(test) == 1797
    assert pool.labels[test].tolist() == digits.labels.tolist()
    assert np.array_equal(pool.read(7), mnist.read(7))
    shown = np.asarray(pool.read(5001), float)
    assert shown.shape == (28, 28) and not shown[:4].any() and not shown[:, 24:].any()
    small = np.asarray(Image.fromarray(shown[4:24, 4:24]).resize((8, 8), Image.Resampling.BOX))
    assert np.corrcoef(small.ravel(), np.asarray(digits.read(1), float).ravel())[0, 1] > 0.95


def test_garments_of_debian_are_the_published_ones_or_refused(tmp_path, monkeypatch):
    for part, n in (("train", 3), ("t10k", 2)):
        for kind, header, each in (("images-idx3", 16, 784), ("labels-idx1", 8, 1)):
            (tmp_path / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(bytes(header + n * each)))
    monkeypatch.setattr(sets, "DEBIAN_FASHION", tmp_path)
    with pytest.raises(BadInput, match="not the published ones"):
        sets.IMAGE_SETS["fashion-mnist"].load(None)
    monkeypatch.setattr(sets, "FASHION_SHA256", hashlib.sha256(bytes(5 * 784)).hexdigest())
    pool = sets.IMAGE_SETS["fashion-mnist"].load(None)
    assert pool.development.tolist() == [0, 1, 2] and pool.official_test.tolist() == [3, 4]


@pytest.mark.assets
def test_orl_pictures_are_mended(asset, monkeypatch):
    """Neighbouring rows of a face are alike; in the files as shipped, rows are shifted against one another."""
    monkeypatch.delenv("LORA_BENCH_CACHE")
    asset("orl-faces")
    pool = Images("orl-faces").pool()
    for i in range(0, 400, 7):
        rows = np.asarray(pool.read(i), float)
        assert rows.shape == (112, 92)
        assert np.abs(np.diff(rows, axis=0)).mean() < 16, pool.title(i)
