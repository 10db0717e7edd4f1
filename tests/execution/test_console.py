from __future__ import annotations

import pytest

from bench.execution.console import _cramped, _stacked

HEAD = ("method", "peak", "weights")
ROWS = [("LoRA(rank=8, at=('q', 'v'))", "3.48 GiB", "328 MiB"), ("LinearProbe()", "660 MiB", "327 MiB")]


def test_names_stand_above_their_numbers_where_a_terminal_is_narrow(capsys: pytest.CaptureFixture[str]) -> None:
    assert _cramped(HEAD, ROWS, 40) and not _cramped(HEAD, ROWS, 44)
    _stacked(HEAD, ROWS, 40)
    shown = capsys.readouterr().out.splitlines()
    assert shown[:4] == ["method", "      peak  weights", "LoRA(rank=8, at=('q', 'v'))", "  3.48 GiB  328 MiB"]
    _stacked(HEAD, ROWS[1:], 17)
    assert capsys.readouterr().out.splitlines() == ["LinearProbe()", "  peak 660 MiB,", "  weights 327 MiB"]
