from __future__ import annotations

import json
import math
import re
from collections import Counter
from pathlib import Path
from statistics import median

import pytest

from bench.costs import published
from bench.costs.published import MARGIN, MEASURED, figures
from bench.errors import BadInput
from bench.execution.published_memory import keep, merged

FIGURES = figures()
RECORD = json.loads((Path(__file__).parents[2] / "results/costs/published/estimates.json").read_text(encoding="utf-8"))
ERRORS = {row["id"]: row["estimate"] / row["bytes"] - 1 for row in RECORD["figures"] if row["estimate"]}
TOLD = [figure.id for figure in FIGURES if figure.measured == "allocated" and not figure.unknown]


def test_there_are_enough_and_of_many_kinds() -> None:
    measured = Counter(figure.measured for figure in FIGURES)
    assert len(FIGURES) >= 28
    assert measured["allocated"] >= 12
    assert set(measured) == set(MEASURED)
    assert len({figure.source.repository for figure in FIGURES}) >= 8
    methods = {re.split(r"\W", figure.settings["method"])[0] for figure in FIGURES}
    assert methods >= {"FullFineTuning", "LoRA", "LayerNormTuning"}
    assert {figure.settings["base"].split()[0] for figure in FIGURES} >= {"fp32", "bf16", "nf4"}
    assert {figure.settings["loss"].split()[0] for figure in FIGURES} >= {"classes", "boxes", "float32", "shifted"}


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.id)
def test_the_value_stands_in_the_line_that_is_quoted(figure: published.Figure) -> None:
    number = figure.said.split()[0].replace(",", "")
    told = str(figure.bytes) if figure.said.endswith("GiB") and str(figure.bytes) in figure.line else number
    average = re.search(r"avg\": ([\d.]+)", figure.line)
    assert told in figure.line or (average and round(float(average[1])) - figure.bytes in (0, 1))


def test_what_is_unknown_says_when_that_was_noticed() -> None:
    marked = {figure.settings["marked"] for figure in FIGURES if figure.unknown}
    assert marked <= {"before", "after"}


def test_the_record_is_of_these_figures() -> None:
    assert {row["id"]: row["bytes"] for row in RECORD["figures"]} == {figure.id: figure.bytes for figure in FIGURES}
    assert set(TOLD) <= ERRORS.keys() and len(TOLD) >= 20


def test_errors_are_within_the_goal() -> None:
    """Median 5 %, none more than 8 % below; every figure has an estimate."""
    assert median(abs(ERRORS[name]) for name in TOLD) <= 0.05
    assert min(ERRORS[name] for name in TOLD) > -0.08
    assert ERRORS.keys() == {figure.id for figure in FIGURES}


def test_the_margin_is_the_records_lowest_error() -> None:
    assert math.ceil(-100 * min(ERRORS[name] for name in TOLD)) / 100 == MARGIN == RECORD["margin"]


def test_some_figures_are_made_anew_and_the_others_stay(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="leave the names out"):
        merged(RECORD, tmp_path)
    keep(RECORD, tmp_path)
    anew = {**RECORD["figures"][3], "estimate": 1, "git_sha": "new"}
    found = merged({**RECORD, "figures": [anew]}, tmp_path)["figures"]
    assert [row["id"] for row in found] == [figure.id for figure in FIGURES]
    assert [row["id"] for row in found if row["git_sha"] == "new"] == [anew["id"]] == [found[3]["id"]]


@pytest.mark.parametrize("wrong", [{"measured": "felt"}, {"unit": "GBit"}, {"colour": "red"}, {"size": 224}])
def test_a_row_that_is_not_as_the_head_says_is_refused(wrong: dict[str, object]) -> None:
    source = dict.fromkeys(published.Source.__dataclass_fields__, "")
    row = dict.fromkeys(published.NEEDED, "x") | {"id": "a", "measured": "allocated", "value": 1, "unit": "GB"}
    good = row | {"line": "1 GB", "length": 8}
    assert published._of({**source, "common": {}, "figure": [good]})[0].bytes == 10**9
    with pytest.raises(ValueError, match=r"published\.toml, a"):
        published._of({**source, "common": {}, "figure": [good | wrong]})
