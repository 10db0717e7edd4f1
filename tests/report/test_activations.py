from __future__ import annotations

from typing import Any

from bench.report import style
from bench.report.data.activations import MOST, Column, layer, operation, operations, places
from bench.report.figures.activations import activations

MIB = 2**20


def run(name: str, held: list[tuple[str, str, list[int]]], **more: Any) -> dict[str, Any]:
    rows = [{"layer": at, "operation": what, "count": 1, "places": sizes} for at, what, sizes in held]
    return {"name": name, "config": {}, "checkpointing": False, "peak": 9 * MIB, "held": rows, **more}


FULL = run(
    "FullFineTuning",
    [("blocks.*", "add", [0, MIB, MIB, 0]), ("blocks.*.mlp.act", "gelu", [0, 2 * MIB, 2 * MIB, 0])]
    + [(f"blocks.*.l{n}", "mm", [0, n, n, 0]) for n in range(MOST)],
)
LORA = run(
    "LoRA", [("blocks.*", "add", [0, 0, MIB, 0]), ("blocks.*.q.lora", "_to_copy", [0, 0, 3 * MIB, 0])],
    config={"rank": 4, "at": ["q", "v"], "blocks": -1}, checkpointing=True,
)  # fmt: skip


def test_names_are_those_of_readers() -> None:
    assert [layer(path) for path in ("blocks.*", "model.layers.*.mlp.fc1", "loss")] == ["block", "mlp.fc1", "loss"]
    assert [operation(name) for name in ("addmm", "_to_copy", "_some_new_op")] == [
        "matrix product",
        "cast",
        "some new op",
    ]
    assert Column(LORA).label == "LoRA r=4 q+v last 1 block, checkpointing"


def test_the_ten_that_hold_most_in_any_method_stand_first_and_nothing_is_lost() -> None:
    found = [Column(FULL), Column(LORA)]
    rows = operations(found)
    assert rows[:3] == ["mlp.act: GELU", "q.lora: cast", "block: residual sum"] and len(rows) == MOST
    assert found[0].by_place == [0, 3 * MIB + 45, 3 * MIB + 45, 0] and found[1].total == 4 * MIB
    assert sum(found[0].by_operation.values()) == found[0].total
    assert places(found) == ["before the blocks", "block 1", "block 2", "head and loss"]


def test_the_figure_shows_both_and_says_what_was_frozen_or_is_made_again() -> None:
    record = {"model": "m", "batch": 8, "precision": "bf16", "device": "cuda", "runs": [FULL, LORA]}
    with style.drawing():
        canvas = activations(record)
    text = [each.get_text() for ax in canvas.figure.axes for each in ax.texts]
    assert text.count("4") == 2 + 1 and "6" in text  # GELU's of full, all of LoRA's; all of full's
    note = " ".join(canvas.figure._supxlabel.get_text().split())
    assert "makes the rest of one block again" in note and "run once, before training" in note
