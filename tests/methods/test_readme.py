"""The table of methods holds what the code does, and the guide to a new method works as written."""

from __future__ import annotations

import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from inspect import signature
from pathlib import Path

import pytest

from bench.methods import METHODS, Method
from bench.models import Timm, adapt, count
from bench.spec import parse
from bench.training.method_checks import BERT, CNN, VIT, report
from tests.training.test_method_checks import ROWS

PAGE = (Path(__file__).parents[2] / "bench/methods/README.md").read_text(encoding="utf-8")
CELLS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| `")]
TABLE = {row[0].strip("`"): row[1:] for row in CELLS if len(row) == 7}
COUNTED = {r[0].strip("`"): int(r[-1].replace(",", "")) for r in CELLS if len(r) in (2, 7) and r[-1] != "–"}


def test_every_method_has_its_row_in_the_table():
    assert sorted(TABLE) == sorted(repr(cls()) for cls in METHODS.values())


@pytest.mark.parametrize("text", COUNTED)
def test_its_parameters_are_those_on_vit_b(text):
    backbone = Timm("vit_base_patch16_224").build(device="meta")
    method = parse(text, known=METHODS, kind="method")
    adapt(backbone, method)
    assert (repr(method), count(backbone) - method.removed(backbone.module)) == (text, COUNTED[text])


@pytest.mark.parametrize("text", TABLE)
def test_it_fits_where_the_checks_put_it(text):
    name = text.partition("(")[0]
    fits = {model for method, models in ROWS if type(method).__name__ == name for model in models}
    assert TABLE[text][2:5] == ["✓" if model in fits else "–" for model in (VIT, BERT, CNN)]
    assert (text in COUNTED) == (VIT in fits)


@pytest.mark.parametrize("text", TABLE)
def test_its_paper_is_the_one_that_its_docstring_names(text):
    known = re.findall(r"arXiv:([\d.]+\d)", METHODS[text.partition("(")[0]].__doc__ or "")
    assert TABLE[text][1] in (known[:1] or ["–"])


@pytest.mark.usefixtures("one_thread")
def test_the_guide_to_a_new_method_works_as_written(tmp_path):
    file = tmp_path / "rescale.py"
    file.write_text(re.findall(r"```python\n(\"\"\"Rescale.*?)```", PAGE, re.S)[0])
    spec = spec_from_file_location("rescale", file)
    module = sys.modules["rescale"] = module_from_spec(spec)
    spec.loader.exec_module(module)
    method = module.Rescale()
    rows, failed = report(method, [VIT, CNN])
    assert failed == 0
    stated = re.findall(r"^(test_vit|test_resnet) +(.+?) {2,}(ok|skipped: .*?)(?:, …)?$", PAGE, re.M)
    found = {row[:2]: row[2] for row in rows}  # a check that came later need not be in the example
    assert stated and all(found[row[:2]].startswith(row[2]) for row in stated)
    backbone = Timm("vit_base_patch16_224").build(device="meta")
    adapt(backbone, method)
    assert f"backbone       {count(backbone):,}" in PAGE


def test_what_a_method_may_have_is_told_whole():
    told = re.findall(r"^- `(\w+)(?:\((.*?)\))?`: ", PAGE.partition("**What else it may have**")[2], re.M)
    own = {name: value for name, value in vars(Method).items() if not name.startswith("_")}
    spared = {"space", "apply", "above", "at_least", "having", "merges"}  # told elsewhere, or no author's to write
    assert {name for name, _ in told} == own.keys() - spared
    for name, arguments in told:
        if arguments:
            assert list(signature(own[name]).parameters) == ["self", *arguments.split(", ")]
