"""A method that removes parameters while it trains is shown by those left, with the start's beside."""

from __future__ import annotations

from bench.report.data.groups import groups
from bench.report.figures.parameter_bars import parameter_bars
from bench.report.page.summary import summary
from bench.report.style import drawing
from bench.report.tables.tidy import tidy
from tests.support.report_records import FULL, PROBE, boxes, record


def test_the_parameters_of_the_end_stand_beside_those_of_the_start() -> None:
    shrinking = {"parameters": {"backbone": 294_912, "head": 770, "total": 295_682, "start": 442_368}}
    records = [record(("AdaLoRA", {"rank": 12}, 0, 0.85, 9.0), seed, **shrinking) for seed in (0, 1)]
    records += [record(case, seed) for case in (PROBE, FULL) for seed in (0, 1)]
    (group,) = groups(records)
    (found,) = group.of("AdaLoRA")
    assert (found.backbone, found.start) == (294_912, 442_368)
    assert "| 294,912 (442,368 at the start) |" in summary(group) and summary(group).count("at the start") == 1
    with drawing():
        canvas = parameter_bars(group)
        texts = [text for text, _ in boxes(canvas.figure)]
    assert "294,912 (442,368 at the start)" in texts and any("left at the end" in text for text in texts)
    frame = tidy(records)
    assert set(frame["params_start"].dropna()) == {442_368} and set(frame["params_backbone"]) >= {294_912, 0}
