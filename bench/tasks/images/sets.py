"""The declared picture sets. To add one: an entry in `IMAGE_SETS`; a torchvision set is one line."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image

from bench import assets
from bench.assets.remembered import digests
from bench.errors import BadInput
from bench.tasks.pools import Pool

ORL_BYTES = 10318
FLAWS = ("nominal", "local", "global")
FASHION_SHA256 = "0fbbfcb392782b3b702472ead3688778e1509e8cf40f5c24d9d3303618b193ab"
DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")


@dataclass(frozen=True)
class ImageSet:
    """A declared set.

    Args:
        about: what the pictures show, for `bench tasks`.
        classes: number of classes.
        load: makes the pool, from a root folder where the set needs one.
    """

    about: str
    classes: int
    load: Callable[[str | None], Pool]


def _elpv(root: str | None) -> Pool:
    """Electroluminescence photos of solar cells; a cell counts as defective from a probability of one half on."""
    folder = assets.fetch("elpv")
    rows = [line.split() for line in (folder / "labels.csv").read_text().splitlines() if line.strip()]
    labels = np.array([float(probability) >= 0.5 for _, probability, _ in rows], np.int64)
    files = [folder / name for name, _, _ in rows]
    return replace(_of_files("elpv", files, labels, 2, assets.ASSETS["elpv"].sha256), hold_out=1000)


def _orl(root: str | None) -> Pool:
    """Ten portraits of each of forty people."""
    files = sorted(assets.fetch("orl-faces").rglob("*.pgm"), key=lambda p: (int(p.parent.name[1:]), int(p.stem)))
    labels = np.array([int(p.parent.name[1:]) - 1 for p in files], np.int64)
    pool = _of_files("orl-faces", files, labels, 40, assets.ASSETS["orl-faces"].sha256)
    return replace(pool, read=lambda i: _mended_pgm(files[i]), hold_out=120, default_train=200, default_val=80)


def _mended_pgm(path: Path) -> Image.Image:
    """152 of the package's PGM files had every LF turned into CR LF, in the pixels too, which PIL does not notice."""
    data = path.read_bytes()
    if data.startswith(b"P5\r\n"):
        data = data.replace(b"\r\n", b"\n")
        data = data.ljust(ORL_BYTES, b"\0")  # in two files one CR LF was a pair of pixels
    return Image.open(io.BytesIO(data))


def _mnist_5k(root: str | None) -> Pool:
    """Five hundred digits of each class, 28×28, the label in the last column."""
    path = next(assets.fetch("mnist-5k").rglob("mnist_5k.csv*"))
    with gzip.open(path, "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.float32).astype(np.int64)
    pixels = table[:, :-1].astype(np.uint8).reshape(-1, 28, 28)
    pool = _of_arrays("mnist-5k", pixels, table[:, -1], 10, assets.ASSETS["mnist-5k"].sha256)
    return replace(pool, hold_out=2000)


def _digits(root: str | None) -> Pool:
    """scikit-learn's 8×8 digits: no asset needed, for the smoke scale and tests."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)
    pool = _of_arrays("digits", pixels, digits.target.astype(np.int64), 10)
    return replace(pool, hold_out=500)


def _textile(root: str | None) -> Pool:
    """Simulated fabric: nominal, with a local flaw, or with another weave throughout. No photographs."""
    files = sorted(assets.fetch("textile").rglob("*.jpg"))
    labels = np.array([FLAWS.index(path.parent.name) for path in files], np.int64)
    pool = _of_files("textile", files, labels, len(FLAWS), assets.ASSETS["textile"].sha256)
    return replace(pool, hold_out=800, names=FLAWS)


def _digits_shift(root: str | None) -> Pool:
    """MNIST's digits to learn from, scikit-learn's to be tested on: other writers, another scanner, coarse grey.

    The 8×8 pixels of a test digit fill the 20×20 in the middle of 28×28 that MNIST's digits fill.
    """
    mnist, digits = _mnist_5k(None), _digits(None)
    border = len(mnist.labels)

    def read(i: int) -> Image.Image:
        if i < border:
            return cast(Image.Image, mnist.read(i))
        canvas = Image.new("L", (28, 28))
        canvas.paste(digits.read(i - border).resize((20, 20), Image.Resampling.BICUBIC), (4, 4))
        return canvas

    every = np.arange(border + len(digits.labels))
    sha256 = hashlib.sha256(f"{mnist.sha256} {digits.sha256}".encode()).hexdigest()
    labels = np.concatenate([mnist.labels, digits.labels])
    pool = Pool("digits-shift", labels, 10, read, lambda i: f"picture {i}", sha256, every)
    return _with_official_test(pool, border)


def _fashion_mnist(root: str | None) -> Pool:
    """Debian's package where it is installed and no root is given, torchvision's download otherwise."""
    if root is not None or not DEBIAN_FASHION.is_dir():
        check = partial(_check_fashion, what="delete it, and it is fetched again")
        return _torchvision("fashion-mnist", "FashionMNIST", ({"train": True}, {"train": False}), False, root, check)
    parts = []
    for part in ("train", "t10k"):
        raw = gzip.decompress((DEBIAN_FASHION / f"{part}-images-idx3-ubyte.gz").read_bytes())
        marks = gzip.decompress((DEBIAN_FASHION / f"{part}-labels-idx1-ubyte.gz").read_bytes())
        parts.append(
            (np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 28, 28), np.frombuffer(marks, np.uint8, offset=8))
        )
    pixels, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    _check_fashion([pixels], DEBIAN_FASHION, "install it anew")
    pool = _of_arrays("fashion-mnist", pixels, labels.astype(np.int64), 10)
    return _with_official_test(pool, len(parts[0][1]))


def _check_fashion(pixels: Sequence[np.ndarray], where: Path, what: str) -> None:
    if hashlib.sha256(b"".join(part.tobytes() for part in pixels)).hexdigest() != FASHION_SHA256:
        raise BadInput(f"fashion-mnist: the pictures in {where} are not the published ones: {what}")


def _torchvision(
    name: str, cls: str, parts: tuple[dict[str, Any], ...], flip: bool, root: str | None,
    check: Callable[[Sequence[np.ndarray], Path], None] | None = None,
) -> Pool:  # fmt: skip
    """A torchvision set: `parts` are the arguments that give its training part and, if it has one, its test part."""
    from torchvision import datasets

    folder = Path(root).expanduser() if root else assets.cache_folder() / "torchvision" / name
    if root and not folder.is_dir():
        raise BadInput(f"{name}: no folder {root!r}")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        loaded = [getattr(datasets, cls)(str(folder), download=not assets.offline(), **part) for part in parts]
    except (RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(
            f"{name}: not found in {folder}, or changed there, and cannot be downloaded ({reason}): put it there, or "
            "give root=…"
        ) from None
    prints = [_print_of(part) for part in loaded]
    if check is not None:
        check(prints, folder)
    labels = np.concatenate([_labels(part) for part in loaded])
    starts = np.cumsum([0, *map(len, loaded)])

    def read(i: int) -> Image.Image:
        part = int(np.searchsorted(starts, i, side="right")) - 1
        picture: Image.Image = loaded[part][i - int(starts[part])][0]
        return picture

    every = np.arange(len(labels))
    print_of = _sha256(labels, *prints)
    classes = int(labels.max()) + 1
    pool = Pool(name, labels, classes, read, lambda i: f"picture {i}", print_of, every, flip)
    return _with_official_test(pool, len(loaded[0])) if len(loaded) == 2 else replace(pool, hold_out=len(every) // 5)


def _print_of(part: Any) -> np.ndarray:
    """What tells whether a torchvision set's pictures changed: all of them where it has them in memory, else the sha256
    of every file."""
    if hasattr(part, "data"):
        return np.asarray(part.data)
    kept = next(getattr(part, name) for name in ("_image_files", "_images", "samples") if hasattr(part, name))
    files = [Path(entry[0] if isinstance(entry, tuple) else entry) for entry in kept]
    return np.array(digests(files))


def _labels(part: Any) -> np.ndarray:
    """torchvision's sets keep their labels under one of three names; __getitem__ would decode every picture."""
    found = next(getattr(part, name) for name in ("targets", "labels", "_labels") if hasattr(part, name))
    return np.asarray(found, np.int64)


def _of_files(name: str, files: list[Path], labels: np.ndarray, classes: int, sha256: str) -> Pool:
    every = np.arange(len(labels))
    return Pool(name, labels, classes, lambda i: Image.open(files[i]), lambda i: str(files[i]), sha256, every, True)


def _of_arrays(name: str, pixels: np.ndarray, labels: np.ndarray, classes: int, sha256: str = "") -> Pool:
    def read(i: int) -> Image.Image:
        return Image.fromarray(pixels[i])

    every = np.arange(len(labels))
    return Pool(name, labels, classes, read, lambda i: f"picture {i}", sha256 or _sha256(pixels, labels), every)


def _with_official_test(pool: Pool, train: int) -> Pool:
    every = np.arange(len(pool.labels))
    return replace(pool, development=every[:train], official_test=every[train:])


def _sha256(*arrays: np.ndarray) -> str:
    stamp = hashlib.sha256()
    for array in arrays:
        stamp.update(f"{array.shape} {array.dtype}\n".encode() + np.ascontiguousarray(array).tobytes())
    return stamp.hexdigest()


def _tv(about: str, classes: int, name: str, cls: str, *parts: dict[str, Any], flip: bool = True) -> ImageSet:
    return ImageSet(about, classes, lambda root: _torchvision(name, cls, parts, flip, root))


TRAIN, TEST = {"split": "train"}, {"split": "test"}
IMAGE_SETS: dict[str, ImageSet] = {
    "elpv": ImageSet("2,624 photos of solar cells: defect or not", 2, _elpv),
    "mnist-5k": ImageSet("5,000 handwritten digits", 10, _mnist_5k),
    "digits-shift": ImageSet("MNIST-5k's digits, tested on scikit-learn's: a shift", 10, _digits_shift),
    "textile": ImageSet("2,000 simulated pictures of fabric: nominal, local or global flaw", 3, _textile),
    "orl-faces": ImageSet("400 portraits of 40 people", 40, _orl),
    "fashion-mnist": ImageSet(
        "70,000 garments, official test (Debian's dataset-fashion-mnist, or torchvision)", 10, _fashion_mnist
    ),
    "digits": ImageSet("scikit-learn's 1,797 digits of 8×8 pixels; needs no asset", 10, _digits),
    "cifar10": _tv("CIFAR-10 (torchvision)", 10, "cifar10", "CIFAR10", {"train": True}, {"train": False}),
    "cifar100": _tv("CIFAR-100 (torchvision)", 100, "cifar100", "CIFAR100", {"train": True}, {"train": False}),
    "flowers102": _tv("Flowers-102 (torchvision)", 102, "flowers102", "Flowers102", TRAIN, TEST),
    "pets": _tv("Oxford-IIIT pets (torchvision)", 37, "pets", "OxfordIIITPet", {"split": "trainval"}, TEST),
    "dtd": _tv("Describable textures (torchvision)", 47, "dtd", "DTD", TRAIN, TEST),
    "eurosat": _tv("EuroSAT satellite tiles (torchvision)", 10, "eurosat", "EuroSAT", {}),
    "svhn": _tv("Street View house numbers (torchvision)", 10, "svhn", "SVHN", TRAIN, TEST, flip=False),
    "food101": _tv("Food-101 (torchvision)", 101, "food101", "Food101", TRAIN, TEST),
}
