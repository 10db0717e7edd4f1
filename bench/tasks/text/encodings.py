"""Which encoding a text file is of: told by its mark or its zeros, else guessed; a guess is said."""

from __future__ import annotations

import codecs
import re

from bench.errors import BadInput, shown

MARKS = (  # the longer one first: UTF-32's begins as UTF-16's does
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
PACKED = ((b"PK\x03\x04", "a zip, as .xlsx is"), (b"\x1f\x8b", "packed with gzip"), (b"PAR1", "Parquet by its content"))
WIDE = 0.3
"""Share of zeros among every other byte from which a file is of two bytes a character."""
ODD = re.compile(
    r"(?<=\w)[^\x00-\x7f\w’‘'·–—…«»“”\u00a0\u00ad](?=\w)|[ƒ‡†ˆ˜‰\x80-\x9f]|[²³¹](?=[^\W\d_])|(?<=[^\W\d_])[²³¹]"
)
"""What Western text does not have within its words: signs of another encoding."""
WORD = re.compile(r"[^\W\d_]{2,}")


def decoded(raw: bytes, where: str, encoding: str | None = None) -> tuple[str, str]:
    """The text, and what it was read as: "" where that is no guess (UTF-8, a byte order mark, or what was asked for).

    Args:
        raw: the file's bytes.
        where: the file, for messages.
        encoding: what to read it as; None to find out.

    Raises:
        BadInput: it is no text, not of that encoding, or UTF-8 with some bytes that are not.
    """
    if encoding is not None:
        return _as(raw, encoding, where).removeprefix("\ufeff"), ""
    for mark, name in MARKS:
        if raw.startswith(mark):
            return _as(raw, name, where).removeprefix("\ufeff"), ""
    for magic, what in PACKED:
        if raw.startswith(magic):
            raise BadInput(f"{where} is no text but {what}: give a .csv, .tsv, .jsonl, .json or .parquet file")
    if b"\0" in raw:
        half = max(1, len(raw) // 2)
        for first, name in ((1, "utf-16-le"), (0, "utf-16-be")):
            if raw[first::2].count(0) > WIDE * half:
                return _as(raw, name, where), name
        raise BadInput(f"{where} is no text: line {raw.count(10, 0, raw.index(0)) + 1} has a zero byte")
    try:
        return raw.decode(), ""
    except UnicodeDecodeError as error:
        return _guessed(raw, where, error)


def _as(raw: bytes, encoding: str, where: str) -> str:
    try:
        return raw.decode(encoding)
    except LookupError:
        raise BadInput(f"encoding={shown(encoding)!r} is not known: give one of Python's, such as 'latin-1'") from None
    except UnicodeError as error:
        at = f": line {raw.count(10, 0, error.start) + 1}" if isinstance(error, UnicodeDecodeError) else ""
        raise BadInput(f"{where} cannot be read as {encoding}{at}: give another encoding=…") from None


def _guessed(raw: bytes, where: str, error: UnicodeDecodeError) -> tuple[str, str]:
    """A text of one byte a character, Western where that makes words."""
    rough = raw.decode(errors="replace")
    broken = rough.count("\ufffd")
    if sum(c > "\x7f" for c in rough) - broken > broken:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BadInput(f"{where}: line {line} is not UTF-8, while most is: mend it, or give encoding=…") from None
    try:
        western = raw.decode("cp1252")
    except UnicodeDecodeError:
        western = ""
    if western and _is_western(western):
        return western, "cp1252 (Latin-1)"
    from charset_normalizer import from_bytes

    best = from_bytes(raw).best()
    if best is None:
        raise BadInput(f"{where}: neither UTF-8 nor any encoding that can be told: give encoding=…") from None
    return str(best), best.encoding


def _is_western(text: str) -> bool:
    """Whether accents stand on some letters of words that are otherwise of ASCII's, and no signs among them."""
    if ODD.search(text):
        return False
    accented = [word for word in WORD.findall(text) if not word.isascii()]
    foreign = [word for word in accented if sum(c > "\x7f" for c in word) > len(word) / 2]
    return len(foreign) <= len(accented) / 2
