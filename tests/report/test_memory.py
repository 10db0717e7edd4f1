"""The report where memory is known, and where it is not."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bench.records import Records
from bench.report import redraw
from bench.report.compare import compared
from bench.report.data.groups import groups
from bench.report.data.wording import memory_how
from bench.report.figures.scatter import against_memory
from bench.report.style import drawing
from bench.tracking.parents import summaries
from tests.support.report_records import FULL, LORAS, PROBE, keep, overlaps, text


def test_memory_is_drawn_and_told_where_it_is_known(tmp_path: Path) -> None:
    for case, peak in ((FULL, 6 * 2**30), (PROBE, 700 * 2**20), (LORAS[0], 5 * 2**30)):
        keep(tmp_path, [case], memory={"peak": peak, "kind": "measured" if case is FULL else "foretold"})
    redraw(tmp_path)
    assert all(told in text(tmp_path) for told in ("accuracy_vs_memory.png", "| peak memory |", "| 6 GiB |", "700 MiB"))
    table = pd.read_csv(tmp_path / "table.csv")
    assert set(table["memory_kind"]) == {"measured", "foretold"} and table["peak_memory"].max() == 6 * 2**30
    (group,) = groups(Records(tmp_path).all())
    with drawing():
        figure = against_memory(group).figure
        assert overlaps(figure) == []
        assert "in GiB, estimated or measured" in figure.axes[0].get_xlabel()


def test_how_memory_is_known_is_said_in_the_same_words_everywhere(tmp_path: Path) -> None:
    keep(tmp_path, [FULL, PROBE], memory={"peak": 6 * 2**30, "kind": "extended"})
    records = Records(tmp_path).all()
    (group,) = groups(records)
    with drawing():
        label = against_memory(group).figure.axes[0].get_xlabel()
    tracked = [parent.params["memory"] for parent in summaries(records).values() if "memory" in parent.params]
    (line,) = [line for line in compared(group, *group.configurations) if "Training memory" in line]
    assert tracked and all("extrapolated" in said for said in (label, line, *tracked))
    assert memory_how(["tracked", "measured"]).startswith("reported by the device's allocator or counted over a real")


def test_a_study_without_it_has_neither_figure_nor_column(tmp_path: Path) -> None:
    keep(tmp_path, [PROBE, FULL], memory=None)
    redraw(tmp_path)
    assert "peak memory" not in text(tmp_path) and not list((tmp_path / "figures").glob("accuracy_vs_memory*"))
