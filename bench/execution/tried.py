"""What came of `bench try`, as frames of pandas for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.report.page.next_steps import best_run
from bench.report.page.own_data import OwnData

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Tried:
    """What came of it, for notebooks.

    Args:
        advice: sentences, the recommendation first.
        methods: a row a method: score, interval, difference from the best, costs (`bench.report.tables.recommended`).
        classes: a row a class: support, precision, recall, F1; of boxes AP.
        mistakes: a row a test sample that is wrong, the most confident first.
        curve: score by the number of training samples.
        page: README.md with all of it and figures.
        run: the id of the recommended method's best run by validation, for `bench export` and `bench predict`.
    """

    advice: tuple[str, ...]
    methods: pd.DataFrame
    classes: pd.DataFrame
    mistakes: pd.DataFrame
    curve: pd.DataFrame
    page: Path
    run: str

    @classmethod
    def of(cls, data: OwnData, said: Sequence[str], page: Path) -> Tried:
        """From what the page says."""
        methods, classes, mistakes, curve = _frames(data)
        return cls(tuple(said), methods, classes, mistakes, curve, page, best_run(data.found.recommended))

    def __str__(self) -> str:
        return "\n".join((*self.advice, f"page: {self.page}"))


def _frames(data: OwnData) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    import pandas as pd

    from bench.report.tables.recommended import frame

    samples, names = data.about.get("samples") or {}, [one.name for one in data.classes]

    def titled(id_: int) -> dict[str, str]:
        return {"sample": str((samples.get(str(id_)) or {}).get("title") or "")}

    wrong = [
        {**titled(one.id), **vars(one), "label": names[one.label], "predicted": names[one.predicted]}
        for one in data.mistakes
    ]
    wrong += [{**titled(picture.id), **vars(picture)} for picture in data.missed]
    curve = []
    for point in data.curve:
        low, high = point.score.interval or (None, None)
        curve.append({"samples": point.samples, "score": point.score.mean, "low": low, "high": high})
    return frame(data.found), pd.DataFrame([vars(c) for c in data.classes]), pd.DataFrame(wrong), pd.DataFrame(curve)
