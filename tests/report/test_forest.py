"""The forest plot of claims."""

from __future__ import annotations

from pathlib import Path

from bench.report.figures.verdicts import MARKS, Row, forest
from bench.report.rules import VERDICTS


def test_every_verdict_has_a_mark_and_a_line(tmp_path: Path) -> None:
    assert set(MARKS) == set(VERDICTS)
    assert len(set(MARKS.values())) == len(MARKS)
    rows = [Row(verdict.lower(), verdict, at, (at - 1, at + 12), 2.0) for at, verdict in enumerate(VERDICTS)]
    canvas = forest(rows, "laptop")
    (ax,) = canvas.figure.axes
    assert [label.get_text() for label in ax.get_yticklabels()] == [row.name for row in rows]
    (written,) = canvas.save(tmp_path, "claims", formats=("png",))
    assert written.stat().st_size > 1000
