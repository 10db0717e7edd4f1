"""How a picture is opened: upright, without transparency, in colours of 8 bits, in every mode that files have."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image, ImageOps

from bench.errors import BadInput
from bench.tasks import pictures
from bench.tasks.pictures import flattened, look, opened

RED = (255, 0, 0)


def spotted(mode, plain, spot):
    """A picture of one colour with another in the first pixel."""
    picture = Image.new(mode, (8, 4), plain)
    picture.putpixel((0, 0), spot)
    return picture


def palette():
    picture = spotted("P", 1, 0)
    picture.putpalette([0, 0, 0, 10, 200, 30])
    return picture


SEEN = {  # file, picture, options, whether its first pixel is transparent, what its others are
    "rgba.png": (spotted("RGBA", (10, 20, 30, 255), (0, 0, 0, 0)), {}, True, (10, 20, 30)),
    "rgba.webp": (spotted("RGBA", (10, 20, 30, 255), (0, 0, 0, 0)), {"lossless": True}, True, (10, 20, 30)),
    "rgba.tif": (spotted("RGBA", (10, 20, 30, 255), (0, 0, 0, 0)), {}, True, (10, 20, 30)),
    "la.png": (spotted("LA", (50, 255), (0, 0)), {}, True, (50, 50, 50)),
    "palette.png": (palette(), {"transparency": 0}, True, (10, 200, 30)),
    "palette_of_bytes.png": (palette(), {"transparency": b"\x00\xff"}, True, (10, 200, 30)),
    "palette.gif": (palette(), {"transparency": 0}, True, (10, 200, 30)),
    "grey.png": (spotted("L", 77, 3), {"transparency": 3}, True, (77, 77, 77)),
    "colour.png": (spotted("RGB", (7, 7, 7), (1, 2, 3)), {"transparency": (1, 2, 3)}, True, (7, 7, 7)),
    "bits.png": (spotted("1", 1, 0), {"transparency": 0}, True, (255, 255, 255)),
    "deep.png": (Image.fromarray(np.full((4, 8), 40_000, np.uint16)), {"transparency": 300}, False, (156, 156, 156)),
    "plain.png": (palette(), {}, None, (10, 200, 30)),
    "cmyk.jpg": (Image.new("CMYK", (8, 4), (0, 0, 0, 0)), {}, None, (255, 255, 255)),
    "grey.jpg": (Image.new("L", (8, 4), 90), {}, None, (90, 90, 90)),
}


@pytest.mark.parametrize("name", SEEN)
def test_every_mode_in_a_file(tmp_path, name):
    picture, how, through, plain = SEEN[name]
    picture.save(tmp_path / name, **how)
    assert look(tmp_path / name).clear == (through is not None) and look(tmp_path / name).size == (8, 4)
    white, red = opened(tmp_path / name), opened(tmp_path / name, background="#ff0000")
    assert white.mode == "RGB" and white.getpixel((7, 3)) == red.getpixel((7, 3)) == plain
    if through:
        assert white.getpixel((0, 0)) == (255, 255, 255) and red.getpixel((0, 0)) == RED


def test_sixteen_bits_with_a_transparent_value(tmp_path):
    deep = Image.fromarray(np.array([[300, 40_000]], np.uint16))
    deep.save(tmp_path / "a.png", transparency=300)
    assert np.asarray(opened(tmp_path / "a.png", background="red")).tolist() == [[[255, 0, 0], [156] * 3]]


@pytest.mark.parametrize("mode", ["RGBa", "La", "PA"])
def test_modes_that_only_memory_has(mode):
    whole = spotted("RGBA" if mode == "RGBa" else "LA", (50, 50, 50, 255) if mode == "RGBa" else (50, 255), 0)
    picture = whole.convert("RGBA").convert("P").convert("PA") if mode == "PA" else whole.convert(mode)
    if mode == "PA":
        picture.putpixel((0, 0), (picture.getpixel((7, 3))[0], 0))
    flat = flattened(picture, "x", background="red")
    assert picture.mode == mode and (flat.getpixel((0, 0)), flat.getpixel((7, 3))) == (RED, (50, 50, 50))


def test_half_transparent_is_half_background():
    assert flattened(Image.new("RGBA", (1, 1), (0, 0, 0, 128)), "x").getpixel((0, 0)) == (127, 127, 127)


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("noted", range(1, 9))
def test_orientations(tmp_path, noted, ending):
    """As PIL's own exif_transpose; asked not to, as stored."""
    exif = Image.Exif()
    exif[0x0112] = noted
    file = tmp_path / f"a.{ending}"
    spotted("RGB", (0, 0, 0), (255, 255, 255)).save(file, exif=exif)
    with Image.open(file) as picture:
        wanted = ImageOps.exif_transpose(picture).convert("RGB")
    assert np.array_equal(np.asarray(opened(file)), np.asarray(wanted))
    seen, stored = look(file), opened(file, upright=False)
    assert (seen.orientation, seen.size, seen.upright) == (noted, (8, 4), wanted.size)
    assert stored.size == (8, 4) and stored.getpixel((0, 0))[0] > 150


@pytest.mark.parametrize("noted", [0, 9, 77])
def test_orientations_that_mean_nothing(tmp_path, noted):
    exif = Image.Exif()
    exif[0x0112] = noted
    spotted("RGB", (0, 0, 0), (255, 255, 255)).save(tmp_path / "a.jpg", exif=exif)
    assert look(tmp_path / "a.jpg").orientation == 1 and opened(tmp_path / "a.jpg").size == (8, 4)


def test_what_cannot_be_opened_says_why(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"no picture")
    assert "cannot identify" in look(tmp_path / "a.png").error
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # not installed
    pictures._reads_heif.cache_clear()
    (tmp_path / "a.HEIC").write_bytes(b"")
    assert "pip install pillow-heif" in look(tmp_path / "a.HEIC").error
    with pytest.raises(BadInput, match="pillow-heif"):
        opened(tmp_path / "a.HEIC")
    pictures._reads_heif.cache_clear()
    monkeypatch.setattr(pictures.features, "check", lambda what: False)
    assert "AVIF" in look(tmp_path / "a.avif").error
    for mode in ("I", "F"):
        with pytest.raises(BadInput, match="32 bits"):
            flattened(Image.new(mode, (1, 1)), "x")
    with pytest.raises(BadInput, match="give a colour"):
        pictures.colour("whitish")
