"""The table of methods and networks in bench/methods/README.md is what `bench methods --matrix` makes of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.methods import METHODS
from bench.models.method_matrix import NETWORKS, RAISED, tried

PAGE = (Path(__file__).parents[2] / "bench/methods/README.md").read_text(encoding="utf-8")
HEAD = f"| method | {' | '.join(NETWORKS)} |"
TABLE, _, AFTER = PAGE.partition(HEAD)[2].strip().partition("\n\n")
ROWS = {line.split(" | ")[0].strip("| `"): line.strip("|").split(" | ")[1:] for line in TABLE.splitlines()[1:]}
NOTES = [" ".join(note.split()) for note in re.split(r"^\d+\. ", AFTER.partition("\n\n")[0], flags=re.M)]


def test_every_method_has_a_row():
    assert list(ROWS) == [cls.__name__ for cls in METHODS.values()]
    assert {len(row) for row in ROWS.values()} == {len(NETWORKS)}


@pytest.mark.parametrize(
    ("method", "network"),
    [("LoRA", "ResNet"), ("FacT", "ResNet"), ("VPT", "ResNet"), ("BitFit", "Llama"), ("ConvAdapter", "ViT")],
)
def test_a_cell_is_what_is_tried(method, network):
    cell, note = tried(NETWORKS[network].untrained(), METHODS[method]())
    written = ROWS[method][[*NETWORKS].index(network)].strip()
    raised = NOTES.index(note) if note else ""
    assert written == cell + str(raised).translate(RAISED)
