"""What the page on costs states is what the records of the study of costs hold."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from bench.costs.units import readable
from bench.report.data.activations import RECORD, columns, operations

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "bench/costs/README.md").read_text(encoding="utf-8")
FULL, LORA = "FullFineTuning()", "LoRA(rank=8, at=('q', 'v'))"
ALL = "LoRA(rank=8, at=('q', 'k', 'v', 'o', 'up', 'down'))"
LABELS = {
    "full fine-tuning": FULL,
    "LoRA r = 8, all linear layers": ALL,
    "LoRA r = 8 on q and v": LORA,
    "Houlsby adapter": "Houlsby(width=64)",
    "BitFit": "BitFit()",
    "LoRA r = 8 in the last two blocks": "LoRA(rank=8, at=('q', 'v'), blocks=-2)",
}
RECORDS: dict[tuple[str, str], Any] = {
    (record["model"]["name"], record["method"]["spec"]): record
    for file in sorted((ROOT / "results/costs/laptop/runs").glob("*.json"))
    for record in [json.loads(file.read_text())]
}


def tables() -> list[list[str]]:
    """Cells of every row of the page's tables."""
    lines = (line for line in PAGE.splitlines() if line.startswith("| "))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def gib(model: str, method: str, batch: int) -> str:
    return readable(RECORDS[model, method]["memory"]["cuda"][str(batch)]["peak"]).removesuffix(" GiB")


def test_times_and_latencies_are_those_of_the_records():
    found = {row[0]: row[1:] for row in tables() if row[0] in LABELS}
    expected = {}
    for label, method in LABELS.items():
        vit, bert = RECORDS["vit_base_patch16_224", method], RECORDS["bert-base-uncased", method]
        steps = [f"{1000 * record['step']['seconds']:.3g} ms" for record in (vit, bert)]
        took = vit["inference"]["latency"]
        merged = f"{took['merged'] / took['base']:.2f}" if took.get("merged") else "–"
        expected[label] = [*steps, f"{took['unmerged'] / took['base']:.2f}", merged]
    assert found == expected


def test_memory_in_the_text_is_that_of_the_records():
    text = " ".join(PAGE.split())
    sizes = [f"{gib('vit_huge_patch14_224', LORA, n)} of {gib('vit_huge_patch14_224', FULL, n)}" for n in (1, 32, 128)]
    assert f"({sizes[0]}, {sizes[1]} and {sizes[2]} GiB)" in text
    lora, full = (gib("bert-base-uncased", method, 32) for method in (LORA, FULL))
    assert f"takes {lora} GiB with LoRA and {full} with full fine-tuning" in text
    shares = re.findall(
        r"takes (\d+) % of full fine-tuning's memory at one sample, (\d+) % at 32 and (\d+) % at 128", text
    )
    peaks = {
        method: [RECORDS["vit_huge_patch14_224", method]["memory"]["cuda"][str(n)]["peak"] for n in (1, 32, 128)]
        for method in (LORA, FULL)
    }
    assert [tuple(f"{a / b:.0%}".rstrip("%") for a, b in zip(peaks[LORA], peaks[FULL], strict=True))] == shares


KEPT = json.loads((ROOT / "results/costs/activations" / RECORD).read_text(encoding="utf-8"))
FULL_KEPT, _, LORA_KEPT, _, LAST, AGAIN, PROBE = columns(KEPT)


def test_what_a_step_is_made_of_is_what_the_record_of_activations_says():
    found = [row for row in tables() if row[0].startswith("`")]
    expected = []
    for run in KEPT["runs"]:
        parts = [run["breakdown"][part] for part in ("weights", "optimizer", "activations", "other")]
        name = f"`{run['method']}`" + " + checkpointing" * run["checkpointing"]
        expected.append([name, *map(readable, (run["peak"], *parts))])
    assert found == expected
    activations = [run["breakdown"]["activations"] for run in KEPT["runs"]]
    assert f"LoRA saves only {1 - activations[2] / activations[0]:.0%}".replace("%", " %") in PAGE
    shares = [KEPT["runs"][n]["peak"] / FULL_KEPT.peak for n in (4, 6)]
    text = " ".join(PAGE.split())
    assert f"keeps {mib(LAST.total)} MiB, and takes {100 * shares[0]:.0f} % of full" in text
    assert f"takes {100 * shares[1]:.0f} %: the peak is then the one pass of the frozen network" in text
    assert KEPT["runs"][6]["breakdown"]["activations"] > 0 == round(PROBE.total / 2**20)


def mib(size: int) -> str:
    return f"{size / 2**20:,.0f}" if size else "–"


def test_which_operations_hold_activations_is_what_the_record_says():
    found = {row[0]: row[1:3] for row in tables() if ": " in row[0] and row[1] != "full"}
    casts = {"attn.qkv: cast": "attn.qkv.lora: cast", "mlp.fc1: cast": ""}  # LoRA's A is what keeps its layer's input
    expected = {
        row: [mib(FULL_KEPT.by_operation[row]), mib(LORA_KEPT.by_operation.get(casts.get(row, row), 0))]
        for row in operations(columns(KEPT))
        if row in FULL_KEPT.by_operation
    }
    assert found == expected
    text = " ".join(PAGE.split())
    assert f"keeps {mib(LORA_KEPT.total)} of {mib(FULL_KEPT.total)} MiB" in text
    assert f"of A and B's own there are {mib(LORA_KEPT.by_operation['attn.qkv.lora: matrix product'])} MiB" in text
    assert f"Only what enters each block is kept, {mib(AGAIN.total)} MiB" in text
