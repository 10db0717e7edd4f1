"""How every reader opens a picture: upright, without transparency, in colours of 8 bits; and what its head tells."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import IO

import numpy as np
from PIL import ExifTags, Image, ImageColor, features

from bench.errors import BadInput, shown

PICTURES = frozenset(
    {
        ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".gif", ".jp2",
        ".pgm", ".ppm", ".pnm", ".pbm", ".tga", ".avif", ".heic", ".heif", ".hif", ".j2k", ".jpx", ".jpf", ".j2c",
        ".mpo", ".pcx", ".sgi", ".qoi", ".dds", ".psd", ".jxl",
    }
)  # fmt: skip
"""Endings of the names of pictures, in any case of letters."""
UNREAD = frozenset(
    {".svg", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".pef", ".srw", ".exr", ".jxr", ".eps"}
)
"""Endings of pictures that nothing here reads: drawings, and what cameras write before it is developed."""
NEED_HEIF = frozenset({".heic", ".heif", ".hif"})
WHITE = "white"
"""What transparent pictures are laid on where nothing else is asked for."""
UPRIGHT: Mapping[int, Image.Transpose] = MappingProxyType(
    {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
)  # fmt: skip
"""By the camera's note, EXIF's Orientation (JEITA CP-3451, tag 274), what puts the picture upright; 1 is upright."""
BACK = MappingProxyType({6: 8, 8: 6})
"""What undoes an orientation, where that is not itself."""
DEEP = "pictures of more than 8 bits a value, of which the upper 8 are kept"
OF_FEW_BITS = MappingProxyType({"L;2": 85, "L;4": 17})
"""What makes 8 bits of a grey value of 2 or 4."""
TOO_DEEP = "has values of 32 bits: save it with 8 or 16"
NOTES_OF_PNG = (b"XML:com.adobe.xmp", b"Raw profile type exif", b"Raw profile type APP1")


@dataclass(frozen=True)
class Look:
    """What a picture's head tells, without its pixels.

    Args:
        size: width and height as stored, in pixels.
        orientation: EXIF's, 1 to 8.
        clear: whether it has an alpha channel or a transparent colour.
        frames: whether it has more than one picture in it: an animation, or pages.
        deep: whether its values have more than 8 bits.
        error: why it cannot be read; "" where it can. Then all else says nothing.
    """

    size: tuple[int, int] = (0, 0)
    orientation: int = 1
    clear: bool = False
    frames: bool = False
    deep: bool = False
    error: str = ""

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height once it is put upright."""
        return self.size[::-1] if self.orientation >= 5 else self.size


def look(file: Path) -> Look:
    """The head of a picture's file; never an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a large one is decoded or refused later
        return head(file)


def head(file: Path) -> Look:
    """The same, with PIL's warnings: what threads do is not to change how they are shown."""
    if lacking := lacks_reader(file):
        return Look(error=lacking)
    try:
        with Image.open(file) as picture:
            several = picture.format not in ("JPEG", "MPO") and getattr(picture, "is_animated", False)
            if (depth := _depth(picture)) > 16:
                return Look(error=TOO_DEEP)
            noted = _noted(picture, file)
            size = picture.size[::-1] if noted >= 5 and _turns_itself(picture) else picture.size
            return Look(size, noted, is_clear(picture), several, depth > 8)
    except Exception as error:  # PIL has a dozen ways to say that a file is broken, or a bomb
        return Look(error=shown(str(error) or type(error).__name__, 200))


def opened(file: Path, *, background: str = WHITE, upright: bool = True) -> Image.Image:
    """A picture as it is learned from: RGB, upright as the camera noted, laid on `background` where it is transparent.

    Args:
        file: a regular file.
        background: a colour, by name or as "#rrggbb".
        upright: whether to heed the camera's note.

    Raises:
        BadInput: its values have 32 bits, or the reader for its format is not installed.
        OSError: it cannot be read (PIL raises others too).
    """
    if lacking := lacks_reader(file):
        raise BadInput(f"{file}: {lacking}")
    with Image.open(file) as picture:
        done = orientation(picture) if _turns_itself(picture) else 1  # asked before it is loaded
        flat = flattened(picture, str(file), background=background)
        noted = orientation(picture)
        flat.info = {}  # the note is heeded, or meant not to be: nobody shall turn the picture again
        if done != 1:
            return flat if upright else turned(flat, BACK.get(done, done))
        return turned(flat, noted) if upright else flat


def turned(picture: Image.Image, noted: int) -> Image.Image:
    """The picture put upright, given EXIF's orientation."""
    return picture.transpose(UPRIGHT[noted]) if noted in UPRIGHT else picture


def _turns_itself(picture: Image.Image) -> bool:
    """Whether PIL heeds the note when it loads the picture; the size is already that of the upright one."""
    return picture.format == "TIFF"


def orientation(picture: Image.Image) -> int:
    """EXIF's orientation; 1 where there is none, or one that means nothing."""
    try:
        noted = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # broken EXIF is no broken picture
        return 1
    return noted if noted in UPRIGHT else 1


def is_clear(picture: Image.Image) -> bool:
    """Whether some of it may be transparent."""
    return picture.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in picture.info


def flattened(picture: Image.Image, title: str, *, background: str = WHITE) -> Image.Image:
    """A picture in colours of 8 bits, laid on `background` where it is transparent; of 12 or 16 bits the upper 8.

    Args:
        picture: in any mode.
        title: its name, for messages.
        background: a colour, by name or as "#rrggbb".

    Raises:
        BadInput: its values have 32 bits, and what is white is not said.
    """
    if _depth(picture) > 16:
        raise BadInput(f"{title} {TOO_DEEP}")
    if not is_clear(picture):
        return _of_eight_bits(picture).convert("RGB")
    whole = _with_alpha(picture)
    ground = Image.new("RGBA", whole.size, (*colour(background), 255))
    return Image.alpha_composite(ground, whole).convert("RGB")


def colour(name: str) -> tuple[int, int, int]:
    """Red, green and blue of a colour, 0..255.

    Raises:
        BadInput: not a colour.
    """
    try:
        red, green, blue = ImageColor.getrgb(name)[:3]
    except (ValueError, TypeError, AttributeError):
        raise BadInput(f"background={shown(name)!r}: give a colour, by name or as '#rrggbb'") from None
    return red, green, blue


def lacks_reader(file: Path) -> str:
    """What is to be installed for this kind of picture to be read; "" where nothing is."""
    ending = file.suffix.lower()
    if ending in NEED_HEIF and not _reads_heif():
        return "HEIC needs the package pillow-heif: pip install pillow-heif"
    if ending == ".jxl" and not _reads_jxl():
        return "JPEG XL needs the package pillow-jxl-plugin: pip install pillow-jxl-plugin"
    if ending == ".avif" and not features.check("avif"):
        return "AVIF needs a Pillow that is built with it, 11.3 or later: pip install --upgrade pillow"
    return ""


@cache
def _reads_heif() -> bool:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


@cache
def _reads_jxl() -> bool:
    return find_spec("pillow_jxl") is not None and bool(import_module("pillow_jxl"))


def _depth(picture: Image.Image) -> int:
    """Bits of a value in the file: PIL's mode "I" stands for 32, or for 16 with a sign; "I;16" may hold 12.

    Where PIL makes 8 bits of 16, that can be told until it is loaded.
    """
    of_tiff = getattr(picture, "tag_v2", {}).get(258, (0,))[0] if picture.format == "TIFF" else 0
    if picture.mode == "F":
        return 32
    if picture.mode == "I":
        return 16 if picture.format == "PPM" or of_tiff == 16 else 32
    if picture.mode.startswith("I;16"):
        return 12 if of_tiff == 12 else 16
    raw, largest = _packed(picture)
    return 16 if raw.partition(";")[2].startswith("16") or largest > 255 else 8


def _packed(picture: Image.Image) -> tuple[str, int]:
    """PIL's name of how values are packed in the file ("L;4": four bits each), and PPM's largest value.

    They are ("", 0) once the picture is loaded.
    """
    tiles = getattr(picture, "tile", None)
    how = tiles[0][3] if tiles else ""
    if not isinstance(how, tuple):
        return str(how or ""), 0
    named = picture.format == "PPM" and len(how) == 2 and isinstance(how[1], int)
    return str(how[0]) if how else "", how[1] if named else 0


def _of_eight_bits(picture: Image.Image) -> Image.Image:
    if picture.mode != "I" and not picture.mode.startswith("I;16"):
        return picture
    shift, values = _depth(picture) - 8, np.asarray(picture)
    if picture.mode == "I" and picture.format == "TIFF":  # 15 bits and a sign
        shift, values = 7, values.clip(0)
    return Image.fromarray((values >> shift).clip(0, 255).astype(np.uint8))


def _with_alpha(picture: Image.Image) -> Image.Image:
    """RGBA, whichever way the picture says what is transparent.

    A transparent colour is in the file's own bits, and PIL compares it with values of 8.
    """
    colour_of_none, raw = picture.info.get("transparency"), _packed(picture)[0]
    if isinstance(colour_of_none, int) and raw in OF_FEW_BITS:
        picture.info["transparency"] = colour_of_none * OF_FEW_BITS[raw]
    elif isinstance(colour_of_none, tuple) and raw == "RGB;16B":
        picture.info["transparency"] = tuple(value >> 8 for value in colour_of_none)
    if picture.mode in ("RGBa", "La"):
        return picture.convert({"RGBa": "RGBA", "La": "LA"}[picture.mode]).convert("RGBA")
    if picture.mode == "1" or picture.mode.startswith("I;16"):  # one value of grey is transparent
        values = np.asarray(picture)
        through = values == picture.info["transparency"]
        alpha = Image.fromarray(np.where(through, 0, 255).astype(np.uint8))
        whole = _of_eight_bits(picture).convert("RGBA")
        whole.putalpha(alpha)
        return whole
    return picture.convert("RGBA")


def _noted(picture: Image.Image, file: Path) -> int:
    """The orientation, without decoding every PNG for a note that might stand behind its pixels."""
    if picture.format != "PNG":
        return orientation(picture)
    with file.open("rb") as stream:
        return orientation(picture) if _has_note(stream) else 1


def _has_note(stream: IO[bytes]) -> bool:
    stream.seek(8)
    while len(head := stream.read(8)) == 8:
        size, kind = int.from_bytes(head[:4], "big"), head[4:]
        if kind == b"eXIf":
            return True
        start = stream.read(min(size, 32)) if kind in (b"iTXt", b"zTXt", b"tEXt") else b""
        if start.startswith(NOTES_OF_PNG):
            return True
        stream.seek(size - len(start) + 4, 1)
    return False
