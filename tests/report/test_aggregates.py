"""Over tasks and over ranks: aggregates, shares of the fronts, saturation, scores against samples; paper columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.records import Records
from bench.report import redraw, style
from bench.report.data.groups import Group, groups
from bench.report.data.ranks import saturation
from bench.report.figures import samples
from bench.report.figures.overview import overview
from bench.report.figures.profiles import profiles, ranking
from bench.report.page.answer import answer
from bench.report.tables import aggregates, dataframes
from bench.stats import ppt
from tests.support.report_records import FULL, LORAS, PROBE, RIVALS, keep, other_task, overlaps, record, text

CASES = (PROBE, FULL, LORAS[3], RIVALS[0])


def made(*changes: dict[str, Any], cases: Any = CASES, seeds: Any = (0, 1, 2)) -> list[Group]:
    return groups([record(case, seed, **change) for change in changes or ({},) for case in cases for seed in seeds])


def sized(number: int) -> dict[str, Any]:
    task = {"spec": f"Images('elpv', train={number})", "name": "elpv", "family": "images", "metric": "top1"}
    return {"task": task, "provenance": {"train_samples": number, "started": f"2025-{number}"}}


def test_aggregates_put_tasks_on_one_scale() -> None:
    frame = aggregates.over_tasks(made(other_task("a"), other_task("b"))).set_index("method")
    assert frame["mean rank"].is_monotonic_increasing
    assert frame.loc["linear probe", "optimality gap"] == pytest.approx(1.0, abs=0.25)
    assert (frame["IQM: low"] < frame["IQM"]).all() and (frame["IQM"] < frame["IQM: high"]).all()
    assert np.isnan(frame.loc["full fine-tuning", "P(better)"])
    assert frame.loc["linear probe", "P(better)"] == 0
    assert aggregates.over_tasks(made()).empty  # one task has nothing to be averaged with
    assert aggregates.over_tasks(made(other_task("a"), other_task("b"), seeds=(0,))).empty


def test_a_method_that_has_the_whole_front_has_all_of_its_area() -> None:
    worse = ("Houlsby", {"width": 64}, 10**8, 0.5, 900.0)
    frame = aggregates.shares(made(cases=(*LORAS, worse))).set_index("method")
    column = "trainable backbone parameters"
    assert frame.loc["LoRA", column] == 100
    assert frame.loc["Houlsby adapter", column] == 0
    assert aggregates.shares(made(cases=LORAS)).empty


def test_saturation_is_told_where_ranks_were_swept() -> None:
    (swept,) = made(cases=(FULL, *LORAS))
    found = saturation(swept)
    assert found is not None
    assert found.rank == 8  # .846 and .002 a step up to .858: within the noise floor of .006 from the fourth on
    assert found.delta == pytest.approx(0.006)
    (said,) = answer([swept])
    assert said.startswith("elpv: LoRA r=64 has the highest mean, 0.858; ")
    assert said.endswith("The smallest rank within the noise floor (0.006) of the best rank: LoRA r=8.")
    (few,) = made(cases=(FULL, *LORAS[:2]))
    assert saturation(few) is None
    assert saturation(made(cases=LORAS, seeds=(0,))[0]) is None


def test_scores_against_samples_join_the_sizes_of_one_task() -> None:
    parts = made(sized(20), sized(1400), other_task("alone"))
    (by,) = samples.sizes(parts)
    assert list(by) == [20, 1400]
    assert not samples.has_sizes(made(sized(20), other_task("alone")))
    elsewhere = {**sized(1400), "environment": {"device_name": "H100", "threads": 2}}
    assert not samples.has_sizes(made(sized(20), elsewhere))  # another device is another experiment


def test_a_score_is_rated_by_how_little_it_took() -> None:
    frame = dataframes.results(made()).set_index("method")
    score, backbone = frame.loc["full fine-tuning", ["score", "backbone parameters"]]
    assert frame.loc["full fine-tuning", "PPT"] == pytest.approx(ppt(score, backbone), abs=1e-4)


@pytest.mark.parametrize(
    ("draw", "parts"),
    [
        (lambda parts: overview(parts[:1]), made(other_task("a"), cases=(PROBE, FULL, *LORAS, *RIVALS))),
        (overview, made(other_task("a"), other_task("b"), cases=(PROBE, FULL, *LORAS))),
        (profiles, made(other_task("a"), other_task("b"))),
        (ranking, made(other_task("a"), other_task("b"))),
        (samples.against_samples, made(sized(20), sized(1400))),
    ],
    ids=["one task", "overview", "profiles", "ranking", "samples"],
)
def test_in_a_papers_column_nothing_overlaps_and_letters_can_be_read(draw: Any, parts: list[Group]) -> None:
    from matplotlib.text import Text

    with style.drawing(), style.column():
        canvas = draw(parts)
        assert canvas.width == style.COLUMN
        assert overlaps(canvas.figure) == []
        shown = [one for one in canvas.figure.findobj(Text) if one.get_text().strip() and one.get_visible()]
        assert min(one.get_fontsize() for one in shown) >= 6
    assert not style.in_column()


def test_the_page_has_the_aggregates(tmp_path: Path) -> None:
    for name in ("a", "b"):
        keep(tmp_path, list(CASES), **other_task(name))
    written = redraw(tmp_path)
    assert tmp_path / "figures" / "column" / "ranking.pdf" in written
    page = text(tmp_path)
    assert "### Aggregates over tasks" in page and "### Shares of the Pareto fronts" in page
    assert "Aggregates over tasks" in (tmp_path / "report.html").read_text()


GONE = {
    "how it went": (("curve",), ("best_epoch",), ("reason",), ("time",), ("memory",), ("metrics", "val")),
    "what it was": (("training", "lr"), ("method", "config"), ("task", "spec"), ("task", "metric"), ("model", "spec")),
    "where": (("environment", "threads"), ("environment", "versions"), ("provenance",)),
    "device": (("environment", "device_name"),),
    "result": (("parameters",), ("metrics", "test")),
    "tuning": (("tuning", "space"), ("tuning", "trials"), ("tuning", "chosen")),
    "no tuning": (("tuning",),),
}


def test_what_some_records_lack_breaks_no_page(tmp_path: Path) -> None:
    """Older records have fewer fields: here each of a method's seeds lacks others."""
    for case in (PROBE, FULL, LORAS[3]):
        for seed, paths in enumerate(((), *GONE.values())):
            known = record(case, seed)
            for path in paths:
                part: Any = known
                for key in path[:-1]:
                    part = part.get(key) or {}
                part.pop(path[-1], None)
            Records(tmp_path).write(known)
    redraw(tmp_path)
    assert (tmp_path / "report.html").stat().st_size > 0
