"""A wrong name is answered with the few nearest names, never with a list of all."""

from __future__ import annotations

import pytest

from bench.errors import FEW, NEAREST, nearest, unknown

MANY = [f"vit_base_patch{size}_{pixels}" for size in (14, 16, 32) for pixels in range(200, 600, 4)]
METHODS = ("BitFit", "LoRA", "LinearProbe")


@pytest.mark.parametrize(
    ("kind", "name", "known", "said"),
    [
        ("method", "LorA", METHODS, "unknown method 'LorA': did you mean 'LoRA'?"),
        ("method", "xyz", METHODS, "unknown method 'xyz': known: BitFit, LinearProbe, LoRA"),
        ("method", "xyz", (), "unknown method 'xyz': known: none"),
        ("model", "qqqqqq", MANY, "unknown model 'qqqqqq': bench models PATTERN lists the 300 there are"),
        ("study", "zzz", map(str, range(20)), "unknown study 'zzz': bench studies lists the 20 there are"),
        ("role", "zz", "abcdefghij", "unknown role 'zz': known: a, b, c, d, e, f, g, h and 2 more"),
        ("set", "cifar", ("cifar10", "cifar100", "elpv"), "unknown set 'cifar': did you mean 'cifar10' or 'cifar100'?"),
        ("model", "siglip", ("vit_large_patch16_siglip_256", "b"), "did you mean 'vit_large_patch16_siglip_256'?"),
    ],
)
def test_the_few_nearest_or_who_lists_them(kind, name, known, said):
    assert str(unknown(kind, name, known)).endswith(said)


@pytest.mark.parametrize("name", ["vit_base_patch16_225", "vit", "w" * 10**6, "\x00\x1b[31m", ""])
def test_an_answer_is_one_short_line_however_many_names_there_are(name):
    said = str(unknown("model", name, MANY))
    assert len(said) < 250 and "\n" not in said and "\x1b" not in said
    assert len(nearest(name, MANY)) <= NEAREST < FEW


def test_the_likeliest_comes_first():
    assert nearest("vit_bse_patch16_224", MANY)[0] == "vit_base_patch16_224"
    assert nearest("BITFIT", METHODS) == ["BitFit"]
