"""Tables and numbers as they are shown: Markdown, thousands separators, nothing where there is nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

MISSING = "–"
_DIGITS = 4


def table(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; no cell ends another one or the row."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(_within(str(one)) for one in line)} |" for line in lines)


def _within(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(text.splitlines()))


def cell(text: str) -> str:
    """Any text in one cell: its first line, short, without what Markdown would read as a column."""
    first = text.strip().splitlines()[0] if text.strip() else ""
    return (first[:117] + "…" if len(first) > 118 else first).replace("|", "\\|")


def number(value: float | None) -> str:
    """A setting as written: 0.001, 1e-05; nothing where there is none."""
    return "" if value is None else f"{value:g}"


def folded(frame: pd.DataFrame) -> pd.DataFrame:
    """A table of numbers with their intervals in one cell each: "0.72 (0.47 to 1.04)".

    Args:
        frame: with columns "x", "x: low" and "x: high" for each number that has an interval.
    """
    text = frame.copy()
    for name in (name.removesuffix(": low") for name in frame.columns if name.endswith(": low")):
        low, high = f"{name}: low", f"{name}: high"
        rows = zip(frame[name], frame[low], frame[high], strict=True)
        text[name] = [None if at != at else f"{at:.2f}" + f" ({a:.2f} to {b:.2f})" * (a == a) for at, a, b in rows]
        text = text.drop(columns=[low, high])
    return text


def ranged(frame: pd.DataFrame) -> pd.DataFrame:
    """A table of numbers with the ends of each interval in one cell, the number apart so that it can be sorted.

    Args:
        frame: with columns "low" and "high", or "x: low" and "x: high" for each x.
    """
    text = frame.copy()
    for low in [name for name in frame.columns if name == "low" or name.endswith(": low")]:
        stem = low.removesuffix("low")
        rows = zip(frame[low], frame[f"{stem}high"], strict=True)
        text[low] = [None if a is None or a != a else f"{a:.3f} to {b:.3f}" for a, b in rows]
        text = text.drop(columns=[f"{stem}high"]).rename(columns={low: f"{stem}95% interval"})
    return text


def formatted(frame: pd.DataFrame, *, missing: str = MISSING) -> pd.DataFrame:
    """A table as text: thousands with separators, as many decimals in a column as its numbers need, up to four.

    Args:
        frame: any.
        missing: what stands where there is nothing.
    """
    import pandas as pd

    return pd.DataFrame({name: _column(frame[name], missing) for name in frame.columns}, dtype="str")


def _column(values: pd.Series, missing: str) -> list[str]:
    import pandas as pd

    known = [None if pd.isna(value) else value for value in values.tolist()]
    numbers = [value for value in known if value is not None]
    if numbers and all(isinstance(value, int | float) and not isinstance(value, bool) for value in numbers):
        return [missing if value is None else one for value, one in zip(known, _aligned(known), strict=True)]
    return [missing if value is None else str(value) for value in known]


def _aligned(values: Sequence[float | None]) -> list[str]:
    """Numbers with the same decimals each; those that would vanish (rates of 1e-05) as they are written."""
    numbers = [float(value) for value in values if value is not None]
    if any(value and abs(value) < 10**-_DIGITS for value in numbers):
        return ["" if value is None else f"{value:g}" for value in values]
    places = max(len(f"{value:.{_DIGITS}f}".rstrip("0").partition(".")[2]) for value in numbers)
    return ["" if value is None else f"{value + 0.0 if places else value:,.{places}f}" for value in values]


def listed(values: Iterable[Any]) -> str:
    """Distinct values in order, with commas."""
    known = {value for value in values if value not in (None, "")}
    return ", ".join(str(value) for value in sorted(known, key=lambda v: (isinstance(v, str), v)))
